// Package process fits the Go runtime of a process to a gateway: how many threads run,
// and when the heap is collected. It is apart from the program so that a benchmark
// measures what is served.
package process

import (
	"os"
	"runtime/debug"
)

// The collector runs when the heap has grown by a share of what was live. The
// gateway's live heap is a few megabytes under small requests, and each doubling
// of those would be a collection, dozens a second; under large uploads it is all of
// limits.buffered_bytes, and its doubling would be memory that nobody granted. So
// the share is small, and beside the heap lies spareBytes that count as live:
// a collection is due every fifth of (spareBytes + live), 20 MiB for a small
// heap, 70 MiB for 256 MiB of buffers. A memory limit would do the same but costs
// half the processors once many connections rightly hold more than it.
const (
	spareBytes  = 96 << 20
	growthShare = 20 // percent
)

// Spare sets the share and returns memory that the collector counts as live and
// that nobody ever touches, so that the machine never backs it; the caller keeps
// it alive. An operator who sets GOGC or GOMEMLIMIT gets just that.
func Spare() []byte {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	debug.SetGCPercent(growthShare)
	return make([]byte, spareBytes)
}
