package content

import (
	"syscall"
	"time"
)

// pause waits as exactly as the kernel can, some ten microseconds, and holds a thread
// meanwhile.
func pause(d time.Duration) {
	if d > 0 {
		rest := syscall.NsecToTimespec(int64(d))
		_ = syscall.Nanosleep(&rest, nil) // a signal may end it early
	}
}
