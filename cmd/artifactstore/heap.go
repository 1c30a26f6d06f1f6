package main

import "os"

// spareBytes is how much garbage the gateway lets gather beyond what the
// collector would: its live heap is a few megabytes, and each doubling of
// those would be a collection, dozens a second under small requests. A
// collection is then due every spareBytes and more, whatever the load. A
// memory limit would do the same for a small heap, but costs half the
// processors once large uploads rightly hold more than it.
const spareBytes = 16 << 20

// spare returns memory that the collector counts as live and that nobody ever
// touches, so that the machine never backs it; the caller keeps it alive. An
// operator who sets GOGC or GOMEMLIMIT gets just that.
func spare() []byte {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return nil
	}
	return make([]byte, spareBytes)
}
