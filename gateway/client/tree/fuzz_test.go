package tree

import (
	"path/filepath"
	"strings"
	"testing"
)

// A path that is taken names one place below the directory that it is joined to.
func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"a", "a/b", "../a", "/a", "a//b", `a\b`, "a\x00", "größe", "\xff", "a/./b", "..."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if checkPath(path) != "" {
			return
		}
		if !filepath.IsLocal(path) || filepath.Clean(path) != path || strings.ContainsAny(path, "\\\x00\n") || path == "." || len(path) > 1024 {
			t.Errorf("%q is taken", path)
		}
		for dir, n := parent(path), 0; dir != "."; dir, n = parent(dir), n+1 {
			if !strings.HasPrefix(path, dir+"/") || n > 1024 {
				t.Fatalf("%q has the parent %q", path, dir)
			}
		}
	})
}
