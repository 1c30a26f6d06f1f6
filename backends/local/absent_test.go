package local

import (
	"testing"

	"artifactstore/backends"
)

// What is not there is known not to be, and nothing else is.
func TestAbsent(t *testing.T) {
	b, _ := scripted(t, t.TempDir(), "p")
	put(t, b, "a/k", "x")
	for key, want := range map[string]bool{"a/k": false, "a/l": true, "b/k": true, "a/k/m": false, "../p/a/l": false} {
		equal(t, key, backends.Absent(b, key), want)
	}
	if err := b.Delete(t.Context(), "a/k"); err != nil {
		t.Fatal(err)
	}
	equal(t, "after a delete", backends.Absent(b, "a/k"), true)
}
