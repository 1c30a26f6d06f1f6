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
		for _, c := range []byte(text) {
			if c < ' ' || c >= 0x7f {
				t.Fatalf("%q has %q", text, c)
			}
		}
		shown := strings.Map(func(r rune) rune {
			if r < ' ' || r >= 0x7f {
				return -1
			}
			return r
		}, strings.ToValidUTF8(realm, ""))
		got, rest := unquoted(t, strings.TrimPrefix(text, "Bearer realm="))
		if got != shown || !strings.HasPrefix(rest, `,service="artifactstore"`) {
			t.Errorf("%q: realm %q, and then %q", text, got, rest)
		}
		if scope := scopeOf(r); scope != "" {
			if _, err := auth.ParseScopes(scope); err != nil || strings.Contains(scope, "\n") {
				t.Errorf("%q: %v", scope, err)
			}
		}
	})
}

// unquoted reads the quoted string that a text begins with.
func unquoted(t *testing.T, text string) (value, rest string) {
	t.Helper()
	if !strings.HasPrefix(text, `"`) {
		t.Fatalf("%q begins with no quote", text)
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return value, text[i+1:]
		case '\\':
			i++
		}
		if i < len(text) {
			value += text[i : i+1]
		}
	}
	t.Fatalf("%q does not end its quotes", text)
	return "", ""
}
