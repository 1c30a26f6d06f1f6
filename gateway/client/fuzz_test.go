package client_test

import (
	"testing"

	"artifactstore/gateway/client"
)

// A name that is read is written the same way.
func FuzzParsePackageName(f *testing.F) {
	for _, s := range []string{"ci/app/1.0", "ci/app", "a/b/c/d", "../a/b", "a/b/..", "a/b/sha256:0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := client.ParsePackageName(s); err == nil && n.String() != s {
			t.Errorf("%q is read as %+v", s, n)
		}
	})
}
