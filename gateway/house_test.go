package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"artifactstore/backends"
	"artifactstore/backends/local"
	"artifactstore/cas"
	"artifactstore/gateway"
	"artifactstore/gateway/ops"
	"artifactstore/registry"
	"artifactstore/registry/sqlite"
)

// house is a gateway over a real directory and a real SQLite file, on a real
// socket.
type house struct {
	t     *testing.T
	url   string
	root  string // of the backend
	store *cas.Store
	reg   registry.Registry
	log   *lockedBuffer
	stop  context.CancelFunc // begins to drain
	ended chan error         // of Serve
}

// changes are what a test wants to be different.
type changes struct {
	limit    int64
	pace     gateway.Pace
	backend  func(backends.Backend) backends.Backend
	registry func(registry.Registry) registry.Registry
	listener func(net.Listener) net.Listener
	observe  backends.Observer
	now      func() time.Time
	drain    time.Duration
}

func open(t *testing.T, c changes) *house {
	t.Helper()
	dir := t.TempDir()
	h := &house{t: t, root: filepath.Join(dir, "blobs"), log: &lockedBuffer{}, ended: make(chan error, 1)}
	reg, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(dir, "registry.db")})
	if err != nil {
		t.Fatal(err)
	}
	h.reg = reg
	if c.registry != nil {
		h.reg = c.registry(reg)
	}
	b, err := local.Open(t.Context(), local.Options{Root: h.root})
	if err != nil {
		t.Fatal(err)
	}
	var backend backends.Backend = b
	if c.backend != nil {
		backend = c.backend(b)
	}
	metrics := ops.NewMetrics()
	backend = backends.Observe(backend, func(operation, outcome string, took time.Duration) {
		metrics.Backend("local", operation, outcome, took)
		if c.observe != nil {
			c.observe(operation, outcome, took)
		}
	})
	log := slog.New(slog.NewJSONHandler(h.log, nil))
	h.store, err = cas.New(cas.Options{
		Registry: h.reg,
		Backends: []cas.Backend{{ID: "local", Backend: backend}},
		Policy: cas.Policy{
			Default:      "local",
			DefaultClass: "standard",
			Classes:      map[string]time.Duration{"ephemeral": 7 * 24 * time.Hour, "standard": 90 * 24 * time.Hour, "release": -1},
		},
		Now: c.now,
		Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	metrics.Watch(h.store)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.url = "http://" + l.Addr().String()
	if c.listener != nil {
		l = c.listener(l)
	}
	if c.drain == 0 {
		c.drain = patience
	}
	var ctx context.Context
	ctx, h.stop = context.WithCancel(context.Background())
	handler := gateway.New(gateway.Options{
		Store: h.store, Metrics: metrics, UploadBytes: c.limit, Pace: c.pace, Log: log, Draining: ctx.Done(),
	})
	go func() { h.ended <- gateway.Serve(ctx, l, handler, c.drain, log) }()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		h.stop()
		<-h.ended
		h.ended <- nil
		reg.Close()
	})
	return h
}

// client follows nothing and adds nothing.
var client = &http.Transport{DisableCompression: true}

// request sends one and returns the answer with its whole body.
func (h *house) request(method, path string, body io.Reader, header ...string) (*http.Response, []byte) {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := client.RoundTrip(req)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatalf("%s %s: read answer: %v", method, path, err)
	}
	return resp, text
}

// put stores content and returns the path of the blob.
func (h *house) put(content []byte) string {
	h.t.Helper()
	resp, text := h.request("POST", "/v1/blobs", bytes.NewReader(content))
	if resp.StatusCode != 201 && resp.StatusCode != 200 {
		h.t.Fatalf("put: %s: %s", resp.Status, text)
	}
	return resp.Header.Get("Location")
}

// mark is the state that a refused request must leave as it was.
type mark struct {
	position uint64
	files    string
}

func (h *house) mark() mark {
	h.t.Helper()
	last, err := h.reg.Last(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	return mark{last, strings.Join(h.files(), "\n")}
}

// files lists every file below the backend's root, staging included.
func (h *house) files() (all []string) {
	filepath.WalkDir(h.root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(h.root, name)
			all = append(all, filepath.ToSlash(rel))
		}
		return nil
	})
	return all
}

// unchanged fails the test where a request left something behind. A handler may
// still be about to abort its upload when its client has given up: it is given
// the time.
func (h *house) unchanged(before mark) {
	h.t.Helper()
	var after mark
	for range 200 {
		if after = h.mark(); after == before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.t.Errorf("something was left behind:\nbefore %+v\nafter  %+v", before, after)
}

// refusal checks a problem document.
func refusal(t *testing.T, resp *http.Response, text []byte, status int, code string) {
	t.Helper()
	var p struct {
		Title, Detail, Code string
		Status              int
	}
	if err := json.Unmarshal(text, &p); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("want a problem document, got %s %q: %q", resp.Status, resp.Header.Get("Content-Type"), text)
		return
	}
	if resp.StatusCode != status || p.Status != status || p.Code != code || p.Detail == "" || p.Title == "" {
		t.Errorf("got %d %q (%s), want %d %q", resp.StatusCode, p.Code, p.Detail, status, code)
	}
}

// object returns the file that holds a blob.
func (h *house) object(location string) string {
	hex := strings.TrimPrefix(location, "/v1/blobs/sha256:")
	return filepath.Join(h.root, "sha256", hex[:2], hex[2:4], hex)
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
