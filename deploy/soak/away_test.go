package soak

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"artifactstore/backends/local"
	"artifactstore/cas"
	shipped "artifactstore/gateway"
	"artifactstore/registry/postgres"
	"artifactstore/registry/postgres/pgtest"
)

// TestRegistryAway ends PostgreSQL under a gateway that serves. Writes and reads
// are refused, with when to come again, and so is readiness; when the server is
// back so is the service, on the same gateway, from the first request on.
func TestRegistryAway(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL, which -short does not start")
	}
	server := pgtest.Start(t)
	reg, err := postgres.Open(t.Context(), postgres.Options{URL: server.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	disk, err := local.Open(t.Context(), local.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	store, err := cas.New(cas.Options{
		Registry: reg, Backends: []cas.Backend{{ID: "disk", Backend: disk}}, Log: quiet,
		Policy: cas.Policy{Default: "disk", DefaultClass: "standard", Classes: map[string]time.Duration{"standard": time.Hour}},
	})
	if err != nil {
		t.Fatal(err)
	}
	served := httptest.NewServer(shipped.New(shipped.Options{Store: store, Log: quiet}))
	t.Cleanup(served.Close)
	e := &exposed{t: t, url: served.URL}
	kept := []byte("kept")
	if a, _ := e.ask("POST", "/v1/blobs", kept); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	server.Stop(t)
	for _, r := range []struct{ method, path string }{
		{"POST", "/v1/blobs"}, {"PUT", "/v1/blobs/" + digestOf([]byte("new"))}, {"GET", "/v1/blobs/" + digestOf(kept)}, {"POST", "/v2/app/blobs/uploads/"},
	} {
		var body []byte
		if strings.HasPrefix(r.path, "/v1") && r.method != "GET" {
			body = []byte("new")
		}
		a, _ := e.ask(r.method, r.path, body)
		if a.status != 503 || a.header.Get("Retry-After") == "" || r.path[:3] == "/v1" && !bytes.Contains(a.body, []byte(`"registry_unavailable"`)) {
			t.Errorf("%s %s with the registry away: %d, Retry-After %q: %s", r.method, r.path, a.status, a.header.Get("Retry-After"), a.body)
		}
	}
	if a, _ := e.ask("GET", "/readyz", nil); a.status != 503 {
		t.Errorf("ready with the registry away: %d", a.status)
	}
	server.Start(t)
	if a, _ := e.ask("POST", "/v1/blobs", []byte("new")); a.status != 201 {
		t.Errorf("the first write with the registry back: %d %s", a.status, a.body)
	}
	if a, _ := e.ask("GET", "/v1/blobs/"+digestOf(kept), nil); a.status != 200 || !bytes.Equal(a.body, kept) {
		t.Errorf("what was kept came back as %d %q", a.status, a.body)
	}
	if a, _ := e.ask("GET", "/readyz", nil); a.status != 200 {
		t.Errorf("not ready with the registry back: %d %s", a.status, a.body)
	}
}
