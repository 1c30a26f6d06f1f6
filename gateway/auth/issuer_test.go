package auth

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// keys are what gateways share.
type keys struct {
	mu    sync.Mutex
	all   []SigningKey
	reads int
	away  error
}

func (k *keys) SigningKeys(context.Context) ([]SigningKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reads++
	return slices.Clone(k.all), k.away
}

func (k *keys) AddSigningKey(_ context.Context, s SigningKey) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, s)
	return k.away
}

func (k *keys) DropSigningKeys(_ context.Context, before time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = slices.DeleteFunc(k.all, func(s SigningKey) bool { return s.ExpiresAt.Before(before) })
	return k.away
}

// house is two gateways that share keys and API tokens.
type house struct {
	*clock
	keys   *keys
	tokens *tokens
	a, b   *Issuer
}

func newHouse(t *testing.T) *house {
	h := &house{keys: &keys{}, tokens: newTokens(t)}
	h.clock = h.tokens.clock
	h.a = NewIssuer(h.keys, h.tokens.Holder, h.now)
	h.b = NewIssuer(h.keys, h.tokens.Holder, h.now)
	return h
}

func scopes(t testing.TB, text string) []Scope {
	t.Helper()
	all, err := ParseScopes(text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (h *house) give(t *testing.T, i *Issuer, p Principal, secret, scope string) Given {
	t.Helper()
	g, err := i.Give(t.Context(), p, secret, scopes(t, scope), true)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// is fails the test unless the outcome of a token is one.
func is(t *testing.T, what string, i *Issuer, token string, want error) Principal {
	t.Helper()
	p, known, err := i.Identify(t.Context(), Credentials{Bearer: token})
	if !errors.Is(err, want) || known != (want == nil) {
		t.Errorf("%s: known %v, %v; want %v", what, known, err, want)
	}
	return p
}

// A token carries what was asked for of what its principal may do, to all gateways,
// for five minutes.
func TestSignedTokens(t *testing.T) {
	h := newHouse(t)
	ann := Principal{Name: "ann", Grants: grants(t, "pull:*", "push:ann", "overwrite:ann/app"), Authenticated: true}
	g := h.give(t, h.a, ann, "a password", "repository:ann/app:push,pull repository:bob/x:pull,push,delete repository:ann/new:*")
	if g.Refresh != "" || h.give(t, h.a, ann, "first secret", "").Refresh != "" {
		t.Error("a refreshing token for what nobody can ask for again, or may guess")
	}
	p := is(t, "elsewhere", h.b, g.Access, nil)
	if p.Name != "ann" || !p.Scoped {
		t.Errorf("%+v", p)
	}
	for what, want := range map[string]bool{
		"pull ann/app": true, "push ann/app": true, "overwrite ann/app": true, "delete ann/app": false,
		"pull bob/x": true, "push bob/x": false, "delete bob/x": false,
		"push ann/new": true, "overwrite ann/new": false, "pull ann/new": true,
		// Not what lies below, above or elsewhere, though ann may.
		"pull ann/app/below": false, "pull ann": false, "pull team/app": false, "push ann": false,
	} {
		verb, on, _ := strings.Cut(what, " ")
		if p.May(Verb(verb), Resource(on)) != want {
			t.Errorf("%s: want %v of %v", what, want, p.Grants)
		}
	}
	h.advance(AccessLife - time.Second)
	is(t, "in its last second", h.b, g.Access, nil)
	h.advance(time.Second)
	is(t, "expired", h.b, g.Access, ErrCredentials)
	is(t, "expired, where it was made", h.a, g.Access, ErrCredentials)
	h.advance(-AccessLife - time.Minute)
	is(t, "not yet good", h.b, g.Access, ErrCredentials)
}

func TestSignedTokenOfAPIToken(t *testing.T) {
	h := newHouse(t)
	secret := h.tokens.add(RegisteredToken{Principal: "ci", Grants: []string{"pull:*"}, ExpiresAt: h.at.Add(time.Hour)})
	ci := Principal{Name: "ci", Grants: grants(t, "pull:*")}
	g := h.give(t, h.a, ci, secret, "repository:a:pull")
	if strings.Contains(g.Access+g.Refresh, secret) || g.Refresh == "" {
		t.Fatal("the API token is in it, or no refreshing one")
	}
	is(t, "good", h.b, g.Access, nil)
	is(t, "refreshing, as another", h.b, g.Refresh, ErrCredentials)
	if _, err := h.b.Refresh(t.Context(), g.Access, nil); !errors.Is(err, ErrCredentials) {
		t.Errorf("refresh with an access token: %v", err)
	}
	again, err := h.b.Refresh(t.Context(), g.Refresh, scopes(t, "repository:b:pull,push"))
	if err != nil || again.Refresh != "" {
		t.Fatalf("%+v, %v", again, err)
	}
	if p := is(t, "again", h.a, again.Access, nil); !p.May(Pull, "b") || p.May(Push, "b") || p.May(Pull, "a") {
		t.Errorf("%v", p.Grants)
	}
	sum := sha256.Sum256([]byte(secret))
	r := h.tokens.registry[sum]
	r.Principal = "another"
	h.tokens.registry[sum] = r
	is(t, "of another by now", h.a, again.Access, ErrCredentials)
	r.Principal, r.RevokedAt = "ci", h.at
	h.tokens.registry[sum] = r
	is(t, "revoked", h.a, again.Access, ErrCredentials)
	is(t, "revoked", h.b, g.Access, ErrCredentials)
	if _, err := h.a.Refresh(t.Context(), g.Refresh, nil); !errors.Is(err, ErrCredentials) {
		t.Errorf("refresh of a revoked one: %v", err)
	}
	h.tokens.away = errors.New("away")
	is(t, "without the registry", h.a, g.Access, h.tokens.away)
}

// One gateway makes a key a day; all find it, and the old ones stay as long as what
// they signed.
func TestKeysRotate(t *testing.T) {
	h := newHouse(t)
	p := Principal{Name: "ann", Grants: grants(t, "pull:*")}
	first := h.give(t, h.a, p, h.tokens.add(RegisteredToken{Principal: "ann"}), "").Refresh
	if first == "" || len(h.keys.all) != 1 {
		t.Fatalf("%q, %d keys", first, len(h.keys.all))
	}
	is(t, "by another's new key", h.b, h.give(t, h.a, p, "", "").Access, nil)
	h.give(t, h.b, p, "", "")
	if len(h.keys.all) != 1 {
		t.Fatalf("%d keys on one day", len(h.keys.all))
	}
	old := h.give(t, h.a, p, "", "").Access
	h.advance(signsFor - time.Minute)
	old = cmp.Or(h.give(t, h.a, p, "", "").Access, old)
	h.advance(2 * time.Minute)
	is(t, "by the key of yesterday", h.a, old, nil)
	next := h.give(t, h.b, p, "", "").Access
	if len(h.keys.all) != 2 {
		t.Fatalf("%d keys on the second day", len(h.keys.all))
	}
	is(t, "by the key of today", h.a, next, nil)
	is(t, "by the key of yesterday, still", h.b, old, nil)
	h.give(t, h.a, p, "", "")
	if len(h.keys.all) != 2 {
		t.Fatalf("%d keys: the other gateway made one more", len(h.keys.all))
	}
	h.advance(keyLife + time.Second)
	is(t, "by an expired key", h.a, first, ErrCredentials)
	h.give(t, h.a, p, "", "")
	if len(h.keys.all) != 1 {
		t.Errorf("%d keys, of which all but one have expired", len(h.keys.all))
	}
	if keyLife < signsFor+RefreshLife+skew {
		t.Error("a key may go before its last token")
	}
}

// Unknown keys cost the registry little, and a key that was taken out is soon good
// for nothing.
func TestUnknownAndRemovedKeys(t *testing.T) {
	h := newHouse(t)
	p := Principal{Name: "ann"}
	good := h.give(t, h.a, p, "", "").Access
	is(t, "good", h.a, good, nil)
	foreign := newHouse(t)
	for range 1000 {
		is(t, "of another house", h.a, foreign.give(t, foreign.a, p, "", "").Access, ErrCredentials)
	}
	if h.keys.reads > burst+5 {
		t.Errorf("%d reads of the keys for 1000 unknown ones", h.keys.reads)
	}
	h.advance(unknownEach)
	h.keys.away = errors.New("away")
	is(t, "unknown, without the registry", h.a, foreign.give(t, foreign.a, p, "", "").Access, h.keys.away)
	h.advance(ringFresh)
	is(t, "known, without the registry", h.a, good, nil)
	h.keys.away = nil
	h.keys.all = nil
	h.advance(ringFresh)
	is(t, "its key was taken out", h.a, good, ErrCredentials)
}

// Whatever else a token is, it is not good.
func TestForgedTokens(t *testing.T) {
	h := newHouse(t)
	p := Principal{Name: "ann", Grants: grants(t, "pull:*")}
	good := h.give(t, h.a, p, "", "repository:a:pull").Access
	key := h.keys.all[0]
	private := ed25519.NewKeyFromSeed(key.Secret)
	public := private.Public().(ed25519.PublicKey)
	parts := strings.Split(good, ".")
	says := func(change func(map[string]any)) []byte {
		raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
		m := map[string]any{}
		json.Unmarshal(raw, &m)
		change(m)
		raw, _ = json.Marshal(m)
		return raw
	}
	sign := func(alg jose.SignatureAlgorithm, with any, id string, payload []byte) string {
		s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: with, KeyID: id}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.Sign(payload)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := o.CompactSerialize()
		return text
	}
	unchanged := says(func(map[string]any) {})
	is(t, "signed by hand", h.b, sign(jose.EdDSA, private, key.ID, unchanged), nil)
	_, other, _ := ed25519.GenerateKey(nil)
	b64 := base64.RawURLEncoding.EncodeToString
	set := func(name string, v any) string {
		return sign(jose.EdDSA, private, key.ID, says(func(m map[string]any) { m[name] = v }))
	}
	for what, token := range map[string]string{
		"no algorithm":                     b64([]byte(`{"alg":"none","kid":"`+key.ID+`"}`)) + "." + parts[1] + ".",
		"no algorithm, with the signature": b64([]byte(`{"alg":"none","kid":"`+key.ID+`"}`)) + "." + parts[1] + "." + parts[2],
		"the public key as a secret":       sign(jose.HS256, []byte(public), key.ID, unchanged),
		"another key of the same id":       sign(jose.EdDSA, other, key.ID, unchanged),
		"no id":                            sign(jose.EdDSA, private, "", unchanged),
		"another id":                       sign(jose.EdDSA, private, "x", unchanged),
		"more access":                      parts[0] + "." + b64(says(func(m map[string]any) { m["access"] = []string{"*:*"} })) + "." + parts[2],
		"no signature":                     parts[0] + "." + parts[1] + ".",
		"another audience":                 set("aud", "other"),
		"for refreshing":                   set("aud", refreshAudience),
		"nobody":                           set("sub", ""),
		"not yet":                          set("nbf", h.at.Add(time.Minute).Unix()),
		"expired":                          set("exp", h.at.Unix()),
		"no end":                           set("exp", 0),
		"grants that are none":             set("access", []string{"all"}),
		"another form of them":             set("access", "*:*"),
		"an API token that is none":        set("api_token", "00"),
		"an API token that is not there":   set("api_token", strings.Repeat("0", 64)),
	} {
		is(t, what, h.b, token, ErrCredentials)
	}
	endless := set("exp", h.at.Add(2*keyLife).Unix())
	is(t, "for long, signed by hand", h.b, endless, nil)
	h.advance(keyLife)
	is(t, "for longer than its key", h.b, endless, ErrCredentials)
	// What is not of its kind is left to others.
	for what, token := range map[string]string{
		"another issuer": set("iss", "https://ci.example.org"), "a word": "word", "an API token": NewToken(), "dots": "..", "four parts": good + ".x", "none": "",
	} {
		if _, known, err := h.b.Identify(t.Context(), Credentials{Bearer: token}); known || err != nil {
			t.Errorf("%s: %v, %v", what, known, err)
		}
	}
	if _, known, err := h.b.Identify(t.Context(), Credentials{User: "ann", Password: good}); known || err != nil {
		t.Errorf("as a password: %v, %v", known, err)
	}
}

// A token for who said nothing makes nobody of them.
func TestSignedForAnonymous(t *testing.T) {
	h := newHouse(t)
	g := &Gate{Methods: []Method{&h.tokens.Tokens}, Anonymous: grants(t, "pull:public"), Issuer: h.a}
	nobody, err := g.Know(t.Context(), Credentials{})
	if err != nil {
		t.Fatal(err)
	}
	for token, known := range map[string]bool{
		h.give(t, h.a, nobody, "", "repository:public/x:pull,push").Access: false,
		h.give(t, h.a, Principal{Name: "ann"}, "", "").Access:              true,
	} {
		p, err := g.Know(t.Context(), Credentials{Bearer: token})
		if err != nil || p.Authenticated != known || !p.Scoped || p.May(Push, "public/x") || p.May(Pull, "public/x") == known {
			t.Errorf("%+v, %v", p, err)
		}
	}
}

func TestKeysAreMadeOnce(t *testing.T) {
	h := newHouse(t)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() { h.give(t, h.a, Principal{Name: "ann"}, "", "") })
	}
	all.Wait()
	if len(h.keys.all) != 1 {
		t.Errorf("%d keys", len(h.keys.all))
	}
	h = newHouse(t)
	h.keys.all = []SigningKey{{ID: "x", Secret: []byte("short"), CreatedAt: h.at, ExpiresAt: h.at.Add(time.Hour)}}
	if _, err := h.a.Give(t.Context(), Principal{Name: "ann"}, "", nil, false); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a key that is none: %v", err)
	}
}

func TestTooMuch(t *testing.T) {
	h := newHouse(t)
	p := Principal{Name: "ann", Grants: grants(t, "pull:*")}
	var many []Grant
	for range 400 {
		many = append(many, Grant{Pull, strings.Repeat("x", 99) + NewToken()})
	}
	if _, err := h.a.Give(t.Context(), Principal{Name: "ann", Grants: many}, "", scopes(t, "registry:catalog:*"), false); !errors.Is(err, ErrTooMuch) {
		t.Errorf("%v", err)
	}
	catalog := is(t, "the catalogue", h.a, h.give(t, h.a, p, "", "registry:catalog:*").Access, nil)
	if !catalog.MaySomewhere(Pull) || catalog.May(Push, "a") {
		t.Errorf("%v", catalog.Grants)
	}
}

// What nobody signed is never good, and never breaks anything.
func FuzzSigned(f *testing.F) {
	k := &keys{}
	i := NewIssuer(k, nil, time.Now)
	if _, err := i.Give(f.Context(), Principal{Name: "ann"}, "", nil, false); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, known, err := i.Identify(t.Context(), Credentials{Bearer: text})
		if known || err != nil && !errors.Is(err, ErrCredentials) {
			t.Errorf("known %v, %v", known, err)
		}
		if err != nil && issuerOf(text) != Service {
			t.Errorf("not of its kind, and refused: %v", err)
		}
	})
}

// What a request costs that brings a signed token: remembered, and for the first time.
func BenchmarkSigned(b *testing.B) {
	for name, most := range map[string]int{"remembered": maxSeen, "first": 0} {
		b.Run(name, func(b *testing.B) {
			i := NewIssuer(&keys{}, nil, time.Now)
			i.seen = newBounded[[sha256.Size]byte, signed](most)
			g, err := i.Give(b.Context(), Principal{Name: "ann", Grants: []Grant{{Pull, "*"}}}, "", scopes(b, "repository:a:pull,push"), false)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if most == 0 {
					clear(i.seen.m)
				}
				if _, known, err := i.Identify(b.Context(), Credentials{Bearer: g.Access}); !known {
					b.Fatal(err)
				}
			}
		})
	}
}
