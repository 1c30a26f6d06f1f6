package main

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"artifactstore/deploy/privateca"
)

// let is a gateway that lets in by OpenID Connect and by client certificates.
type let struct {
	t   *testing.T
	url string
	via *http.Transport
}

// status asks with a bearer, "" for none, and returns the status.
func (l *let) status(method, path, bearer string) (status int, body string) {
	l.t.Helper()
	req, err := http.NewRequest(method, l.url+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	r, err := l.via.RoundTrip(req)
	if err != nil {
		l.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

func (l *let) is(what string, want int, bearer string) {
	l.t.Helper()
	if got, body := l.status("GET", "/v2/org/app/tags/list", bearer); got != want {
		l.t.Errorf("%s: %d %s, want %d", what, got, body, want)
	}
}

// write puts a file into a directory and returns its name.
func write(t *testing.T, dir, name string, text []byte) string {
	t.Helper()
	at := filepath.Join(dir, name)
	if err := os.WriteFile(at, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

// A gateway that starts before its issuer, whose keys change and which goes away
// again: only what the issuer signed for it, and signs now, is let in.
func TestLetInByIssuer(t *testing.T) {
	// For its address, one of this machine on which nobody else takes the port meanwhile.
	first := startIssuer(t, "127.20.0.1:0")
	at := first.url
	first.kill()
	dir := t.TempDir()
	config := write(t, dir, "c.yaml", []byte(`
auth:
  mode: oidc
  oidc:
  - issuer: `+at+`
    audience: store
    rules: [{claims: {repository: "org/*"}, allow: ["pull:org", "push:org"]}]
`))
	s := start(t, command(t), dir, "ARTIFACTSTORE_CONFIG="+config)
	l := &let{t, s.url, &http.Transport{}}
	defer l.via.CloseIdleConnections()

	now := time.Now().Unix()
	claims := func(changes map[string]any) string {
		all := map[string]any{"iss": at, "aud": "store", "sub": "job", "repository": "org/app", "iat": now, "nbf": now - 5, "exp": now + 3600}
		maps.Copy(all, changes)
		text, _ := json.Marshal(all)
		return string(text)
	}
	none := func(header string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims(nil))) + "."
	}
	if got, _ := l.status("GET", "/v2/", none(`{"alg":"RS256","kid":"x"}`)+"AAAA"); got != 503 {
		t.Errorf("while the issuer is away: %d, want 503", got)
	}
	i := startIssuer(t, strings.TrimPrefix(at, "http://"))
	sign := func(id string, changes map[string]any) string {
		return i.ask("/sign", url.Values{"kid": {id}, "claims": {claims(changes)}})
	}
	good := sign("", nil)
	for end := time.Now().Add(startTime); ; time.Sleep(100 * time.Millisecond) {
		got, body := l.status("GET", "/v2/", good)
		if got == 200 {
			break
		}
		if got != 503 || time.Now().After(end) {
			t.Fatalf("after the issuer came: %d %s\n%s", got, body, s.logged())
		}
	}
	l.is("good, nothing there", 404, good)
	l.is("none", 401, "")
	l.is("expired", 401, sign("", map[string]any{"exp": now - 1}))
	l.is("not yet good", 401, sign("", map[string]any{"nbf": now + 900}))
	l.is("for another", 401, sign("", map[string]any{"aud": "other"}))
	l.is("of another issuer", 401, sign("", map[string]any{"iss": "https://other.example.org"}))
	l.is("of another repository", 401, sign("", map[string]any{"repository": "other/app"}))
	l.is("no algorithm", 401, none(`{"alg":"none"}`))
	key, id := i.public()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range map[string][]byte{"DER": der, "modulus": key.(*rsa.PublicKey).N.Bytes()} {
		forged, err := signWith(jose.HS256, secret, id, claims(nil))
		if err != nil {
			t.Fatal(err)
		}
		l.is("the public key as a secret, "+what, 401, forged)
	}

	second := i.ask("/rotate", url.Values{"keep": {"true"}})
	l.is("by the next key", 404, sign(second, nil))
	l.is("by the first, still", 404, good)
	third := i.ask("/rotate", url.Values{"keep": {"false"}})
	l.is("by the only key", 404, sign(third, nil))
	l.is("by a key that was taken out", 401, good)
	l.is("by another", 401, sign(second, nil))

	// What the issuer let in gets a signed token, which works without the issuer.
	status, body := l.status("GET", "/v1/auth/token?scope=repository:org/app:pull,push&scope=repository:other/x:push", sign(third, nil))
	var given struct{ Token string }
	if err := json.Unmarshal([]byte(body), &given); err != nil || status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	by3 := sign(third, nil)
	i.kill()
	l.is("a signed token, without the issuer", 404, given.Token)
	l.is("by the last keys, without the issuer", 404, by3)
	if got, _ := l.status("POST", "/v2/org/app/blobs/uploads/", given.Token); got != 202 {
		t.Errorf("push: %d", got)
	}
	if got, _ := l.status("POST", "/v2/other/x/blobs/uploads/", given.Token); got != 401 {
		t.Errorf("push elsewhere: %d", got)
	}
	for _, secret := range []string{good, given.Token} {
		if strings.Contains(s.logged(), secret) {
			t.Error("a token is in the log")
		}
	}
}

// A client certificate is who one is where nothing else says it, if an authority of
// the configuration made it for a client, now.
func TestLetInByCertificate(t *testing.T) {
	authority := func() *privateca.Authority {
		ca, err := privateca.New("an authority")
		if err != nil {
			t.Fatal(err)
		}
		return ca
	}
	issue := func(ca *privateca.Authority, w privateca.Wish) privateca.Pair {
		p, err := ca.Issue(w)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	servers, clients, others := authority(), authority(), authority()
	dir, pair := t.TempDir(), issue(servers, privateca.Wish{Name: "gateway"})
	config := write(t, dir, "c.yaml", []byte(`
tls: {certificate_ref: "file:`+write(t, dir, "cert.pem", pair.Certificate)+`", key_ref: "file:`+write(t, dir, "key.pem", pair.Key)+`"}
auth:
  mode: certificates
  certificates:
    ca_file: `+write(t, dir, "clients.pem", clients.PEM())+`
    principals: [{name: "build-*", allow: ["pull:org", "push:org"]}]
`))
	s := start(t, command(t), dir, "ARTIFACTSTORE_CONFIG="+config)
	with := func(p *privateca.Pair) *let {
		c := &tls.Config{RootCAs: servers.Pool()}
		if p != nil {
			pair, err := tls.X509KeyPair(p.Certificate, p.Key)
			if err != nil {
				t.Fatal(err)
			}
			// Sent whatever authorities the server names.
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		l := &let{t, s.url, &http.Transport{TLSClientConfig: c}}
		t.Cleanup(l.via.CloseIdleConnections)
		return l
	}
	build := issue(clients, privateca.Wish{Name: "build-7", Client: true})
	l := with(&build)
	l.is("good, nothing there", 404, "")
	l.is("beside a wrong token", 401, "wrong")
	if got, body := l.status("GET", "/v2/other/app/tags/list", ""); got != 403 {
		t.Errorf("what was not granted: %d %s", got, body)
	}
	status, body := l.status("GET", "/v1/auth/token?scope=repository:org/app:push", "")
	var given struct{ Token string }
	if err := json.Unmarshal([]byte(body), &given); err != nil || status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if got, _ := with(nil).status("POST", "/v2/org/app/blobs/uploads/", given.Token); got != 202 {
		t.Errorf("push by the token of a certificate, without it: %d", got)
	}
	with(nil).is("without one", 401, "")
	unnamed := issue(clients, privateca.Wish{Name: "ann", Client: true})
	with(&unnamed).is("of another name", 401, "")
	for what, p := range map[string]privateca.Pair{
		"of another authority": issue(others, privateca.Wish{Name: "build-7", Client: true}),
		"of a server":          issue(clients, privateca.Wish{Name: "build-7"}),
		"expired":              issue(clients, privateca.Wish{Name: "build-7", Client: true, End: time.Now().Add(-time.Hour)}),
	} {
		req, err := http.NewRequest("GET", s.url+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := with(&p).via.RoundTrip(req); err == nil {
			r.Body.Close()
			t.Errorf("%s: %s, want no connection", what, r.Status)
		}
	}
}
