// Package sqlitetest gives tests new registries in SQLite. All migrations have to
// run to make one, which takes longer than most tests and much longer under the race
// detector: one is made in each test binary, and its file is copied.
package sqlitetest

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

var template struct {
	sync.Mutex
	file []byte
}

// New returns the path of a registry in which nothing is recorded, in a folder of
// the test's own. The first is made by open, which is called with a path at which there
// is nothing.
func New[R io.Closer](tb testing.TB, open func(path string) (R, error)) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "registry.db")
	if err := os.WriteFile(path, made(tb, open), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func made[R io.Closer](tb testing.TB, open func(path string) (R, error)) []byte {
	tb.Helper()
	template.Lock()
	defer template.Unlock()
	if template.file != nil {
		return template.file
	}
	path := filepath.Join(tb.TempDir(), "registry.db")
	r, err := open(path)
	if err != nil {
		tb.Fatal(err)
	}
	if err := r.Close(); err != nil { // the log is in the file then
		tb.Fatal(err)
	}
	if template.file, err = os.ReadFile(path); err != nil {
		tb.Fatal(err)
	}
	return template.file
}
