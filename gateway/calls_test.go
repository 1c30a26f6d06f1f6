package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"artifactstore/backends"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// counter counts the operations on a backend.
type counter struct {
	mu  sync.Mutex
	ops []string
}

func (c *counter) observe(operation, _ string, _ time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ops = append(c.ops, operation)
}

// take returns the operations since the last call.
func (c *counter) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	ops := c.ops
	c.ops = nil
	return ops
}

func TestCallsCounted(t *testing.T) { everyHouse(t, callsCounted) }

func callsCounted(t *testing.T, at shapes.House) {
	var c counter
	h := open(t, changes{at: at, observe: c.observe})
	content := random(600 << 10)
	path := h.put(content)
	small := h.put([]byte("hello"))
	d := strings.TrimPrefix(path, "/v1/blobs/")
	tag := `"` + d + `"`
	for _, test := range []struct {
		name, method string
		header       []string
		body         []byte
		status       int
		want         []string
	}{
		{"head", "HEAD", nil, nil, 200, nil},
		{"head of a range", "HEAD", []string{"Range", "bytes=0-1"}, nil, 200, nil},
		{"not modified", "GET", []string{"If-None-Match", tag}, nil, 304, nil},
		{"not modified, with a range", "GET", []string{"If-None-Match", tag, "Range", "bytes=0-1"}, nil, 304, nil},
		{"condition failed", "GET", []string{"If-Match", `"x"`}, nil, 412, nil},
		{"no such range", "GET", []string{"Range", "bytes=999999999-"}, nil, 416, nil},
		{"malformed range", "GET", []string{"Range", "bytes=x"}, nil, 416, nil},
		{"whole", "GET", nil, nil, 200, []string{"open"}},
		{"range", "GET", []string{"Range", "bytes=300000-300009"}, nil, 206, []string{"open"}},
		{"last byte", "GET", []string{"Range", "bytes=-1"}, nil, 206, []string{"open"}},
		{"three ranges", "GET", []string{"Range", "bytes=5-9,100-199,500000-"}, nil, 206, []string{"open", "open", "open"}},
		{"ranges from the start", "GET", []string{"Range", "bytes=0-9,100-199"}, nil, 206, []string{"open", "open"}},
		{"known, by its digest", "PUT", nil, content, 200, nil},
		{"known, by a field", "POST", []string{"Repr-Digest", field256(content)}, content, 200, nil},
		{"wrong digest of what is known", "POST", []string{"Repr-Digest", field256(content)}, content[1:], 422, nil},
		{"release", "DELETE", nil, nil, 204, nil},
		{"released", "GET", nil, nil, 404, nil},
	} {
		c.take()
		target := path
		if test.method == "POST" {
			target = "/v1/blobs"
		}
		resp, text := h.request(test.method, target, bytes.NewReader(test.body), test.header...)
		if got := c.take(); resp.StatusCode != test.status || !slices.Equal(got, test.want) {
			t.Errorf("%s: %s, %v, want %d, %v; %.100s", test.name, resp.Status, got, test.status, test.want, text)
		}
	}
	h.request("POST", "/v1/blobs", strings.NewReader("hello"))
	h.request("GET", small, nil)
	if got := c.take(); !slices.Equal(got, []string{"open"}) {
		t.Errorf("a small known blob put and read: %v", got)
	}
}

// full is a backend that has room for some bytes and no more.
type full struct {
	backends.Backend
	at   string // the step that finds no room
	room int
}

func (b *full) Begin(ctx context.Context, hint backends.Hint) (backends.Upload, error) {
	if b.at == "begin" {
		return nil, noRoom()
	}
	u, err := b.Backend.Begin(ctx, hint)
	return &fullUpload{u, b, b.room}, err
}

func noRoom() error { return fmt.Errorf("on purpose: %w", backends.ErrFull) }

type fullUpload struct {
	backends.Upload
	b    *full
	room int
}

func (u *fullUpload) Write(p []byte) (int, error) {
	if u.room -= len(p); u.b.at == "write" && u.room < 0 {
		return 0, noRoom()
	}
	return u.Upload.Write(p)
}

func (u *fullUpload) Commit(ctx context.Context, key string) error {
	if u.b.at == "commit" {
		return noRoom()
	}
	return u.Upload.Commit(ctx, key)
}

// With the disk full, uploads are refused and leave nothing, and reads go on.
func TestDiskFull(t *testing.T) { everyHouse(t, diskFull) }

func diskFull(t *testing.T, at shapes.House) {
	var b *full
	h := open(t, changes{at: at, backend: func(real backends.Backend) backends.Backend { b = &full{Backend: real}; return b }})
	content := random(1 << 20)
	path := h.put(content)
	b.room = 300 << 10
	for _, at := range []string{"begin", "write", "commit"} {
		b.at = at
		for _, n := range []int{350 << 10, 3 << 20} {
			before := h.mark()
			fresh := random(n)
			resp, text := h.request("PUT", "/v1/blobs/"+sha(fresh), bytes.NewReader(fresh))
			refusal(t, resp, text, 507, "storage_full")
			h.unchanged(before)
		}
		if resp, text := h.request("GET", path, nil); resp.StatusCode != 200 || !bytes.Equal(text, content) {
			t.Errorf("read while the disk is full: %s", resp.Status)
		}
		if resp, _ := h.request("PUT", path, bytes.NewReader(content)); resp.StatusCode != 200 {
			t.Errorf("put what is there while the disk is full: %s", resp.Status)
		}
	}
	b.at = ""
	h.put(random(1 << 20))
}

type fullRegistry struct {
	registry.Registry
	on *bool
}

func (r fullRegistry) Append(ctx context.Context, e ...registry.Event) (uint64, error) {
	if *r.on {
		return 0, fmt.Errorf("on purpose: %w", registry.ErrFull)
	}
	return r.Registry.Append(ctx, e...)
}

func TestRegistryFull(t *testing.T) { everyHouse(t, registryFull) }

func registryFull(t *testing.T, at shapes.House) {
	on := false
	h := open(t, changes{at: at, registry: func(r registry.Registry) registry.Registry { return fullRegistry{r, &on} }})
	path := h.put([]byte("hello"))
	on = true
	resp, text := h.request("POST", "/v1/blobs", strings.NewReader("new"))
	refusal(t, resp, text, 507, "storage_full")
	if resp, text := h.request("GET", path, nil); resp.StatusCode != 200 || string(text) != "hello" {
		t.Error(resp.Status)
	}
}

// faulty is a backend with a fault of the program in it.
type faulty struct{ backends.Backend }

func (faulty) Begin(context.Context, backends.Hint) (backends.Upload, error) { panic("on purpose") }

func TestPanicIsAnAnswer(t *testing.T) { everyHouse(t, panicIsAnAnswer) }

func panicIsAnAnswer(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at, backend: func(b backends.Backend) backends.Backend { return faulty{b} }})
	before := h.mark()
	for _, n := range []int{5, 1 << 20} {
		resp, text := h.request("POST", "/v1/blobs", bytes.NewReader(random(n)))
		refusal(t, resp, text, 500, "internal")
		if bytes.Contains(text, []byte("on purpose")) {
			t.Errorf("the answer has the inside of the program: %s", text)
		}
	}
	h.unchanged(before)
	if got := h.metrics(); got["artifactstore_http_panics_total"] != "2" || got["artifactstore_buffered_bytes"] != "0" {
		t.Errorf("panics %s, buffers %s", got["artifactstore_http_panics_total"], got["artifactstore_buffered_bytes"])
	}
	if !strings.Contains(h.log.String(), "on purpose") {
		t.Error("the log lacks the panic")
	}
}

// An object that turns out short in the middle of its body ends the connection
// before the announced length.
func TestTornBody(t *testing.T) { localHouses(t, tornBody) }

func tornBody(t *testing.T, at shapes.House) {
	content := random(8 << 20)
	var h *house
	var path string
	h = open(t, changes{at: at, backend: func(b backends.Backend) backends.Backend {
		return &cutting{b, func() { os.Truncate(h.object(path), 5<<20) }}
	}})
	path = h.put(content)
	resp, err := client.RoundTrip(must(http.NewRequest("GET", h.url+path, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil || len(got) != 5<<20 || !bytes.Equal(got, content[:len(got)]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	h.health(200, `"degraded"`)
}

// cutting is a backend whose objects are cut as soon as they are open.
type cutting struct {
	backends.Backend
	cut func()
}

func (b *cutting) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	r, err := b.Backend.Open(ctx, key, off, n)
	b.cut()
	return r, err
}

func must(r *http.Request, err error) *http.Request {
	if err != nil {
		panic(err)
	}
	return r
}

// The log has a line for each request, with what an operator needs, and nothing a
// client must be able to keep to itself.
func TestAccessLog(t *testing.T) { everyHouse(t, accessLog) }

func accessLog(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	path := h.put([]byte("hello"))
	secrets := []string{"Authorization", "Bearer s3cr3t-0", "Cookie", "s3cr3t-1", "X-Api-Key", "s3cr3t-2", "X-Request-Id", "s3cr3t 3"}
	h.request("GET", path+"?token=s3cr3t-4", nil, secrets...)
	h.request("POST", "/v1/blobs?token=s3cr3t-5", strings.NewReader("s3cr3t-6"), secrets...)
	h.request("GET", "/%0a{%22forged%22:1}", nil)
	h.request("GET", "/"+strings.Repeat("x", 50_000), nil)
	h.client().send("GET /%s HTTP/1.1\nHost: x\nConnection: close\n\n", "\x1b[31m\"")
	log := h.log.String()
	if strings.Contains(log, "s3cr3t") {
		t.Errorf("a secret is in the log: %s", log)
	}
	var lines []map[string]any
	for line := range strings.Lines(log) {
		if len(line) > 2000 {
			t.Errorf("a line of %d bytes", len(line))
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("not a line of JSON: %q", line)
		}
		if fields["msg"] == "request" {
			lines = append(lines, fields)
		}
	}
	if len(lines) < 5 {
		t.Fatalf("%d lines", len(lines))
	}
	first := lines[0]
	for field, want := range map[string]any{
		"method": "POST", "route": "/v1/blobs", "path": "/v1/blobs", "status": 201.0, "received": 5.0, "principal": "anonymous",
	} {
		if first[field] != want {
			t.Errorf("%s: %v, want %v", field, first[field], want)
		}
	}
	for _, field := range []string{"request_id", "remote", "took", "sent", "time"} {
		if first[field] == nil {
			t.Errorf("no %s: %v", field, first)
		}
	}
}

// client opens a connection for a request whose answer does not matter.
func (h *house) client() *raw {
	c := h.dial()
	h.t.Cleanup(func() { c.Close() })
	return c
}

// filing is a listener whose connections note whether they are given files.
type filing struct {
	net.Listener
	mu    sync.Mutex
	files int64 // bytes of them
}

func (l *filing) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &filingConn{c.(*net.TCPConn), l}, nil
}

type filingConn struct {
	*net.TCPConn
	l *filing
}

// ReadFrom implements io.ReaderFrom as the server finds it. A *net.TCPConn sends
// a file, or a part of one, by sendfile, and copies anything else.
func (c *filingConn) ReadFrom(r io.Reader) (int64, error) {
	n, err := c.TCPConn.ReadFrom(r)
	if part, ok := r.(*io.LimitedReader); ok {
		if _, ok := part.R.(*os.File); ok {
			c.l.mu.Lock()
			c.l.files += n
			c.l.mu.Unlock()
		}
	}
	return n, err
}

// A local blob goes to the socket as a file, whole or a range of it, with
// deadlines on.
func TestSendfile(t *testing.T) { localHouses(t, sendfile) }

func sendfile(t *testing.T, at shapes.House) {
	var l *filing
	h := open(t, changes{
		at:       at,
		pace:     paced(time.Minute, 1024),
		conns:    100,
		listener: func(real net.Listener) net.Listener { l = &filing{Listener: real}; return l },
	})
	content := random(9<<20 + 5)
	path := h.put(content)
	for _, test := range []struct {
		field string
		want  []byte
	}{{"", content}, {"bytes=1000000-9000000", content[1_000_000:9_000_001]}, {"bytes=-100000", content[len(content)-100_000:]}} {
		l.mu.Lock()
		l.files = 0
		l.mu.Unlock()
		_, text := h.request("GET", path, nil, "Range", test.field)
		if !bytes.Equal(text, test.want) {
			t.Errorf("%s: %d bytes", test.field, len(text))
		}
		// The server sends the first few bytes itself. It counts behind the client's back.
		for end := time.Now().Add(patience); l.sent() < int64(len(test.want))-512; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: only %d of %d bytes went by sendfile", test.field, l.sent(), len(test.want))
			}
		}
	}
}

func (l *filing) sent() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.files
}
