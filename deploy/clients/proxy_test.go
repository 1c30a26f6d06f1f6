package clients_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// proxy stands between a client and the gateway and cuts the connection in the
// middle of a blob, the first time it is asked for.
type proxy struct {
	address string
	victim  string // the path's end: a digest
	after   int64  // bytes of the body that still pass

	mu  sync.Mutex
	cut bool
	log []string // GETs of the victim: the Range field asked for, the status, Content-Range
}

var errCut = errors.New("the connection is cut")

// between starts a proxy that cuts a blob of an image in half.
func (w *world) between(t *testing.T, i image, blob string) *proxy {
	t.Helper()
	p := &proxy{victim: blob, after: int64(len(i.blobs[blob]) / 2)}
	back := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: w.gateway})
	back.FlushInterval = -1 // what has come goes on before the cut
	back.ModifyResponse = p.look
	back.ErrorLog = log.New(io.Discard, "", 0)
	// The server ends the connection where the answer ends early: the client sees
	// fewer bytes than Content-Length said.
	server := httptest.NewServer(back)
	t.Cleanup(server.Close)
	p.address = strings.TrimPrefix(server.URL, "http://")
	return p
}

func (p *proxy) look(resp *http.Response) error {
	r := resp.Request
	if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, p.victim) {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, fmt.Sprintf("%q %d %q", r.Header.Get("Range"), resp.StatusCode, resp.Header.Get("Content-Range")))
	if !p.cut {
		p.cut = true
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(resp.Body, p.after), broken{}), resp.Body}
	}
	return nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errCut }

// resumed fails the test unless the client asked for the blob a second time from
// a later byte on, and got the rest of it.
func (p *proxy) resumed(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	t.Logf("cut after %d bytes; asked for: %s", p.after, strings.Join(p.log, "; "))
	for _, line := range p.log[min(1, len(p.log)):] {
		var first int64
		if n, _ := fmt.Sscanf(line, `"bytes=%d-`, &first); n == 1 && first > 0 && first <= p.after && strings.Contains(line, fmt.Sprintf(`206 "bytes %d-`, first)) {
			return
		}
	}
	t.Errorf("the client did not resume")
}
