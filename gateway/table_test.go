package gateway_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"artifactstore/gateway"
	"artifactstore/gateway/auth"
)

// table is a gateway with something in it, and what is asked of it.
type table struct {
	*house
	routes  []string
	faces   map[string]http.Handler // by what anonymous may do
	digest  map[string]string       // of what is in it
	serial  int
	entered int // how many were let in besides the personas
}

// methods are all that are tried of every path.
var methods = []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"}

// Every route, method and spelling answers each persona as the oracle says, which is
// the table of rows and a persona's verbs, and no code of the program.
func TestWhoMayDoWhat(t *testing.T) {
	x := openTable(t)
	rows := x.rows()
	covered := map[string]bool{}
	for _, row := range rows {
		covered[row.route] = true
	}
	for _, route := range x.routes {
		if !covered[route] {
			t.Errorf("%s is served, and has no row", route)
		}
	}
	for route := range covered {
		if !slices.Contains(x.routes, route) {
			t.Errorf("there is a row for %s, which is not served", route)
		}
	}
	tried := 0
	for _, row := range rows {
		for _, who := range personas() {
			tried += x.try(row, who)
		}
	}
	t.Logf("%d rows", tried)
	if tried < 20_000 {
		t.Errorf("only %d rows", tried)
	}
}

// try asks for a row in all its methods and spellings.
func (x *table) try(row row, who persona) (tried int) {
	list := methods
	if row.variant {
		list = slices.Sorted(maps.Keys(row.methods))
	}
	for _, method := range list {
		ask, served := row.methods[method]
		if !served {
			ask = row.otherwise
		}
		want := ask.want(who)
		if who.bad {
			want = 401
		}
		got := x.ask(who, method, row.path, ask)
		x.judge(row, method, row.path, who, got, want)
		x.mend(ask, got)
		tried++
		if !served || row.variant {
			continue
		}
		for _, s := range spellings(row.path, row.chosen) {
			tried++
			x.trySpelling(row, s, method, who, ask, want)
		}
	}
	return tried
}

// trySpelling asks for a row by another path, which must never give more than the
// canonical one.
func (x *table) trySpelling(row row, s spelling, method string, who persona, ask ask, want int) {
	before := x.position()
	got := x.ask(who, method, s.path, ask)
	what := s.name + ": " + s.path
	switch {
	case s.same || who.bad:
		x.judge(row, method, what, who, got, want)
	case s.foreign && (want == 401 || want == 403), !s.foreign:
		if got < 400 || got >= 500 || x.position() != before {
			x.t.Errorf("%s: %s %s: %d, and %d events", who.name, method, what, got, x.position()-before)
		}
	case got >= 500:
		x.t.Errorf("%s: %s %s: %d", who.name, method, what, got)
	}
	x.mend(ask, got)
}

func (x *table) judge(row row, method, path string, who persona, got, want int) {
	if got == want || want == kept && (got == 200 || got == 201) {
		return
	}
	x.t.Errorf("%s: %s %s (%s): %d, want %d", who.name, method, path, row.route, got, want)
}

// mend puts back what a success has changed.
func (x *table) mend(ask ask, status int) {
	if status < 400 && ask.mend != nil {
		ask.mend()
	}
}

func (x *table) ask(who persona, method, path string, ask ask) int {
	x.t.Helper()
	status, _, _ := x.send(who, method, path+ask.query, ask.content(x), ask.header...)
	return status
}

// send asks for something as a persona.
func (x *table) send(who persona, method, path, body string, header ...string) (int, http.Header, string) {
	x.t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	if who.named {
		req.Header.Set("Authorization", "Bearer "+tokenOf(cmp.Or(who.seed, who.name)))
	}
	w := httptest.NewRecorder()
	x.faces[who.gate].ServeHTTP(w, req)
	return w.Code, w.Result().Header, w.Body.String()
}

func (x *table) position() uint64 {
	last, err := x.reg.Last(context.Background())
	if err != nil {
		x.t.Fatal(err)
	}
	return last
}

func openTable(t *testing.T) *table {
	t.Helper()
	x := &table{house: open(t, changes{}), faces: map[string]http.Handler{}, digest: map[string]string{}}
	known := &registered{store: x.store}
	tokens := &auth.Tokens{Now: time.Now, Find: known.find, Configured: []auth.ConfiguredToken{
		{Name: "nothing", SHA256: sha256.Sum256([]byte(tokenOf("nothing")))},
	}}
	for _, p := range personas() {
		x.register(p)
		if x.faces[p.gate] != nil {
			continue
		}
		g := &auth.Gate{Methods: []auth.Method{tokens}, Issuer: auth.NewIssuer(known, tokens.Holder, time.Now)}
		if p.gate != "" {
			anonymous, err := auth.ParseGrant(p.gate)
			if err != nil {
				t.Fatal(err)
			}
			g.Anonymous = []auth.Grant{anonymous}
		}
		o := gateway.Options{Store: x.store, Gate: g, Log: slog.New(slog.DiscardHandler)}
		x.faces[p.gate] = gateway.New(o)
		x.routes = gateway.RoutesOf(o)
	}
	x.furnish()
	return x
}

// owned sends what must succeed as one who may do everything.
func (x *table) owned(method, path, body string, header ...string) http.Header {
	x.t.Helper()
	owner := persona{name: "owner", named: true}
	status, h, text := x.send(owner, method, path, body, header...)
	if status >= 300 {
		x.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return h
}

const imageType = "application/vnd.oci.image.manifest.v1+json"

// furnish puts a tenant's things in.
func (x *table) furnish() {
	for _, name := range []string{"blob", "config", "layer", "loose"} {
		x.digest[name] = strings.TrimPrefix(x.owned("POST", "/v1/blobs?producer=team", "the tenant's "+name).Get("Location"), "/v1/blobs/")
	}
	x.owned("PUT", "/v1/packages/team/sealed/1/files/blob", "the tenant's blob")
	x.owned("POST", "/v1/packages/team/sealed/1/seal", "")
	x.mendPackage()
	for _, name := range []string{"config", "layer"} {
		x.bring(name)
	}
	x.mendLoose()
	x.mendImage()
	x.digest["manifest"] = x.owned("HEAD", "/v2/team/app/manifests/v1", "").Get("Docker-Content-Digest")
}

func (x *table) bring(name string) {
	x.owned("POST", "/v2/team/app/blobs/uploads/?digest="+x.digest[name], "the tenant's "+name)
}

func (x *table) mendPackage() { x.owned("PUT", "/v1/packages/team/open/1/files/dir/a.txt", "a") }

func (x *table) mendLoose() { x.bring("loose") }

func (x *table) mendImage() {
	x.owned("PUT", "/v2/team/app/manifests/v1", x.image(""), "Content-Type", imageType)
}

// image is a manifest; another note makes it another.
func (x *table) image(note string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}],"annotations":{"note":%q}}`,
		imageType, x.digest["config"], len("the tenant's config"), x.digest["layer"], len("the tenant's layer"), note)
}
