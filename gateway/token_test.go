package gateway_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"artifactstore/gateway/auth"
	"artifactstore/gateway/origin"
)

// sharedKeys are what a registry keeps for all gateways.
type sharedKeys struct {
	mu  sync.Mutex
	all []auth.SigningKey
}

func (k *sharedKeys) SigningKeys(context.Context) ([]auth.SigningKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]auth.SigningKey(nil), k.all...), nil
}

func (k *sharedKeys) AddSigningKey(_ context.Context, s auth.SigningKey) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, s)
	return nil
}

func (k *sharedKeys) DropSigningKeys(context.Context, time.Time) error { return nil }

// signing returns a gate of two tokens that signs others: "ci" may push team/app, and
// pull all of team; "plain" may nothing.
func signing(t *testing.T, keys *sharedKeys) *auth.Gate {
	t.Helper()
	tokens := &auth.Tokens{Now: time.Now, Configured: []auth.ConfiguredToken{
		{Name: "ci", SHA256: sha256.Sum256([]byte(ciSecret)), Grants: grantsOf(t, "pull:team", "push:team/app", "delete:other")},
		{Name: "plain", SHA256: sha256.Sum256([]byte("plain-secret"))},
	}}
	return &auth.Gate{
		Methods:   []auth.Method{tokens},
		Anonymous: grantsOf(t, "pull:public"),
		Issuer:    auth.NewIssuer(keys, tokens.Holder, time.Now),
	}
}

func grantsOf(t *testing.T, texts ...string) (all []auth.Grant) {
	t.Helper()
	for _, text := range texts {
		g, err := auth.ParseGrant(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
	}
	return all
}

// ciSecret has the form of an API token: only such a one can be refreshed.
var ciSecret = auth.NewToken()

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// given is an answer of the token endpoint.
type given struct {
	Token    string    `json:"token"`
	Access   string    `json:"access_token"`
	Expires  int       `json:"expires_in"`
	IssuedAt time.Time `json:"issued_at"`
	Refresh  string    `json:"refresh_token"`
}

// token asks for one.
func (h *house) token(method, query, form string, header ...string) given {
	h.t.Helper()
	if form != "" {
		header = append(header, "Content-Type", "application/x-www-form-urlencoded")
	}
	r, text := h.do(200, method, "/v1/auth/token"+query, form, header...)
	if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Content-Type") != "application/json" {
		h.t.Errorf("%v", r.Header)
	}
	var g given
	if err := json.Unmarshal(text, &g); err != nil || g.Token == "" || g.Token != g.Access || g.Expires != 300 || time.Since(g.IssuedAt).Abs() > patience {
		h.t.Fatalf("%s: %v", text, err)
	}
	return g
}

// challenged makes a request that is not let in and returns the challenge.
func (h *house) challenged(method, path string, header ...string) string {
	h.t.Helper()
	r, text := h.do(401, method, path, "", header...)
	if method != "HEAD" && !strings.Contains(string(text), `"UNAUTHORIZED"`) {
		h.t.Errorf("%s %s: %s", method, path, text)
	}
	all := r.Header.Values("Www-Authenticate")
	if len(all) != 1 {
		h.t.Fatalf("%s %s: challenges %q", method, path, all)
	}
	return all[0]
}

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Each endpoint says where a token is to be had, and for what.
func TestChallenge(t *testing.T) {
	h := open(t, changes{gate: signing(t, &sharedKeys{}), proxies: origin.Proxies{netip.MustParsePrefix("127.0.0.0/8")}})
	begin := `Bearer realm="` + h.url + `/v1/auth/token",service="artifactstore"`
	for at, scope := range map[string]string{
		"GET /v2/":                                                         "",
		"HEAD /v2/":                                                        "",
		"GET /v2":                                                          "",
		"GET /v2/_catalog":                                                 "", // anonymous may read some
		"GET /v2/team/app/blobs/" + someDigest:                             "repository:team/app:pull",
		"HEAD /v2/team/app/blobs/" + someDigest:                            "repository:team/app:pull",
		"DELETE /v2/team/app/blobs/" + someDigest:                          "repository:team/app:delete",
		"GET /v2/team/app/manifests/v1":                                    "repository:team/app:pull",
		"HEAD /v2/team/app/manifests/v1":                                   "repository:team/app:pull",
		"PUT /v2/team/app/manifests/v1":                                    "repository:team/app:pull,push",
		"DELETE /v2/team/app/manifests/v1":                                 "repository:team/app:delete",
		"POST /v2/team/app/blobs/uploads/":                                 "repository:team/app:pull,push",
		"GET /v2/team/app/tags/list":                                       "repository:team/app:pull",
		"GET /v2/team/app/referrers/" + someDigest:                         "repository:team/app:pull",
		"PATCH /v2/t/blobs/uploads/" + zeroes:                              "repository:t:pull,push",
		"PUT /v2/t/blobs/uploads/" + zeroes + closed:                       "repository:t:pull,push",
		"DELETE /v2/t/blobs/uploads/" + zeroes:                             "repository:t:pull,push",
		"POST /v2/t/blobs/uploads/?mount=" + someDigest + "&from=team/app": "repository:t:pull,push",
	} {
		method, path, _ := strings.Cut(at, " ")
		if path == "/v2/_catalog" {
			h.do(200, method, path, "")
			continue
		}
		want := begin
		if scope != "" {
			want += `,scope="` + scope + `"`
		}
		if got := h.challenged(method, path); got != want {
			t.Errorf("%s:\n%s, want\n%s", at, got, want)
		}
	}
	const path = "/v2/team/app/tags/list"
	if got := h.challenged("GET", path, "Authorization", "Bearer wrong"); !strings.HasSuffix(got, `,error="invalid_token"`) {
		t.Errorf("a wrong token: %s", got)
	}
	if got := h.challenged("GET", path, "Authorization", basic("u", "wrong")); strings.Contains(got, "error=") {
		t.Errorf("a wrong password: %s", got)
	}
	forwarded := h.challenged("GET", path, "X-Forwarded-Proto", "https", "X-Forwarded-Host", "artifacts.example.org")
	if !strings.HasPrefix(forwarded, `Bearer realm="https://artifacts.example.org/v1/auth/token",`) {
		t.Errorf("behind a proxy: %s", forwarded)
	}
	if got := h.challenged("GET", path, "X-Forwarded-Host", `a",error="x`); !strings.HasPrefix(got, begin+",") {
		t.Errorf("a forged host: %s", got)
	}
	h.do(403, "GET", path, "", "Authorization", "Bearer plain-secret")
	h.do(200, "GET", "/v2/", "", "Authorization", basic("anyone", "plain-secret"))
}

// Behind a proxy that ends TLS and is not configured, clients are sent to http for
// their tokens: the log says so once, and the health from then on.
func TestChallengeBehindAnUnknownProxy(t *testing.T) {
	const https, says = "X-Forwarded-Proto", "127.0.0.1 says that clients come by https and is not in proxies"
	gate := signing(t, &sharedKeys{})
	gate.Methods = append(gate.Methods, &auth.Tokens{Now: time.Now, Configured: []auth.ConfiguredToken{
		{Name: "operator", SHA256: sha256.Sum256([]byte("operator-secret")), Grants: grantsOf(t, "pull:*")},
	}})
	h := open(t, changes{gate: gate, proxies: origin.Proxies{netip.MustParsePrefix("192.0.2.7/32")}})
	health := func() string {
		_, text := h.do(200, "GET", "/health", "", "Authorization", "Bearer operator-secret")
		return string(text)
	}
	h.challenged("GET", "/v2/")
	h.challenged("GET", "/v2/", https, "http")
	h.request("GET", "/v1/packages", nil, https, "https") // is sent nowhere
	if log := h.log.String() + health(); strings.Contains(log, "https") {
		t.Errorf("it warns of nothing: %s", log)
	}
	for range 3 {
		if got := h.challenged("GET", "/v2/", https, "https"); !strings.HasPrefix(got, `Bearer realm="`+h.url+"/") {
			t.Errorf("who is no proxy is believed: %s", got)
		}
	}
	if log := h.log.String(); strings.Count(log, says) != 1 || !strings.Contains(log, `"sent_to":"`+h.url+`"`) {
		t.Errorf("the log says %s", log)
	}
	if text := health(); !strings.Contains(text, says) || !strings.Contains(text, `"status": "ok"`) {
		t.Errorf("the health is %s", text)
	}
	if _, text := h.do(200, "GET", "/readyz", ""); strings.Contains(string(text), "proxies") {
		t.Errorf("everybody is told %s", text)
	}
	told := open(t, changes{gate: signing(t, &sharedKeys{}), external: "https://artifacts.example.org/"})
	if got := told.challenged("GET", "/v2/", https, "https"); !strings.HasPrefix(got, `Bearer realm="https://artifacts.example.org/v1/auth/token",`) {
		t.Errorf("with an address of its own: %s", got)
	}
	if log := told.log.String(); strings.Contains(log, "clients come by https") {
		t.Errorf("with an address of its own it warns: %s", log)
	}
}

const (
	zeroes = "00000000000000000000000000000000"
	closed = "?digest=" + someDigest
)

// Without what signs tokens there is no endpoint, and the challenge names no other way
// than there is.
func TestChallengeWithoutIssuer(t *testing.T) {
	gate := signing(t, &sharedKeys{})
	gate.Issuer = nil
	h := open(t, changes{gate: gate})
	if got := h.challenged("GET", "/v2/"); !strings.HasPrefix(got, "Basic ") {
		t.Error(got)
	}
	h.do(404, "GET", "/v1/auth/token", "")
}

// The flow of clients: asked, refused, a token from one gateway, in at the other.
func TestTokenFlow(t *testing.T) {
	keys := &sharedKeys{}
	h, other := open(t, changes{gate: signing(t, keys)}), open(t, changes{gate: signing(t, keys)})
	ci := basic("docker", ciSecret)
	scope := func(texts ...string) string {
		return "?" + url.Values{"scope": texts, "service": {"artifactstore"}}.Encode()
	}
	bearer := func(g given) []string { return []string{"Authorization", "Bearer " + g.Token} }

	pull := h.token("GET", scope("repository:team/app:pull"), "", "Authorization", ci)
	other.do(404, "GET", "/v2/team/app/tags/list", "", bearer(pull)...)
	other.do(200, "GET", "/v2/", "", bearer(pull)...)
	if got := other.challenged("POST", "/v2/team/app/blobs/uploads/", bearer(pull)...); !strings.HasSuffix(got, `,scope="repository:team/app:pull,push",error="insufficient_scope"`) {
		t.Error(got)
	}
	push := other.token("GET", scope("repository:team/app:pull,push", "repository:team/x:pull,push"), "", "Authorization", ci)
	h.do(202, "POST", "/v2/team/app/blobs/uploads/", "", bearer(push)...)
	h.do(401, "POST", "/v2/team/x/blobs/uploads/", "", bearer(push)...) // never granted
	h.do(401, "GET", "/v2/team/tags/list", "", bearer(push)...)         // never asked for
	h.do(401, "GET", "/v1/packages/team/app/v1", "", append(bearer(h.token("GET", "", "", "Authorization", ci)), "Accept", "*/*")...)
	h.do(404, "GET", "/v1/packages/team/app/v1", "", bearer(push)...) // the same token on the other face

	// Who says nothing gets what anonymous may do.
	none := h.token("GET", scope("repository:public/x:pull", "repository:team/app:pull"), "")
	h.do(404, "GET", "/v2/public/x/tags/list", "", bearer(none)...)
	h.do(401, "GET", "/v2/team/app/tags/list", "", bearer(none)...)

	// A signed token is no way to others.
	h.do(401, "GET", "/v1/auth/token"+scope("repository:team/app:push"), "", bearer(pull)...)
}

// A signed token is good for the repositories that it names, and not for what its
// holder has stored elsewhere.
func TestSignedTokenReadsNoLease(t *testing.T) {
	gate := signing(t, &sharedKeys{})
	tokens := gate.Methods[0].(*auth.Tokens)
	tokens.Configured[0].Grants = grantsOf(t, "pull:team/app", "push:team/app", "push:ci", "delete:team/app")
	h := open(t, changes{gate: gate})
	ci := []string{"Authorization", basic("docker", ciSecret)}
	h.do(201, "POST", "/v1/blobs", "kept elsewhere", ci...)
	at := "/v1/blobs/" + sha([]byte("kept elsewhere"))
	h.do(200, "GET", at, "", ci...)
	token := h.token("GET", "?scope=repository:team/app:pull,push,delete", "", ci...).Token
	signed := []string{"Authorization", "Bearer " + token}
	h.do(404, "GET", at, "", signed...)
	h.do(404, "DELETE", at, "", signed...)
	h.do(202, "POST", "/v2/team/app/blobs/uploads/?mount="+sha([]byte("kept elsewhere")), "", signed...)
	h.do(200, "GET", at, "", ci...)
}

func TestTokenForms(t *testing.T) {
	h := open(t, changes{gate: signing(t, &sharedKeys{})})
	form := func(pairs ...string) string {
		v := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			v.Add(pairs[i], pairs[i+1])
		}
		return v.Encode()
	}
	const push = "repository:team/app:pull,push"
	got := h.token("POST", "", form("grant_type", "password", "username", "u", "password", ciSecret, "scope", push+" registry:catalog:*", "service", "artifactstore", "client_id", "c", "access_type", "offline"))
	h.do(202, "POST", "/v2/team/app/blobs/uploads/", "", "Authorization", "Bearer "+got.Token)
	h.do(200, "GET", "/v2/_catalog", "", "Authorization", "Bearer "+got.Token)
	h.do(401, "GET", "/v2/", "", "Authorization", "Bearer "+got.Refresh)
	again := h.token("POST", "", form("grant_type", "refresh_token", "refresh_token", got.Refresh, "scope", push))
	h.do(202, "POST", "/v2/team/app/blobs/uploads/", "", "Authorization", "Bearer "+again.Token)
	if again := h.token("GET", "?offline_token=true&account=u", "", "Authorization", "Bearer "+ciSecret); again.Refresh == "" {
		t.Error("no refreshing token by GET")
	}
	if h.token("GET", "?offline_token=true", "").Refresh != "" || h.token("GET", "", "", "Authorization", "Bearer "+ciSecret).Refresh != "" {
		t.Error("a refreshing token that nobody asked for, or for nobody")
	}

	const typed = "application/x-www-form-urlencoded"
	long := form("grant_type", "password", "username", strings.Repeat("x", 70_000))
	for name, tc := range map[string]struct {
		status              int
		method, query, body string
		kind                string
	}{
		"a wrong password":        {401, "POST", "", form("grant_type", "password", "username", "u", "password", "x"), typed},
		"another's token":         {401, "POST", "", form("grant_type", "refresh_token", "refresh_token", got.Token), typed},
		"a token that is none":    {401, "POST", "", form("grant_type", "refresh_token", "refresh_token", "x"), typed},
		"no grant":                {400, "POST", "", form("username", "u", "password", ciSecret), typed},
		"an unknown grant":        {400, "POST", "", form("grant_type", "client_credentials"), typed},
		"nobody":                  {400, "POST", "", form("grant_type", "password"), typed},
		"no refreshing token":     {400, "POST", "", form("grant_type", "refresh_token"), typed},
		"two passwords":           {400, "POST", "", form("grant_type", "password", "password", "x", "password", ciSecret), typed},
		"a malformed scope":       {400, "POST", "", form("grant_type", "password", "password", ciSecret, "scope", "team/app"), typed},
		"a malformed form":        {400, "POST", "", "%zz", typed},
		"JSON":                    {415, "POST", "", `{"grant_type":"password"}`, "application/json"},
		"too large":               {413, "POST", "", long, typed},
		"a malformed query":       {400, "GET", "?scope=%zz", "", ""},
		"a malformed scope, GET":  {400, "GET", "?scope=repository:A:pull", "", ""},
		"another method":          {405, "PUT", "", "", ""},
		"a password in the query": {400, "POST", "?grant_type=password&username=u&password=" + ciSecret, "", typed},
	} {
		var header []string
		if tc.kind != "" {
			header = []string{"Content-Type", tc.kind}
		}
		r, text := h.do(tc.status, tc.method, "/v1/auth/token"+tc.query, tc.body, header...)
		challenge := r.Header.Get("Www-Authenticate")
		if !json.Valid(text) || !strings.Contains(string(text), `"errors"`) || r.Header.Get("Cache-Control") != "no-store" || (tc.status == 401) != strings.HasPrefix(challenge, "Basic ") {
			t.Errorf("%s: %s, challenge %q", name, text, challenge)
		}
		if strings.Contains(string(text), ciSecret) || strings.Contains(string(text), got.Token) {
			t.Errorf("%s: a secret in %s", name, text)
		}
	}
	h.do(401, "GET", "/v1/auth/token", "", "Authorization", basic("u", "wrong"))
	for _, secret := range []string{ciSecret, got.Token, got.Refresh} {
		if strings.Contains(h.log.String(), secret) {
			t.Error("a secret is in the log")
		}
	}
}
