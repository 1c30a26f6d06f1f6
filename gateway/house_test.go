package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"artifactstore/backends"
	"artifactstore/cas"
	shapes "artifactstore/deploy/house"
	"artifactstore/gateway"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/limit"
	"artifactstore/gateway/ops"
	"artifactstore/gateway/origin"
	"artifactstore/registry"
	"artifactstore/registry/postgres/pgtest"
)

// house is a gateway over a real registry and a real backend, on a real socket.
type house struct {
	t     *testing.T
	url   string
	tls   *secured        // nil in the plain
	via   *http.Transport // of requests
	bytes shapes.Bytes    // the backend, not wrapped
	store *cas.Store
	reg   registry.Registry
	log   *lockedBuffer
	stop  context.CancelFunc // begins to drain
	ended chan error         // of Serve

	sessions []string // that a test has open
}

// changes are what a test wants to be different.
type changes struct {
	at       shapes.House // the shape; the default is the one that needs no server
	limit    int64
	pace     gateway.Pace
	backend  func(backends.Backend) backends.Backend
	registry func(registry.Registry) registry.Registry
	listener func(net.Listener) net.Listener
	observe  backends.Observer
	now      func() time.Time
	sleep    func(context.Context, time.Duration) error
	collect  cas.Collection
	drain    time.Duration
	tls      *secured
	proxies  origin.Proxies
	external string
	gate     *auth.Gate
	uploads  *limit.Uploads
	sessions int // of one principal
	conns    int
	each     int // connections of one address
}

// everyHouse runs a test on every registry and every kind of backend.
func everyHouse(t *testing.T, test func(t *testing.T, at shapes.House)) {
	inHouses(t, shapes.All(), test)
}

// localHouses runs a test where the bytes are files.
func localHouses(t *testing.T, test func(t *testing.T, at shapes.House)) {
	local := slices.DeleteFunc(shapes.All(), func(h shapes.House) bool { return !strings.HasSuffix(h.Name, "+local") })
	inHouses(t, local, test)
}

func inHouses(t *testing.T, houses []shapes.House, test func(t *testing.T, at shapes.House)) {
	if len(houses) == 0 {
		t.Fatal("no houses")
	}
	for _, at := range houses {
		t.Run(at.Name, func(t *testing.T) {
			t.Parallel() // they share nothing, and mostly wait
			test(t, at)
		})
	}
}

func open(t *testing.T, c changes) *house {
	t.Helper()
	if c.at.Fresh == nil {
		c.at = shapes.All()[0]
	}
	h := &house{t: t, log: &lockedBuffer{}, ended: make(chan error, 1)}
	log := slog.New(slog.NewJSONHandler(h.log, nil))
	metrics := ops.NewMetrics()
	opened := c.at.Fresh(t)(t, shapes.Options{Now: c.now, Sleep: c.sleep, Collect: c.collect, Log: log, Registry: c.registry, Backend: observed(metrics, c)})
	h.store, h.reg, h.bytes = opened.Store, opened.Registry, opened.Bytes
	metrics.Watch(h.store)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.url = "http://" + l.Addr().String()
	h.via = client
	var encrypt *tls.Config
	if h.tls = c.tls; h.tls != nil {
		h.url, h.via, encrypt = "https://"+l.Addr().String(), h.tls.transport(false), h.tls.server
	}
	if c.listener != nil {
		l = c.listener(l)
	}
	if c.drain == 0 {
		c.drain = patience
	}
	var ctx context.Context
	ctx, h.stop = context.WithCancel(context.Background())
	handler := gateway.New(gateway.Options{
		Store: h.store, Metrics: metrics, UploadBytes: c.limit, Pace: c.pace, Proxies: c.proxies, ExternalURL: c.external, Gate: c.gate, Uploads: c.uploads, Sessions: sessions(h.store, c.sessions), Log: log, Draining: ctx.Done(),
	})
	go func() {
		h.ended <- gateway.Server{
			Handler: handler, TLS: encrypt, Idle: c.pace.Idle, Drain: c.drain, Log: log,
			Connections: c.conns, Waited: func() { metrics.Limited("connections") },
			PerAddress: c.each, Proxies: c.proxies, Refused: func() { metrics.Limited("connections_per_address") },
		}.Serve(ctx, l)
	}()
	t.Cleanup(func() {
		h.via.CloseIdleConnections()
		h.stop()
		<-h.ended
		h.ended <- nil
	})
	return h
}

// sessions bounds the upload sessions of a principal.
func sessions(store *cas.Store, most int) *limit.Sessions {
	return &limit.Sessions{Most: most, Keep: time.Hour, Now: time.Now, Open: func(ctx context.Context, id cas.Session) bool {
		_, err := store.StatUpload(ctx, id)
		return !errors.Is(err, cas.ErrUploadUnknown)
	}}
}

// observed wraps a backend as a test wants, and counts what is asked of it.
func observed(metrics *ops.Metrics, c changes) func(backends.Backend) backends.Backend {
	return func(b backends.Backend) backends.Backend {
		if c.backend != nil {
			b = c.backend(b)
		}
		return backends.Observe(b, func(operation, outcome string, took time.Duration) {
			metrics.Backend(shapes.BackendID, operation, outcome, took)
			if c.observe != nil {
				c.observe(operation, outcome, took)
			}
		})
	}
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
	resp, err := h.via.RoundTrip(req)
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

// files names everything that the backend holds, what is on its way included.
func (h *house) files() []string {
	h.t.Helper()
	return h.bytes.Files(h.t)
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

// key returns the key of a blob.
func key(location string) string {
	hex := strings.TrimPrefix(location, "/v1/blobs/sha256:")
	return "sha256/" + hex[:2] + "/" + hex[2:4] + "/" + hex
}

// object returns the file that holds a blob, where the bytes are files.
func (h *house) object(location string) string {
	return filepath.Join(h.bytes.Root, filepath.FromSlash(key(location)))
}

// remove takes a blob's object away behind the gateway's back.
func (h *house) remove(location string) {
	h.t.Helper()
	if err := h.bytes.Delete(h.t.Context(), key(location)); err != nil {
		h.t.Fatal(err)
	}
}

// replace puts other bytes in a blob's place behind the gateway's back.
func (h *house) replace(location string, content []byte) {
	h.t.Helper()
	h.remove(location)
	u, err := h.bytes.Begin(h.t.Context(), backends.Hint{Size: -1})
	if err == nil {
		_, err = u.Write(content)
	}
	if err == nil {
		err = u.Commit(h.t.Context(), key(location))
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// leftOpen are the files of tests that nobody has closed, where the system tells.
func leftOpen() (left []string) {
	open, _ := filepath.Glob("/proc/self/fd/*")
	for _, descriptor := range open {
		if name, err := os.Readlink(descriptor); err == nil && strings.HasPrefix(name, os.TempDir()+"/Test") {
			left = append(left, name)
		}
	}
	return left
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.Cleanup(func(code int) {
			pgtest.Stop()
			if left := leftOpen(); len(left) > 0 {
				fmt.Fprintf(os.Stderr, "files are left open: %q\n", left)
				code = 1
			}
			os.Exit(code)
		}),
		// Servers that are shared by all tests, and connections to them that idle.
		goleak.IgnoreAnyFunction("artifactstore/registry/postgres/pgtest.(*Server).launch.func1"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
	)
}
