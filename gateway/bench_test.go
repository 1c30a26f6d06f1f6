package gateway_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/backends/local"
	"artifactstore/cas"
	"artifactstore/gateway"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/ops"
	"artifactstore/registry/sqlite"
)

// benchHouse returns the handler of a gateway over a real directory and a real
// SQLite file, which counts and logs nothing a client could see.
func benchHouse(b *testing.B) http.Handler {
	return benchGates(b, func(*cas.Store) []*auth.Gate { return []*auth.Gate{nil} })[0]
}

// benchGates returns the handlers of gateways over one store, each with a gate.
func benchGates(b *testing.B, gates func(*cas.Store) []*auth.Gate) (all []http.Handler) {
	b.Helper()
	dir := b.TempDir()
	reg, err := sqlite.Open(b.Context(), sqlite.Options{Path: dir + "/registry.db"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { reg.Close() })
	disk, err := local.Open(b.Context(), local.Options{Root: dir + "/blobs"})
	if err != nil {
		b.Fatal(err)
	}
	metrics := ops.NewMetrics()
	observed := backends.Observe(disk, func(operation, outcome string, took time.Duration) {
		metrics.Backend("local", operation, outcome, took)
	})
	discard := slog.New(slog.DiscardHandler)
	store, err := cas.New(cas.Options{
		Registry: reg,
		Backends: []cas.Backend{{ID: "local", Backend: observed}},
		Policy:   cas.Policy{Default: "local", DefaultClass: "c", Classes: map[string]time.Duration{"c": -1}},
		Log:      discard,
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, g := range gates(store) {
		all = append(all, gateway.New(gateway.Options{Store: store, Gate: g, Metrics: ops.NewMetrics(), Pace: paced(time.Minute, 1024), Log: discard}))
	}
	return all
}

// BenchmarkAuthorised measures what deciding who may do what adds to 32 clients' reads
// of 4 KiB at once, above the network: nothing is asked; everything may be read; the same
// by a token of the registry, which is looked up; or what a producer has, which is, too.
func BenchmarkAuthorised(b *testing.B) {
	known := passwords{}
	for name, grant := range map[string]string{"all": "pull:*", "tenant": "pull:team"} {
		g, err := auth.ParseGrant(grant)
		if err != nil {
			b.Fatal(err)
		}
		known[name] = auth.Principal{Name: name, Grants: []auth.Grant{g}}
	}
	handlers := benchGates(b, func(store *cas.Store) []*auth.Gate {
		made := cas.Token{ID: "t", Principal: "registered", Grants: []string{"pull:*"}, Hash: hashOf("registered")}
		if _, err := store.CreateToken(b.Context(), made, "bench"); err != nil {
			b.Fatal(err)
		}
		tokens := &auth.Tokens{Now: time.Now, Find: (&registered{store: store}).find}
		return []*auth.Gate{nil, {Methods: []auth.Method{known, tokens}}}
	})
	content := random(4096)
	handlers[0].ServeHTTP(&nowhere{header: http.Header{}}, httptest.NewRequest("PUT", "/v1/packages/team/app/1/files/f", bytes.NewReader(content)))
	w := httptest.NewRecorder()
	handlers[0].ServeHTTP(w, httptest.NewRequest("POST", "/v1/blobs", bytes.NewReader(content)))
	path := w.Header().Get("Location")
	for _, method := range []string{"HEAD", "GET"} {
		for _, who := range []string{"", "all", "registered", "tenant"} {
			h := handlers[min(len(who), 1)]
			bearer := who
			if who == "registered" {
				bearer = tokenOf(who)
			}
			b.Run(method+" "+cmp.Or(who, "unasked"), func(b *testing.B) {
				b.SetParallelism(16)
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						r := httptest.NewRequest(method, path, nil)
						if who != "" {
							r.Header.Set("Authorization", "Bearer "+bearer)
						}
						to := &nowhere{header: http.Header{}}
						if h.ServeHTTP(to, r); to.status != 200 {
							b.Error(to.status)
						}
					}
				})
			})
		}
	}
}

// BenchmarkRequest measures what a request costs above the network: the handler,
// the engine and the registry.
func BenchmarkRequest(b *testing.B) {
	handler := benchHouse(b)
	content := random(1 << 20)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("POST", "/v1/blobs", bytes.NewReader(content)))
	if w.Code != 201 {
		b.Fatal(w.Code, w.Body)
	}
	path := w.Header().Get("Location")
	for _, test := range []struct{ name, method, field, value string }{
		{"head", "HEAD", "", ""},
		{"not modified", "GET", "If-None-Match", w.Header().Get("ETag")},
		{"range", "GET", "Range", "bytes=65536-131071"},
		{"events", "GET", "Accept", "application/json"},
	} {
		target := path
		if test.name == "events" {
			target = "/v1/events"
		}
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(test.method, target, nil)
				if test.field != "" {
					r.Header.Set(test.field, test.value)
				}
				handler.ServeHTTP(&nowhere{header: http.Header{}}, r)
			}
		})
	}
}

// BenchmarkPut measures durable puts of 4 KiB by 32 clients at once, above the
// network.
func BenchmarkPut(b *testing.B) {
	handler := benchHouse(b)
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest("POST", "/v1/blobs", bytes.NewReader(random(4096))))
			if w.Code != 201 {
				b.Error(w.Code, w.Body)
			}
		}
	})
}

// BenchmarkPutFile measures the same as files of one package.
func BenchmarkPutFile(b *testing.B) {
	handler := benchHouse(b)
	b.SetParallelism(16)
	b.ReportAllocs()
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w := httptest.NewRecorder()
			path := fmt.Sprintf("/v1/packages/bench/app/1/files/%06d", n.Add(1))
			handler.ServeHTTP(w, httptest.NewRequest("PUT", path, bytes.NewReader(random(4096))))
			if w.Code != 201 {
				b.Error(w.Code, w.Body)
			}
		}
	})
}

// nowhere is where an answer goes that nobody wants.
type nowhere struct {
	header http.Header
	status int
}

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) WriteHeader(status int)      { w.status = status }
func (w *nowhere) Write(p []byte) (int, error) { return len(p), nil }

func (w *nowhere) ReadFrom(r io.Reader) (int64, error) { return io.Copy(io.Discard, r) }

// passwords is a way to say who one is that costs nothing: the bearer's token is a name.
type passwords map[string]auth.Principal

func (m passwords) Identify(_ context.Context, c auth.Credentials) (auth.Principal, bool, error) {
	p, ok := m[c.Bearer]
	return p, ok, nil
}
