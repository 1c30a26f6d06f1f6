package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// ci is an issuer of its own: a server over TLS with keys that change.
type ci struct {
	t    *testing.T
	http *httptest.Server
	at   string // the address, also after a restart

	mu     sync.Mutex
	keys   map[string]crypto.Signer // published, by their ids
	says   func(w http.ResponseWriter, r *http.Request) bool
	asked  map[string]int
	config map[string]any
}

func newCI(t *testing.T) *ci {
	c := &ci{t: t, keys: map[string]crypto.Signer{}, asked: map[string]int{}}
	c.start("127.0.0.1:0")
	t.Cleanup(func() { c.http.Close() })
	return c
}

// start serves, at the same address as before where there was one.
func (c *ci) start(at string) {
	c.t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		c.t.Fatal(err)
	}
	c.http = httptest.NewUnstartedServer(http.HandlerFunc(c.serve))
	c.http.Listener.Close()
	c.http.Listener = l
	c.http.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	c.http.StartTLS()
	c.at = l.Addr().String()
}

func (c *ci) url() string { return "https://" + c.at }

func (c *ci) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[r.URL.Path]++
	if c.says != nil && c.says(w, r) {
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		says := map[string]any{"issuer": c.url(), "jwks_uri": c.url() + "/keys", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}}
		maps.Copy(says, c.config)
		json.NewEncoder(w).Encode(says)
	case "/keys":
		var set jose.JSONWebKeySet
		for id, key := range c.keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public(), KeyID: id, Use: "sig"})
		}
		json.NewEncoder(w).Encode(set)
	default:
		http.NotFound(w, r)
	}
}

// publish makes a key known, nil takes it out.
func (c *ci) publish(id string, key crypto.Signer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key == nil {
		delete(c.keys, id)
		return
	}
	c.keys[id] = key
}

func (c *ci) count(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[path]
}

// jwt signs claims by hand.
func jwt(t testing.TB, alg jose.SignatureAlgorithm, key any, id string, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	token, err := o.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// job is an issuer, what knows its tokens, and a clock.
type job struct {
	*clock
	*ci
	oidc *OIDC
	log  *strings.Builder
	rsa  *rsa.PrivateKey
}

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newJob(t *testing.T) *job {
	j := &job{clock: newClock(), ci: newCI(t), log: &strings.Builder{}, rsa: rsaKey()}
	j.publish("one", j.rsa)
	j.oidc = j.knowing()
	return j
}

func (j *job) knowing() *OIDC {
	return NewOIDC([]OIDCIssuer{{
		URL: j.url(), Audience: "store", PrincipalClaim: "sub", Transport: j.http.Client().Transport,
		Rules: []ClaimRule{
			{Claims: map[string]string{"repository": "org/*", "ref": "refs/tags/*"}, Principal: "release", Grants: grants(j.t, "push:release")},
			{Claims: map[string]string{"repository": "org/*"}, Grants: grants(j.t, "push:org")},
		},
	}}, j.now, slog.New(slog.NewTextHandler(j.log, nil)))
}

// claims are good ones, with changes; nil takes one out.
func (j *job) claims(changes map[string]any) map[string]any {
	all := map[string]any{
		"iss": j.url(), "aud": "store", "sub": "job-7", "repository": "org/app", "ref": "refs/heads/main",
		"iat": j.at0(), "nbf": j.at0(), "exp": j.at0() + 600,
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return all
}

func (j *job) at0() int64 { return j.clock.at.Unix() }

func (j *job) token(changes map[string]any) string {
	return jwt(j.t, jose.RS256, j.rsa, "one", j.claims(changes))
}

// is fails the test unless the outcome of a token is one.
func (j *job) is(what, token string, want error) Principal {
	j.t.Helper()
	p, known, err := j.oidc.Identify(j.t.Context(), Credentials{Bearer: token})
	if !errors.Is(err, want) || known != (want == nil) {
		j.t.Errorf("%s: known %v, %v; want %v\n%s", what, known, err, want, j.log)
	}
	if signature := token[strings.LastIndexByte(token, '.')+1:]; len(signature) > 20 && strings.Contains(j.log.String(), signature) {
		j.t.Errorf("%s: the token's signature is in the log", what)
	}
	return p
}

func TestOIDC(t *testing.T) {
	j := newJob(t)
	if p := j.is("a branch", j.token(nil), nil); p.Name != "job-7" || !p.May(Push, "org/x") || p.May(Push, "release") {
		t.Errorf("%+v", p)
	}
	if p := j.is("a tag", j.token(map[string]any{"ref": "refs/tags/v1"}), nil); p.Name != "release" || !p.May(Push, "release/x") || p.May(Push, "org") {
		t.Errorf("%+v", p)
	}
	if p := j.is("a name with signs", j.token(map[string]any{"sub": "repo:org/app"}), nil); p.Name != "repo+3Aorg+2Fapp" {
		t.Errorf("%+v", p)
	}
	j.is("one of several audiences", j.token(map[string]any{"aud": []string{"other", "store"}}), nil)
	if p, known, err := j.oidc.Identify(t.Context(), Credentials{User: "job", Password: j.token(nil)}); p.Name != "job-7" || !known || err != nil {
		t.Errorf("as a password: %v, %v", known, err)
	}
	for what, change := range map[string]map[string]any{
		"expired":                   {"exp": j.at0() - 1},
		"without an end":            {"exp": nil},
		"not yet good":              {"nbf": j.at0() + 90},
		"for another":               {"aud": "other"},
		"for others":                {"aud": []string{"other", "storefront"}},
		"for nobody":                {"aud": nil},
		"of another repository":     {"repository": "other/app"},
		"of a repository below":     {"repository": "org/app/x"},
		"without a repository":      {"repository": nil},
		"with parts":                {"repository": map[string]any{"org/app": "org/app"}},
		"of nobody":                 {"sub": ""},
		"of anonymous":              {"sub": "anonymous"},
		"of two":                    {"sub": nil, "subs": []string{"a", "b"}},
		"with claims to be fetched": {"_claim_names": map[string]any{"x": "y"}},
		"nbf that is no time":       {"nbf": "x"},
	} {
		j.is(what, j.token(change), ErrCredentials)
	}
	// What is not of its kind is left to others, and costs no question.
	asked := j.count("/keys")
	for what, text := range map[string]string{
		"another issuer": j.token(map[string]any{"iss": "https://other.example.org"}), "a longer one": j.token(map[string]any{"iss": j.url() + "/"}),
		"a word": "word", "an API token": NewToken(), "ours": j.token(map[string]any{"iss": Service}), "none": "",
	} {
		if _, known, err := j.oidc.Identify(t.Context(), Credentials{Bearer: text}); known || err != nil {
			t.Errorf("%s: %v, %v", what, known, err)
		}
	}
	if j.count("/keys") != asked || asked != 1 {
		t.Errorf("the keys were read %d times", j.count("/keys"))
	}
	// One that was good is no longer when its time is over.
	token := j.token(map[string]any{"exp": j.at0() + 9})
	j.is("good", token, nil)
	j.advance(10 * time.Second)
	j.is("good no longer", token, ErrCredentials)
}

// Only what a published key has signed, in a way that needs its private part, is good.
func TestOIDCForged(t *testing.T) {
	j := newJob(t)
	good := j.token(nil)
	parts := strings.Split(good, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	public, err := x509.MarshalPKIXPublicKey(j.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	inPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	embedded, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: other, KeyID: "one"}}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(j.claims(nil))
	o, err := embedded.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	withKey, _ := o.CompactSerialize()
	for what, token := range map[string]string{
		"no algorithm":                      b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"no algorithm, in capitals":         b64([]byte(`{"alg":"None","kid":"one"}`)) + "." + parts[1] + ".",
		"no algorithm, signed":              b64([]byte(`{"alg":"none","kid":"one"}`)) + "." + parts[1] + "." + parts[2],
		"the public key as a secret":        jwt(t, jose.HS256, public, "one", j.claims(nil)),
		"the public key as a secret in PEM": jwt(t, jose.HS256, inPEM, "one", j.claims(nil)),
		"the modulus as a secret":           jwt(t, jose.HS256, j.rsa.N.Bytes(), "one", j.claims(nil)),
		"another key of its id":             jwt(t, jose.RS256, other, "one", j.claims(nil)),
		"another key":                       jwt(t, jose.RS256, other, "two", j.claims(nil)),
		"another key, no id":                jwt(t, jose.RS256, other, "", j.claims(nil)),
		"another kind of key of its id":     jwt(t, jose.EdDSA, ed, "one", j.claims(nil)),
		"a key that it brings":              withKey,
		"other claims":                      parts[0] + "." + b64([]byte(strings.Replace(string(text), "job-7", "job-8", 1))) + "." + parts[2],
		"no signature":                      parts[0] + "." + parts[1] + ".",
	} {
		j.is(what, token, ErrCredentials)
	}
	j.is("good", good, nil)
	j.is("good, without an id", jwt(t, jose.RS256, j.rsa, "", j.claims(nil)), nil)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	j.publish("ec", ec)
	j.publish("ed", ed)
	j.is("elliptic", jwt(t, jose.ES256, ec, "ec", j.claims(nil)), nil)
	j.is("Ed25519", jwt(t, jose.EdDSA, ed, "ed", j.claims(nil)), nil)
	j.is("RSA with PSS", jwt(t, jose.PS256, j.rsa, "one", j.claims(nil)), nil)
}

// Keys come and go while the gateway runs.
func TestOIDCRotation(t *testing.T) {
	j := newJob(t)
	old := j.token(nil)
	j.is("by the first key", old, nil)
	_, next, _ := ed25519.GenerateKey(rand.Reader)
	signed := jwt(t, jose.EdDSA, next, "two", j.claims(map[string]any{"exp": j.at0() + 7200}))
	j.is("by a key that is not published yet", signed, ErrCredentials)
	j.publish("two", next)
	j.is("by the next key", signed, nil)
	j.is("by the first, still", old, nil)

	// A key that is taken out is good for a minute more at most.
	j.publish("one", nil)
	j.advance(keysFresh)
	j.is("by the key that was taken out", old, ErrCredentials)
	j.is("by the other", signed, nil)

	// Unknown keys cost the issuer little.
	before := j.count("/keys")
	for range 500 {
		j.is("unknown", jwt(t, jose.EdDSA, next, rand.Text(), j.claims(nil)), ErrCredentials)
	}
	if n := j.count("/keys") - before; n > keysBurst {
		t.Errorf("the keys were read %d times for unknown ones", n)
	}
}

// An issuer may be away when the gateway starts, and for a while later.
func TestOIDCAway(t *testing.T) {
	j := newJob(t)
	at := j.at0()
	j.http.Close()
	j.is("away from the start", j.token(nil), ErrUnavailable)
	j.start(j.ci.at)
	j.is("back, too early to ask", j.token(nil), ErrUnavailable)
	j.advance(keysRetry)
	token := j.token(map[string]any{"exp": at + 86400})
	j.is("back", token, nil)
	j.http.Close()
	j.advance(keysFresh + time.Minute)
	j.is("away again", token, nil)
	j.is("by an unknown key", jwt(t, jose.RS256, j.rsa, "x", j.claims(nil)), ErrUnavailable)
	j.advance(keysStale)
	j.is("away for too long", token, ErrUnavailable)
	if strings.Count(j.log.String(), "cannot be read") > 5 {
		t.Errorf("%s", j.log)
	}
}

// What an issuer says wrongly is not believed.
func TestOIDCWrongAnswers(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[]}`)) }))
	defer plain.Close()
	for what, spoil := range map[string]func(*ci){
		"another issuer":    func(c *ci) { c.config = map[string]any{"issuer": "https://other.example.org"} },
		"keys in the plain": func(c *ci) { c.config = map[string]any{"jwks_uri": "http://" + c.at + "/keys"} },
		"keys nowhere":      func(c *ci) { c.config = map[string]any{"jwks_uri": nil} },
		"keys in a file":    func(c *ci) { c.config = map[string]any{"jwks_uri": "file:///etc/keys"} },
		"no JSON": func(c *ci) {
			c.says = func(w http.ResponseWriter, r *http.Request) bool {
				w.Write([]byte("<html>"))
				return r.URL.Path == "/keys"
			}
		},
		"an error": func(c *ci) {
			c.says = func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(500); return true }
		},
		"no end": func(c *ci) { c.says = endless },
		"a way into the plain": func(c *ci) {
			c.says = func(w http.ResponseWriter, r *http.Request) bool {
				keys := r.URL.Path == "/keys"
				if keys {
					http.Redirect(w, r, plain.URL, 302)
				}
				return keys
			}
		},
		"a circle": func(c *ci) {
			c.says = func(w http.ResponseWriter, r *http.Request) bool { http.Redirect(w, r, r.URL.Path, 302); return true }
		},
	} {
		j := newJob(t)
		j.mu.Lock()
		spoil(j.ci)
		j.mu.Unlock()
		j.is(what, j.token(nil), ErrUnavailable)
		j.mu.Lock()
		j.ci.says, j.ci.config = nil, nil
		j.mu.Unlock()
		j.advance(keysRetry)
		j.is(what+", mended", j.token(nil), nil)
	}
}

func endless(w http.ResponseWriter, r *http.Request) bool {
	if r.URL.Path != "/keys" {
		return false
	}
	w.Write([]byte(`{"keys":[`))
	for range 2 * maxAnswer / 1024 {
		if _, err := w.Write([]byte(strings.Repeat(" ", 1024))); err != nil {
			break
		}
	}
	w.Write([]byte(`]}`))
	return true
}

func TestParseKeys(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	set := func(keys ...jose.JSONWebKey) []byte {
		text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for what, tc := range map[string]struct {
		text []byte
		want int
	}{
		"one":            {set(jose.JSONWebKey{Key: rsaKey().Public()}), 1},
		"a private one":  {set(jose.JSONWebKey{Key: ed}), 0},
		"a secret":       {set(jose.JSONWebKey{Key: []byte("secret secret secret secret sec!")}), 0},
		"a short one":    {set(jose.JSONWebKey{Key: short.Public()}), 0},
		"for encryption": {set(jose.JSONWebKey{Key: rsaKey().Public(), Use: "enc"}), 0},
		"of a kind that is not known beside one that is": {[]byte(`{"keys":[{"kty":"XYZ"},7,` + strings.TrimPrefix(string(set(jose.JSONWebKey{Key: ed.Public()})), `{"keys":[`)), 1},
	} {
		if keys, err := parseKeys(tc.text); err != nil || len(keys) != tc.want {
			t.Errorf("%s: %d keys, %v", what, len(keys), err)
		}
	}
	many := set(slices.Repeat([]jose.JSONWebKey{{Key: ed.Public()}}, maxKeys+1)...)
	for _, text := range []string{"", "x", "[]", `{"keys":{}}`, string(many)} {
		if keys, err := parseKeys([]byte(text)); err == nil {
			t.Errorf("%.40q: %d keys", text, len(keys))
		}
	}
}

func TestClaimRules(t *testing.T) {
	claims := map[string]json.RawMessage{}
	json.Unmarshal([]byte(`{"s":"a/b","n":7,"t":true,"f":false,"z":null,"l":["x","y/z",["w"]],"o":{"a":"b"},"e":""}`), &claims)
	for text, want := range map[string]bool{
		"s=*": true, "s=a/*": true, "s=a/b": true, "s=a*": false, "s=*/*": true, "s=A/b": false, "s=a": false, "s=[": false,
		"n=7": true, "n=*": true, "t=true": true, "f=false": true, "f=*": true, "z=*": false, "z=null": false, "absent=*": false,
		"l=x": true, "l=y/*": true, "l=z": false, "l=w": false, "o=*": false, "o=b": false, "e=*": true, "e=?": false,
	} {
		name, pattern, _ := strings.Cut(text, "=")
		if (ClaimRule{Claims: map[string]string{name: pattern}}).matches(claims) != want {
			t.Errorf("%s: want %v", text, want)
		}
	}
	if (ClaimRule{}).matches(claims) || (ClaimRule{Claims: map[string]string{"s": "a/b", "n": "8"}}).matches(claims) {
		t.Error("a rule of nothing, or half a rule, matches")
	}
}

// Whatever claims are, they are read, and no two texts are one name.
func FuzzClaims(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw, other string) {
		var claims map[string]json.RawMessage
		if json.Unmarshal([]byte(raw), &claims) == nil {
			for name := range claims {
				texts(claims[name])
				(ClaimRule{Claims: map[string]string{name: other}}).matches(claims)
			}
		}
		a, errA := principalName(raw)
		b, errB := principalName(other)
		if errA == nil && errB == nil && (a == b) != (raw == other) {
			t.Errorf("%q and %q are %q and %q", raw, other, a, b)
		}
		if errA == nil && (len(a) > maxName || !principalForm.MatchString(a)) {
			t.Errorf("name %q", a)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if err != nil && len(keys) > 0 || len(keys) > maxKeys {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			if !k.IsPublic() || !k.Valid() {
				t.Errorf("%+v", k)
			}
		}
	})
}

var principalForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)
