package oci

import (
	"net/http/httptest"
	"strings"
	"testing"

	"artifactstore/gateway/auth"
)

// Whatever a request and a host are, the challenge is one field of quoted strings, and
// its scope reads as one.
func FuzzChallenge(f *testing.F) {
	f.Fuzz(func(t *testing.T, method, name, from, realm string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Method, r.URL.RawPath, r.URL.Path, r.URL.RawQuery = method, "", "/v2/"+name+"/blobs/uploads/", "from="+from
		text := Challenge(r, realm, auth.ErrCredentials)
		inside := false
		for i := 0; i < len(text); i++ {
			switch c := text[i]; {
			case c < ' ' || c >= 0x7f:
				t.Fatalf("%q has %q", text, c)
			case c == '\\' && inside:
				i++
			case c == '"':
				inside = !inside
			}
		}
		if inside {
			t.Errorf("%q does not end its quotes", text)
		}
		if scope := scopeOf(r); scope != "" {
			if _, err := auth.ParseScopes(scope); err != nil || strings.Contains(scope, "\n") {
				t.Errorf("%q: %v", scope, err)
			}
		}
	})
}
