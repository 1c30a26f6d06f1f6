package main

import (
	"path/filepath"
	"testing"
)

// TestSmall: every question has its answer, and all that is dead is collected, of a
// store with little in it. How fast is not asked.
func TestSmall(t *testing.T) {
	o := options{packages: 40, dead: 10, samples: 20, clients: 2, dir: t.TempDir()}
	address := "sqlite:" + filepath.Join(t.TempDir(), "registry.db")
	for range 2 { // filled, then measured
		o.fill = !o.fill
		if err := run(t.Context(), o, []string{address}); err != nil && err != errMissed {
			t.Fatal(err)
		}
	}
}
