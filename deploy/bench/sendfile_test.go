package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"artifactstore/backends/local"
	"artifactstore/cas"
	"artifactstore/gateway"
	"artifactstore/registry/sqlite"
)

// fileListener hands out connections that tell what is copied into them.
type fileListener struct {
	net.Listener
	files, other atomic.Int64 // bytes that came from a file, and from anything else
}

func (l *fileListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &fileConn{c.(*net.TCPConn), l}, nil
}

// fileConn is a TCP connection whose ReadFrom the standard library turns into
// sendfile when, and only when, what it is given is a file or a limited one.
type fileConn struct {
	*net.TCPConn
	l *fileListener
}

func (c *fileConn) ReadFrom(r io.Reader) (int64, error) {
	inner := r
	if limited, ok := r.(*io.LimitedReader); ok {
		inner = limited.R
	}
	count := &c.l.other
	if _, ok := inner.(*os.File); ok {
		count = &c.l.files
	}
	n, err := c.TCPConn.ReadFrom(r)
	count.Add(n)
	return n, err
}

func (c *fileConn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.l.other.Add(int64(n))
	return n, err
}

// A blob on a local disk reaches the socket by sendfile, whole or a range of it.
func TestDownloadIsSendfile(t *testing.T) {
	l, url := serveHere(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB
	sum := sha256.Sum256(content)
	path := url + "/v1/blobs/sha256:" + hex.EncodeToString(sum[:])
	resp, err := http.Post(url+"/v1/blobs", "", bytes.NewReader(content))
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("upload: %v, %v", resp, err)
	}
	resp.Body.Close()
	for _, c := range []struct {
		field      string
		from, size int
	}{
		{"", 0, len(content)},
		{"bytes=1000000-", 1_000_000, len(content) - 1_000_000},
		{"bytes=5-5000004", 5, 5_000_000},
	} {
		before, others := l.files.Load(), l.other.Load()
		got := get(t, path, c.field)
		if !bytes.Equal(got, content[c.from:c.from+c.size]) {
			t.Fatalf("%q: %d bytes that are not the blob's", c.field, len(got))
		}
		files, other := l.files.Load()-before, l.other.Load()-others
		// net/http may have read the first bytes of a body itself, to find out its type.
		if files < int64(c.size)-512 || other > 4096 {
			t.Errorf("%q: of %d bytes %d went from file to socket, %d otherwise", c.field, c.size, files, other)
		}
	}
}

func get(t *testing.T, path, field string) []byte {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if field != "" {
		req.Header.Set("Range", field)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// serveHere serves a gateway over a local backend and SQLite in this process.
func serveHere(t *testing.T) (*fileListener, string) {
	t.Helper()
	ctx := context.Background()
	dir := t.TempDir()
	blobs, err := local.Open(ctx, local.Options{Root: filepath.Join(dir, "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	reg, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(dir, "registry.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	store, err := cas.New(cas.Options{
		Registry: reg,
		Backends: []cas.Backend{{ID: "local", Backend: blobs}},
		Policy:   cas.Policy{Default: "local", DefaultClass: "standard", Classes: map[string]time.Duration{"standard": time.Hour}},
	})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &fileListener{Listener: inner}
	server := &http.Server{Handler: gateway.New(gateway.Options{
		Store: store,
		Pace:  gateway.Pace{Idle: time.Minute},
		Log:   slog.New(slog.DiscardHandler),
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l, fmt.Sprintf("http://%s", inner.Addr())
}
