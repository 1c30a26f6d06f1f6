// Package problem is the error answer of the plain face and of the operators'
// paths: application/problem+json (RFC 9457) with a stable code.
package problem

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Problem is an error that knows its HTTP answer. Code is what programs branch
// on and never changes its meaning; Detail is for people.
type Problem struct {
	Status     int
	Code       string
	Detail     string
	RetryAfter int    // seconds, 0 for none
	Allow      string // the methods a 405 names
}

// New returns a problem with a formatted detail.
func New(status int, code, format string, args ...any) *Problem {
	return &Problem{Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// challenges name the ways to say who one is, whichever the gateway was configured
// with: a token is good as either.
var challenges = []string{`Bearer realm="artifactstore"`, `Basic realm="artifactstore", charset="UTF-8"`}

// body is the wire form.
type body struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"request_id,omitempty"`
}

// Write answers a request with the problem. Header fields that described a
// success are removed.
func (p *Problem) Write(w http.ResponseWriter) {
	h := w.Header()
	for _, field := range []string{"Cache-Control", "Content-Disposition", "Content-Length", "Content-Security-Policy", "Etag", "Last-Modified", "Repr-Digest"} {
		h.Del(field)
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", fmt.Sprint(p.RetryAfter))
	}
	if p.Allow != "" {
		h.Set("Allow", p.Allow)
	}
	if p.Status == http.StatusUnauthorized { // RFC 9110, section 11.6.1
		h["Www-Authenticate"] = challenges
	}
	text, _ := json.Marshal(body{"about:blank", http.StatusText(p.Status), p.Status, p.Detail, p.Code, h.Get("X-Request-Id")})
	w.WriteHeader(p.Status)
	w.Write(append(text, '\n'))
}
