package oci

import (
	"errors"
	"net/http"
	"strings"

	"artifactstore/gateway/auth"
)

// Challenge is the WWW-Authenticate of a 401: where a token is to be had that is good
// for what a request asks (RFC 6750, and the distribution project's token
// authentication), of a realm, the address of the token endpoint. It names one way
// only, since clients that know several would take any.
func Challenge(r *http.Request, realm string, err error) string {
	text := "Bearer realm=" + quote(realm) + ",service=" + quote(auth.Service)
	if scope := scopeOf(r); scope != "" {
		text += ",scope=" + quote(scope)
	}
	var refused *auth.Refused
	switch {
	case errors.As(err, &refused) && refused.Scoped:
		text += `,error="insufficient_scope"`
	case errors.Is(err, auth.ErrCredentials) && isBearer(r):
		text += `,error="invalid_token"`
	}
	return text
}

// actions are what clients ask tokens for: who pushes also looks at what is there.
var actions = map[auth.Verb][]string{
	auth.Pull:   {"pull"},
	auth.Push:   {"pull", "push"},
	auth.Delete: {"delete"},
}

// scopeOf is what a token must be for that is good for a request, "" where any is. It
// is one scope also where a mount needs two: some clients cannot read two, and without
// the second the bytes are sent.
func scopeOf(r *http.Request) string {
	q, err := Parse(r.Method, r.URL.EscapedPath(), r.URL.RawQuery)
	if err != nil {
		return ""
	}
	if q.Operation == ListCatalog {
		return auth.Scope{Type: "registry", Name: "catalog", Actions: []string{"*"}}.String()
	}
	if q.Repository == "" {
		return ""
	}
	return auth.Scope{Type: "repository", Name: q.Repository, Actions: actions[needs[q.Operation]]}.String()
}

func isBearer(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer")
}

// quote is a quoted-string (RFC 9110, section 5.6.4). What cannot stand in one is left
// out.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
		case c < ' ' || c >= 0x7f:
			continue
		}
		b.WriteByte(c)
	}
	b.WriteByte('"')
	return b.String()
}
