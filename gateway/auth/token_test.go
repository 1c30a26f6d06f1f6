package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNewToken(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		text := NewToken()
		if len(text) != 47 || !isToken(text) || seen[text] {
			t.Fatalf("%q", text)
		}
		seen[text] = true
	}
	good := NewToken()
	for _, text := range []string{"", "ast_", good[1:], good + "A", good[:46], good[:46] + "=", good[:46] + "+", strings.ToUpper(good[:4]) + good[4:], " " + good} {
		if isToken(text) {
			t.Errorf("%q has the form of a token", text)
		}
	}
}

// tokens are two configured ones and those of a registry.
type tokens struct {
	*clock
	Tokens
	registry map[[sha256.Size]byte]RegisteredToken
	asked    int
	away     error
}

func newTokens(t *testing.T) *tokens {
	k := &tokens{clock: newClock(), registry: map[[sha256.Size]byte]RegisteredToken{}}
	k.Tokens = Tokens{
		Configured: []ConfiguredToken{
			{"ci", sha256.Sum256([]byte("first secret")), grants(t, "push:ci")},
			{"deploy", sha256.Sum256([]byte("second secret")), grants(t, "pull:*")},
		},
		Find: func(_ context.Context, sum [sha256.Size]byte) (RegisteredToken, error) {
			k.asked++
			r, ok := k.registry[sum]
			if !ok && k.away == nil {
				return r, ErrCredentials
			}
			return r, k.away
		},
		Now: k.now,
	}
	return k
}

func (k *tokens) add(r RegisteredToken) (text string) {
	text = NewToken()
	k.registry[sha256.Sum256([]byte(text))] = r
	return text
}

func TestTokens(t *testing.T) {
	k := newTokens(t)
	known := k.add(RegisteredToken{Principal: "ann", Grants: []string{"push:ann", "pull:*"}})
	ann := Principal{Name: "ann", Grants: grants(t, "push:ann", "pull:*")}
	for name, tc := range map[string]struct {
		Credentials
		want  Principal
		known bool
		err   error
	}{
		"bearer":                   {Credentials{Bearer: known}, ann, true, nil},
		"a password":               {Credentials{User: "whoever", Password: known}, ann, true, nil},
		"a password without name":  {Credentials{Password: known}, ann, true, nil},
		"configured":               {Credentials{Bearer: "first secret"}, Principal{Name: "ci", Grants: grants(t, "push:ci")}, true, nil},
		"configured, as password":  {Credentials{User: "x", Password: "second secret"}, Principal{Name: "deploy", Grants: grants(t, "pull:*")}, true, nil},
		"as a name":                {Credentials{User: known}, Principal{}, false, nil},
		"of another form":          {Credentials{Bearer: "third secret"}, Principal{}, false, nil},
		"a web token":              {Credentials{Bearer: "eyJ.eyJ.c2ln"}, Principal{}, false, nil},
		"none":                     {Credentials{}, Principal{}, false, nil},
		"not in the registry":      {Credentials{Bearer: NewToken()}, Principal{}, false, ErrCredentials},
		"not there, as a password": {Credentials{User: "ann", Password: NewToken()}, Principal{}, false, ErrCredentials},
	} {
		p, isKnown, err := k.Identify(t.Context(), tc.Credentials)
		if diff := cmp.Diff(tc.want, p); diff != "" || isKnown != tc.known || !errors.Is(err, tc.err) {
			t.Errorf("%s: known %v, %v (-want +got):\n%s", name, isKnown, err, diff)
		}
	}
}

// The registry is asked every time, so what it says holds at once.
func TestTokensEnd(t *testing.T) {
	k := newTokens(t)
	expires := k.add(RegisteredToken{Principal: "ann", ExpiresAt: k.at.Add(time.Hour)})
	revoked := k.add(RegisteredToken{Principal: "bob"})
	good := func(text string) error {
		_, _, err := k.Identify(t.Context(), Credentials{Bearer: text})
		return err
	}
	if err := errors.Join(good(expires), good(revoked)); err != nil {
		t.Fatal(err)
	}
	k.advance(time.Hour - 1)
	if err := good(expires); err != nil {
		t.Errorf("before it expires: %v", err)
	}
	k.advance(1)
	if err := good(expires); !errors.Is(err, ErrCredentials) {
		t.Errorf("expired: %v", err)
	}
	sum := sha256.Sum256([]byte(revoked))
	k.registry[sum] = RegisteredToken{Principal: "bob", RevokedAt: k.at}
	if err := good(revoked); !errors.Is(err, ErrCredentials) {
		t.Errorf("revoked: %v", err)
	}
	k.away = errors.New("away")
	if err := good(revoked); !errors.Is(err, k.away) {
		t.Errorf("without a registry: %v", err)
	}
	k.away = nil
	damaged := k.add(RegisteredToken{Principal: "eve", Grants: []string{"pull:*", "all"}})
	if _, known, err := k.Identify(t.Context(), Credentials{Bearer: damaged}); known || err == nil || errors.Is(err, ErrCredentials) {
		t.Errorf("grants that mean nothing: %v, %v", known, err)
	}
}

// What cannot be in the registry is not asked for.
func TestTokensAskSeldom(t *testing.T) {
	k := newTokens(t)
	for _, c := range []Credentials{{}, {Bearer: "x"}, {Bearer: "first secret"}, {User: "ann", Password: "a password"}} {
		k.Identify(t.Context(), c)
	}
	if k.asked != 0 {
		t.Errorf("asked %d times", k.asked)
	}
}
