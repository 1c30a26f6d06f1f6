package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/cas"
	"artifactstore/deploy/privateca"
	"artifactstore/gateway"
)

// secured is what a test needs to serve TLS, and to be a client of it.
type secured struct {
	authority *privateca.Authority
	server    *tls.Config
}

func secure(t *testing.T) *secured {
	t.Helper()
	a, err := privateca.New("tests")
	if err != nil {
		t.Fatal(err)
	}
	issued, err := a.Issue(privateca.Wish{Name: "gateway"})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := gateway.NewKeyPair(func() (string, string, error) {
		return string(issued.Certificate), string(issued.Key), nil
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return &secured{a, pair.Config(a.Pool())}
}

// client is the configuration of a client that trusts the authority; protocols are
// what it offers.
func (s *secured) client(protocols ...string) *tls.Config {
	return &tls.Config{RootCAs: s.authority.Pool(), ServerName: "localhost", NextProtos: protocols}
}

// transport speaks HTTP/2 to the gateway, or HTTP/1.
func (s *secured) transport(http2 bool) *http.Transport {
	t := &http.Transport{TLSClientConfig: s.client(), DisableCompression: true, ForceAttemptHTTP2: http2}
	if !http2 {
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	return t
}

// The same round trip over TLS, by HTTP/1 and HTTP/2.
func TestTLS(t *testing.T) {
	s := secure(t)
	h := open(t, changes{tls: s, pace: paced(time.Minute, 1024)})
	if !strings.HasPrefix(h.url, "https://") {
		t.Fatal(h.url)
	}
	content := random(5<<20 + 7)
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(name, func(t *testing.T) {
			c := s.transport(http2)
			defer c.CloseIdleConnections()
			dialled := 0
			traced := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
				if !got.Reused {
					dialled++
				}
			}})
			send := func(method, path string, body io.Reader, header ...string) (*http.Response, []byte) {
				t.Helper()
				req := must(http.NewRequest(method, h.url+path, body))
				for i := 0; i+1 < len(header); i += 2 {
					req.Header.Set(header[i], header[i+1])
				}
				resp, err := c.RoundTrip(req.WithContext(traced))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, err := io.ReadAll(resp.Body)
				if err != nil || resp.Proto != name {
					t.Errorf("%s %s: %s, %v", method, path, resp.Proto, err)
				}
				return resp, text
			}
			path := "/v1/blobs/" + sha(content)
			if resp, text := send("PUT", path, bytes.NewReader(content)); resp.StatusCode/100 != 2 {
				t.Fatalf("%s %s", resp.Status, text)
			}
			if resp, text := send("GET", path, nil); resp.StatusCode != 200 || !bytes.Equal(text, content) {
				t.Errorf("%s, %d bytes", resp.Status, len(text))
			}
			if resp, text := send("GET", path, nil, "Range", "bytes=1000000-4999999"); resp.StatusCode != 206 || !bytes.Equal(text, content[1_000_000:5_000_000]) {
				t.Errorf("%s, %d bytes", resp.Status, len(text))
			}
			// Refused before the body is read: the connection, or the stream, is in order.
			for range 3 {
				resp, text := send("PUT", "/v1/blobs/sha256:bad", bytes.NewReader(content))
				refusal(t, resp, text, 400, "digest_invalid")
			}
			if resp, _ := send("HEAD", path, nil); resp.StatusCode != 200 || resp.ContentLength != int64(len(content)) {
				t.Errorf("%s, %d bytes", resp.Status, resp.ContentLength)
			}
			if http2 && dialled != 1 { // a refusal ends a stream, and no connection
				t.Errorf("%d connections", dialled)
			}
		})
	}
}

func TestTLSRefuses(t *testing.T) {
	s := secure(t)
	h := open(t, changes{tls: s})
	other, err := privateca.New("others")
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(h.url, "https://")
	old := s.client()
	old.MaxVersion = tls.VersionTLS11
	stranger := s.client()
	strange := certificate(t, other, "stranger")
	stranger.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &strange, nil }
	for name, c := range map[string]*tls.Config{"an old version": old, "a certificate of another authority": stranger} {
		if err := hello(address, c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	known := s.client()
	known.Certificates = []tls.Certificate{certificate(t, s.authority, "known")}
	for name, c := range map[string]*tls.Config{"no certificate": s.client(), "one of the authority": known} {
		if err := hello(address, c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Who speaks plain HTTP is told.
	c := h.dialPlain()
	c.send("GET /livez HTTP/1.1\nHost: x\n\n")
	if resp, _ := c.answer("GET"); resp.StatusCode != 400 {
		t.Error(resp.Status)
	}
	c.ended()
}

func certificate(t *testing.T, a *privateca.Authority, name string) tls.Certificate {
	t.Helper()
	issued, err := a.Issue(privateca.Wish{Name: name, Client: true})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(issued.Certificate, issued.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// hello asks for something, which with TLS 1.3 is when a client learns whether its
// certificate was taken.
func hello(address string, config *tls.Config) error {
	c, err := tls.Dial("tcp", address, config)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, crlf("GET /livez HTTP/1.1\nHost: x\nConnection: close\n\n")); err != nil {
		return err
	}
	text, err := io.ReadAll(c)
	if err == nil && !bytes.Contains(text, []byte("200 OK")) {
		err = errors.New(string(text))
	}
	return err
}

// streams runs a test of HTTP/2 against a gateway whose clock is the test's.
func streams(t *testing.T, wrap func(backends.Backend) backends.Backend, f func(t *testing.T, c *http.Transport, h *house)) {
	s := secure(t)
	bubble{tls: s.server, backend: wrap}.run(t, func(t *testing.T, dial func() net.Conn, h *house) {
		c := s.transport(true)
		c.DialTLSContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			secured := tls.Client(dial(), s.client("h2"))
			return secured, secured.HandshakeContext(ctx)
		}
		// The least, so that a reader that stops is soon noticed.
		c.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10, MaxReceiveBufferPerConnection: 64 << 10}
		h.url = "https://localhost"
		f(t, c, h)
		c.CloseIdleConnections()
	})
}

// Who begins a handshake and does not end it is let go.
func TestSlowHandshake(t *testing.T) {
	s := secure(t)
	bubble{tls: s.server}.run(t, func(t *testing.T, dial func() net.Conn, h *house) {
		for _, said := range []string{"", "\x16\x03\x01\x02\x00\x01", "GET"} {
			c := dial()
			go io.WriteString(c, said)
			if text, took := until(c); took > 25*time.Second {
				t.Errorf("%q: after %s: %q", said, took, text)
			}
			c.Close()
		}
	})
}

// Who says hello by HTTP/2 and nothing else, or sends a header that never ends, does
// not hold its connection for ever.
func TestSilentConnectionOfStreams(t *testing.T) {
	s := secure(t)
	bubble{tls: s.server}.run(t, func(t *testing.T, dial func() net.Conn, h *house) {
		const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
		for what, said := range map[string]string{
			"nothing":     "",
			"a preface":   preface,
			"settings":    preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00",
			"half a head": preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82",
		} {
			c := tls.Client(dial(), s.client("h2"))
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			go io.WriteString(c, said)
			if text, took := until(c); took > 3*time.Minute {
				t.Errorf("%s: after %s: %q", what, took, text)
			}
			c.Close()
		}
	})
}

// trickle is a body that comes in steps.
type trickle struct {
	left  int
	first int // at once
	step  int // and then so much
	every time.Duration
	ended chan struct{} // by who sends it
}

func (r *trickle) Close() error {
	close(r.ended)
	return nil
}

func (r *trickle) Read(p []byte) (int, error) {
	n := r.first
	if r.first = 0; n == 0 {
		select {
		case <-time.After(r.every):
		case <-r.ended:
			return 0, io.ErrClosedPipe
		}
		n = r.step
	}
	if n = min(n, r.left, len(p)); n == 0 {
		return 0, io.EOF
	}
	r.left -= n
	return n, nil
}

// A body that comes too slowly is refused by HTTP/2 too, and its stream alone.
func TestSlowBodyOfAStream(t *testing.T) {
	streams(t, nil, func(t *testing.T, c *http.Transport, h *house) {
		for name, test := range map[string]struct {
			body        trickle
			least, most time.Duration
		}{
			"stops":               {trickle{first: 5000, step: 1, every: time.Hour}, 10 * time.Second, 12 * time.Second},
			"too slow":            {trickle{step: 100, every: time.Second}, 10 * time.Second, 15 * time.Second},
			"slow after much":     {trickle{first: 20_000, step: 1, every: 5 * time.Second}, 25 * time.Second, 40 * time.Second},
			"slow, a long way in": {trickle{first: 30_000, step: 900, every: time.Second}, 50 * time.Second, 400 * time.Second},
		} {
			before := h.mark()
			test.body.left, test.body.ended = 100_000_000, make(chan struct{})
			start := time.Now()
			resp, err := c.RoundTrip(must(http.NewRequest("POST", h.url+"/v1/blobs", &test.body)))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if took := time.Since(start); took < test.least || took > test.most {
				t.Errorf("%s: after %s", name, took)
			}
			refusal(t, resp, text, 408, "too_slow")
			h.unchanged(before)
		}
	})
}

// sleepy is a backend that takes its time.
type sleepy struct {
	backends.Backend
	time.Duration
}

func (b sleepy) Begin(ctx context.Context, hint backends.Hint) (backends.Upload, error) {
	u, err := b.Backend.Begin(ctx, hint)
	return sleepyUpload{u, b.Duration}, err
}

type sleepyUpload struct {
	backends.Upload
	time.Duration
}

func (u sleepyUpload) Write(p []byte) (int, error) {
	time.Sleep(u.Duration)
	return u.Upload.Write(p)
}

// An upload may take as long as it wants while it moves, however long the gateway
// takes for each step: a stream has no deadline while nobody waits for its client.
func TestSlowIsNotTooSlowForAStream(t *testing.T) {
	wrap := func(b backends.Backend) backends.Backend { return sleepy{b, time.Minute} }
	streams(t, wrap, func(t *testing.T, c *http.Transport, h *house) {
		start := time.Now()
		resp, err := c.RoundTrip(must(http.NewRequest("POST", h.url+"/v1/blobs", &trickle{left: 1 << 20, step: 9000, every: 8 * time.Second, ended: make(chan struct{})})))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if took := time.Since(start); resp.StatusCode != 201 || took < 15*time.Minute {
			t.Errorf("%s after %s", resp.Status, took)
		}
	})
}

// A reader of a stream that stops is let go; one that is slow is not; an answer that
// takes long to begin is waited for.
func TestSlowReaderOfAStream(t *testing.T) {
	streams(t, nil, func(t *testing.T, c *http.Transport, h *house) {
		content := random(1 << 20)
		stored, err := h.store.Put(t.Context(), bytes.NewReader(content), cas.PutOptions{Principal: "a", Producer: "a", Size: -1})
		if err != nil {
			t.Fatal(err)
		}
		get := func(path string) *http.Response {
			resp, err := c.RoundTrip(must(http.NewRequest("GET", h.url+path, nil)))
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		path := "/v1/blobs/" + stored.SHA256.String()
		resp := get(path)
		io.ReadFull(resp.Body, make([]byte, 100_000))
		time.Sleep(time.Minute)
		if rest, err := io.ReadAll(resp.Body); err == nil || len(rest) > 500_000 {
			t.Errorf("after a minute's pause there were %d bytes, %v", len(rest), err)
		}
		resp.Body.Close()

		resp = get(path)
		var got bytes.Buffer
		start := time.Now()
		for err = nil; err == nil; {
			time.Sleep(time.Second)
			_, err = io.CopyN(&got, resp.Body, 20_000)
		}
		resp.Body.Close()
		if !bytes.Equal(got.Bytes(), content) || time.Since(start) < 50*time.Second {
			t.Errorf("%d bytes in %s: %v", got.Len(), time.Since(start), err)
		}

		start = time.Now()
		last, err := h.reg.Last(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		resp = get("/v1/events?wait=60s&after=" + strconv.FormatUint(last, 10))
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if took := time.Since(start); resp.StatusCode != 200 || err != nil || took < time.Minute {
			t.Errorf("a long poll: %s after %s: %q %v", resp.Status, took, text, err)
		}
	})
}

// A connection of HTTP/2 whose client takes nothing any more, answers to pings
// included, ends.
func TestDeadConnectionOfStreams(t *testing.T) {
	s := secure(t)
	bubble{tls: s.server}.run(t, func(t *testing.T, dial func() net.Conn, h *house) {
		content := random(1 << 20)
		stored, err := h.store.Put(t.Context(), bytes.NewReader(content), cas.PutOptions{Principal: "a", Producer: "a", Size: -1})
		if err != nil {
			t.Fatal(err)
		}
		dead := &stoppable{Conn: dial(), stop: make(chan struct{})}
		c := s.transport(true)
		c.DialTLSContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			secured := tls.Client(dead, s.client("h2"))
			return secured, secured.HandshakeContext(ctx)
		}
		resp, err := c.RoundTrip(must(http.NewRequest("GET", "https://localhost/v1/blobs/"+stored.SHA256.String(), nil)))
		if err != nil {
			t.Fatal(err)
		}
		close(dead.stop)
		start := time.Now()
		for !strings.Contains(h.log.String(), `"path":"/v1/blobs/`) {
			if time.Sleep(time.Second); time.Since(start) > 5*time.Minute {
				t.Fatal("the request is still under way")
			}
		}
		resp.Body.Close()
		dead.Close()
	})
}

// stoppable is a connection whose end stops reading.
type stoppable struct {
	net.Conn
	stop chan struct{}
}

func (c *stoppable) Read(p []byte) (int, error) {
	select {
	case <-c.stop:
		time.Sleep(10 * time.Minute)
		return 0, io.EOF
	default:
		return c.Conn.Read(p[:min(len(p), 1000)])
	}
}
