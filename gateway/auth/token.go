package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// tokenPrefix begins every token that [NewToken] makes, so that people and scanners of
// source code see what it is.
const tokenPrefix = "ast_"

// tokenBytes is how much chance a token has.
const tokenBytes = 32

// NewToken returns the text of a new token: "ast_" and 256 random bits in base64url.
func NewToken() string {
	var b [tokenBytes]byte
	rand.Read(b[:])
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// isToken reports whether a text has the form of a token.
func isToken(text string) bool {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	if !ok || len(rest) != base64.RawURLEncoding.EncodedLen(tokenBytes) {
		return false
	}
	_, err := base64.RawURLEncoding.DecodeString(rest)
	return err == nil
}

// ConfiguredToken is a token that is not in the registry.
type ConfiguredToken struct {
	Name   string            // of the principal
	SHA256 [sha256.Size]byte // of the token's text
	Grants []Grant
}

// RegisteredToken is what the registry knows of a token.
type RegisteredToken struct {
	Principal string
	Grants    []string  // each as [ParseGrant] reads it
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time // zero: not
}

// Tokens knows tokens, as bearers and as passwords of any name: Basic is all that some
// clients can send. What has another form is left to other methods.
//
// The registry is asked for every request: a token that was revoked is good nowhere
// from then on.
type Tokens struct {
	Configured []ConfiguredToken
	// Find looks a token up in the registry by the SHA-256 of its text:
	// [ErrCredentials] where it is not there. Nil knows none.
	Find func(context.Context, [sha256.Size]byte) (RegisteredToken, error)
	Now  func() time.Time
}

// Identify implements [Method] for tokens.
func (t *Tokens) Identify(ctx context.Context, c Credentials) (Principal, bool, error) {
	text := c.Bearer
	if text == "" {
		text = c.Password
	}
	if text == "" {
		return Principal{}, false, nil
	}
	sum := sha256.Sum256([]byte(text))
	if p, ok := t.configured(sum); ok {
		return p, true, nil
	}
	if !isToken(text) {
		return Principal{}, false, nil
	}
	if t.Find == nil {
		return Principal{}, false, ErrCredentials
	}
	found, err := t.Find(ctx, sum)
	if err != nil {
		return Principal{}, false, err
	}
	p, err := t.principal(found)
	return p, err == nil, err
}

// configured compares a sum with all configured ones, in the same time whichever it
// is.
func (t *Tokens) configured(sum [sha256.Size]byte) (p Principal, ok bool) {
	at := -1
	for i := range t.Configured {
		equal := subtle.ConstantTimeCompare(sum[:], t.Configured[i].SHA256[:])
		at = subtle.ConstantTimeSelect(equal, i, at)
	}
	if at < 0 {
		return Principal{}, false
	}
	return Principal{Name: t.Configured[at].Name, Grants: t.Configured[at].Grants}, true
}

// principal refuses a token that is no longer good. It does not say why.
func (t *Tokens) principal(r RegisteredToken) (Principal, error) {
	if !r.RevokedAt.IsZero() || !r.ExpiresAt.IsZero() && !t.Now().Before(r.ExpiresAt) {
		return Principal{}, ErrCredentials
	}
	p := Principal{Name: r.Principal}
	for _, text := range r.Grants {
		g, err := ParseGrant(text)
		if err != nil {
			return Principal{}, fmt.Errorf("a token of %s: %w", r.Principal, err)
		}
		p.Grants = append(p.Grants, g)
	}
	return p, nil
}

var _ Method = (*Tokens)(nil)
