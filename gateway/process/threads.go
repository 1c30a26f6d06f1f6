package process

import (
	"os"
	"runtime"
)

// Go code runs on as many threads at once as there are processors. A thread that
// waits in a system call counts for at least 20 µs, and in a gateway that syncs
// every put most of them do: requests then lie unread in their sockets, and the
// writer of the registry waits for its turn, while the processors are idle. With
// SlotsPerProcessor times as many the kernel always has a thread to run. It halves
// the time of a small put and costs nothing elsewhere (make bench).
const SlotsPerProcessor = 4

// Widen lets more threads run Go code than there are processors. An operator who
// sets GOMAXPROCS gets just that.
func Widen() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(SlotsPerProcessor * runtime.GOMAXPROCS(0))
	}
}
