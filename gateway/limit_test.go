package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/limit"
	"artifactstore/gateway/origin"
)

// denial checks an error document of the OCI face.
func denial(t *testing.T, resp *http.Response, text []byte, status int, code string) {
	t.Helper()
	var d struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(text, &d); err != nil || len(d.Errors) != 1 || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("want an error document, got %s: %q", resp.Status, text)
		return
	}
	if resp.StatusCode != status || d.Errors[0].Code != code || d.Errors[0].Message == "" {
		t.Errorf("got %s, %s (%s), want %d, %s", resp.Status, d.Errors[0].Code, d.Errors[0].Message, status, code)
	}
}

func retries(t *testing.T, resp *http.Response) {
	t.Helper()
	if after := resp.Header.Get("Retry-After"); after == "" || after == "0" {
		t.Errorf("Retry-After %q", after)
	}
}

// named is a method of authentication that believes what a user is called.
type named struct{}

func (named) Identify(_ context.Context, c auth.Credentials) (auth.Principal, bool, error) {
	return auth.Principal{Name: c.User, Grants: auth.Anonymous.Grants}, c.User != "", nil
}

// A principal has no more uploads at once than it may, on either face, and what is
// refused leaves nothing and is counted.
func TestUploadsOfOnePrincipal(t *testing.T) {
	h := open(t, changes{uploads: &limit.Uploads{Most: 2}, gate: &auth.Gate{Methods: []auth.Method{named{}}, Anonymous: auth.Anonymous.Grants}})
	ann := []string{"Authorization", "Basic YW5uOng="} // ann:x
	const head = "POST /v1/blobs HTTP/1.1\nHost: x\nAuthorization: Basic YW5uOng=\nContent-Length: 100\nExpect: 100-continue\n\n"
	var held []*raw
	for range 2 {
		c := h.dial()
		c.send(head)
		if resp, text := c.answer("POST"); resp.StatusCode != 100 { // it is under way
			t.Fatalf("%s %s", resp.Status, text)
		}
		held = append(held, c)
	}
	before := h.mark()
	resp, text := h.request("PUT", "/v1/packages/a/b/1/files/f", strings.NewReader("x"), ann...)
	refusal(t, resp, text, 429, "too_many_uploads")
	retries(t, resp)
	resp, text = h.request("POST", "/v2/a/blobs/uploads/?digest="+sha([]byte("x")), strings.NewReader("x"), ann...)
	denial(t, resp, text, 429, "TOOMANYREQUESTS")
	retries(t, resp)
	h.unchanged(before)
	if resp, _ := h.request("GET", "/v1/packages", nil, ann...); resp.StatusCode != 200 {
		t.Errorf("reading: %s", resp.Status)
	}
	for _, other := range [][]string{nil, {"Authorization", "Basic Ym9iOng="}} {
		if resp, text := h.request("POST", "/v1/blobs", strings.NewReader("of another"), other...); resp.StatusCode/100 != 2 {
			t.Errorf("%v: %s %s", other, resp.Status, text)
		}
	}
	if n := h.metrics()[`artifactstore_http_limited_total{limit="uploads"}`]; n == "" || n == "0" {
		t.Errorf("counted %q", n)
	}
	for _, c := range held {
		c.reset()
	}
	eventually(t, "the places are not given back", func() bool {
		resp, _ := h.request("POST", "/v1/blobs", strings.NewReader("y"), ann...)
		return resp.StatusCode/100 == 2
	})
}

// A principal has no more open sessions than it may; ended ones make room.
func TestSessionsOfOnePrincipal(t *testing.T) {
	h := open(t, changes{sessions: 2})
	begin := func() (*http.Response, []byte) { return h.request("POST", "/v2/a/blobs/uploads/", nil) }
	var at []string
	for range 2 {
		resp, text := begin()
		if resp.StatusCode != 202 {
			t.Fatalf("%s %s", resp.Status, text)
		}
		at = append(at, resp.Header.Get("Location"))
	}
	before := h.mark()
	resp, text := begin()
	denial(t, resp, text, 429, "TOOMANYREQUESTS")
	retries(t, resp)
	h.unchanged(before)
	if n := h.metrics()[`artifactstore_http_limited_total{limit="sessions"}`]; n != "1" {
		t.Errorf("counted %q", n)
	}
	if resp, text := h.request("PUT", at[0]+"?digest="+sha([]byte("x")), strings.NewReader("x")); resp.StatusCode != 201 {
		t.Fatalf("%s %s", resp.Status, text)
	}
	if resp, text := begin(); resp.StatusCode != 202 {
		t.Errorf("after an end: %s %s", resp.Status, text)
	}
	if resp, _ := begin(); resp.StatusCode != 429 {
		t.Errorf("one end made room for two: %s", resp.Status)
	}
	h.request("DELETE", at[1], nil)
	resp, text = begin()
	if resp.StatusCode != 202 {
		t.Fatalf("after a cancelling: %s %s", resp.Status, text)
	}
	// A wrong digest ends a session, of which nobody tells who counts; it is found out.
	h.request("PUT", resp.Header.Get("Location")+"?digest="+sha([]byte("x")), strings.NewReader("y"))
	if resp, text := begin(); resp.StatusCode != 202 {
		t.Errorf("after a wrong digest: %s %s", resp.Status, text)
	}
}

// The bound of connections holds over TLS too, and connections that rest give way: how
// many for one that waits is a matter of time.
func TestConnectionsAreBounded(t *testing.T) {
	s := secure(t)
	h := open(t, changes{tls: s, conns: 2})
	for i := range 6 {
		c := s.transport(i%2 == 0)
		defer c.CloseIdleConnections()
		resp, err := c.RoundTrip(must(http.NewRequest("GET", h.url+"/livez", nil)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	var n int
	fmt.Sscan(h.metrics()[`artifactstore_http_limited_total{limit="connections"}`], &n)
	if n < 1 {
		t.Errorf("%d waited", n)
	}
}

// elsewhere is a listener whose connections come, as they seem, from the addresses
// that stand in from, one after the other, and then from this machine.
type elsewhere struct {
	net.Listener
	from chan string
}

func (e *elsewhere) Accept() (net.Conn, error) {
	c, err := e.Listener.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case a := <-e.from:
		return &foreign{c.(*net.TCPConn), net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(a), 4711))}, nil
	default:
		return c, nil
	}
}

type foreign struct {
	*net.TCPConn
	at net.Addr
}

func (f *foreign) RemoteAddr() net.Addr { return f.at }

// The bound of an address holds before TLS and headers: what it has too many is closed
// without a word, is counted, and said in the log once. Proxies and this machine have
// none, and streams that rest give way to those of their own address.
func TestConnectionsOfOneAddress(t *testing.T) {
	s := secure(t)
	from := make(chan string, 1)
	h := open(t, changes{
		tls: s, each: 2, proxies: origin.Proxies{netip.MustParsePrefix("192.0.2.9/32")},
		listener: func(l net.Listener) net.Listener { return &elsewhere{l, from} },
	})
	address := strings.TrimPrefix(h.url, "https://")
	dial := func(as string) net.Conn {
		from <- as
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	lets := func(as string) bool {
		c := tls.Client(dial(as), s.client())
		c.SetDeadline(time.Now().Add(patience))
		err := c.Handshake()
		c.Close()
		return err == nil
	}
	for range 2 {
		dial("2001:db8::1") // and says nothing
	}
	for _, as := range []string{"2001:db8::2", "2001:db8::3", "2001:db8::1"} {
		if lets(as) {
			t.Errorf("%s is let in, which is one too many of its /64", as)
		}
	}
	for _, as := range []string{"2001:db8:0:1::1", "192.0.2.1"} {
		if !lets(as) {
			t.Errorf("%s is kept out", as)
		}
	}
	for range 4 {
		dial("192.0.2.9")
		dial("127.0.0.1")
	}
	if !lets("192.0.2.9") || !lets("127.0.0.1") {
		t.Error("a proxy or this machine is kept out")
	}
	if n := h.metrics()[`artifactstore_http_limited_total{limit="connections_per_address"}`]; n != "3" {
		t.Errorf("counted %q", n)
	}
	if log := h.log.String(); strings.Count(log, "limits.connections_per_address") != 1 || !strings.Contains(log, `"address":"2001:db8::","most":2,"closed":1`) {
		t.Errorf("the log says %s", log)
	}
	for range 5 {
		c := s.transport(true)
		defer c.CloseIdleConnections()
		c.DialContext = func(context.Context, string, string) (net.Conn, error) { return dial("192.0.2.2"), nil }
		eventually(t, "none of its own gives way", func() bool { // once the gateway has seen that one rests
			resp, err := c.RoundTrip(must(http.NewRequest("GET", h.url+"/livez", nil)))
			if err != nil {
				return false
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			return true
		})
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// broken is a backend with a fault of the program in one step of an upload.
type broken struct {
	backends.Backend
	at string
}

func (b *broken) Begin(ctx context.Context, hint backends.Hint) (backends.Upload, error) {
	b.panics("begin")
	u, err := b.Backend.Begin(ctx, hint)
	return &brokenUpload{u, b}, err
}

func (b *broken) panics(at string) {
	if b.at == at {
		panic("on purpose")
	}
}

type brokenUpload struct {
	backends.Upload
	b *broken
}

func (u *brokenUpload) Write(p []byte) (int, error) {
	u.b.panics("write")
	return u.Upload.Write(p)
}

func (u *brokenUpload) Commit(ctx context.Context, key string) error {
	u.b.panics("commit")
	return u.Upload.Commit(ctx, key)
}

// A fault of the program in any step of an upload, by any way on either face, is an
// answer, is counted, and holds nothing: no place, no buffer, no staging file.
func TestPanicReleasesUpload(t *testing.T) {
	b := &broken{}
	h := open(t, changes{
		uploads: &limit.Uploads{Most: 1},
		backend: func(real backends.Backend) backends.Backend { b.Backend = real; return b },
	})
	content := random(1 << 20)
	d := sha(content)
	panics := 0
	for _, at := range []string{"begin", "write", "commit"} {
		for _, way := range []struct{ method, path string }{
			{"POST", "/v1/blobs"},
			{"PUT", "/v1/blobs/" + d},
			{"PUT", "/v1/packages/a/b/1/files/f"},
			{"POST", "/v2/a/blobs/uploads/?digest=" + d},
		} {
			before := h.mark()
			b.at = at
			resp, text := h.request(way.method, way.path, bytes.NewReader(content))
			b.at = ""
			if resp.StatusCode != 500 || bytes.Contains(text, []byte("on purpose")) {
				t.Errorf("%s, %s %s: %s %s", at, way.method, way.path, resp.Status, text)
			}
			panics++
			h.unchanged(before)
		}
	}
	m := h.metrics()
	if got := m["artifactstore_http_panics_total"]; got != fmt.Sprint(panics) || m["artifactstore_buffered_bytes"] != "0" {
		t.Errorf("%s panics of %d, %s bytes are held", got, panics, m["artifactstore_buffered_bytes"])
	}
	h.put(content) // the place is free
}
