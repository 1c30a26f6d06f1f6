package gateway_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"artifactstore/backends"
	"artifactstore/cas"
	shapes "artifactstore/deploy/house"
	"artifactstore/gateway"
)

func paced(idle time.Duration, rate int64) gateway.Pace {
	return gateway.Pace{Idle: idle, MinimumRate: rate}
}

// pipes is a listener without a network, so that time can be a test's own.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.done)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// inBubble runs a test against a gateway whose clock is the test's: a second
// passes as soon as everybody waits for it.
func inBubble(t *testing.T, f func(t *testing.T, dial func() net.Conn, h *house)) {
	bubble{}.run(t, f)
}

// bubble is what is different in such a gateway.
type bubble struct {
	tls     *tls.Config
	backend func(backends.Backend) backends.Backend
}

func (b bubble) run(t *testing.T, f func(t *testing.T, dial func() net.Conn, h *house)) {
	synctest.Test(t, func(t *testing.T) {
		at := shapes.All()[0]
		reg, bytes := at.Registry(t)(t), at.Backend(t)(t)
		var used backends.Backend = bytes
		if b.backend != nil {
			used = b.backend(used)
		}
		log := &lockedBuffer{}
		logger := slog.New(slog.NewJSONHandler(log, nil))
		store, err := cas.New(cas.Options{
			Registry: reg,
			Backends: []cas.Backend{{ID: "local", Backend: used}},
			Policy:   cas.Policy{Default: "local", DefaultClass: "c", Classes: map[string]time.Duration{"c": -1}},
			Log:      logger,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		l := &pipes{make(chan net.Conn), make(chan struct{})}
		ended := make(chan error, 1)
		handler := gateway.New(gateway.Options{Store: store, Pace: paced(10*time.Second, 1000), Log: logger, Draining: ctx.Done()})
		go func() {
			ended <- gateway.Server{Handler: handler, TLS: b.tls, Idle: 10 * time.Second, Drain: time.Minute, Log: logger}.Serve(ctx, l)
		}()
		var conns []net.Conn
		dial := func() net.Conn {
			c, s := net.Pipe()
			l.conns <- s
			conns = append(conns, c)
			return c
		}
		via := &http.Transport{DisableCompression: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return dial(), nil }}
		defer via.CloseIdleConnections()
		f(t, dial, &house{url: "http://x", via: via, t: t, bytes: bytes, store: store, reg: reg, log: log})
		for _, c := range conns {
			c.Close()
		}
		time.Sleep(time.Hour) // whoever still sends finds out
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// until returns what a connection still brings, and how long it took to end.
func until(c net.Conn) (text string, took time.Duration) {
	start := time.Now()
	all, _ := io.ReadAll(c)
	return string(all), time.Since(start)
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestSlowHeader(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() net.Conn, h *house) {
		for _, sent := range []string{"G", "GET /livez HTTP/1.1\r\nHost: x\r\nX: "} {
			c := dial()
			go func() {
				for _, b := range []byte(sent + strings.Repeat("x", 1000)) { // a byte a second, for ever
					if _, err := c.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}()
			if text, took := until(c); took > 25*time.Second || strings.Contains(text, "200 OK") {
				t.Errorf("after %s: %q", took, text)
			}
			c.Close()
		}
	})
}

func TestSlowBody(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() net.Conn, h *house) {
		for name, test := range map[string]struct {
			first int
			step  int
			every time.Duration
			least time.Duration // when the gateway gives up
			most  time.Duration
		}{
			"nothing comes":        {0, 0, 0, 10 * time.Second, 12 * time.Second},
			"stops":                {5000, 0, 0, 10 * time.Second, 12 * time.Second},
			"too long a pause":     {5000, 100_000, 11 * time.Second, 10 * time.Second, 12 * time.Second},
			"too slow":             {0, 100, time.Second, 10 * time.Second, 15 * time.Second},
			"slow after much":      {20_000, 1, 5 * time.Second, 25 * time.Second, 40 * time.Second},
			"slow, a long way in":  {600_000, 1, 5 * time.Second, 600 * time.Second, 640 * time.Second},
			"just under the least": {0, 900, time.Second, 50 * time.Second, 150 * time.Second},
		} {
			before := h.mark()
			c := dial()
			io.WriteString(c, crlf("POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: 100000000\n\n"))
			go func() {
				c.Write(random(test.first))
				for test.step > 0 {
					time.Sleep(test.every)
					if _, err := c.Write(random(test.step)); err != nil {
						return
					}
				}
			}()
			text, took := until(c)
			if !strings.Contains(text, "408 Request Timeout") || !strings.Contains(text, "too_slow") || took < test.least || took > test.most {
				t.Errorf("%s: after %s: %q", name, took, text)
			}
			c.Close()
			h.unchanged(before)
		}
	})
}

// An upload may take as long as it wants while it moves.
func TestSlowIsNotTooSlow(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() net.Conn, h *house) {
		content := random(3 << 20)
		c := dial()
		io.WriteString(c, crlf("POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: 3145728\n\n"))
		start := time.Now()
		go func() {
			for rest := content; len(rest) > 0; {
				n := min(len(rest), 9000)
				c.Write(rest[:n])
				rest = rest[n:]
				time.Sleep(8 * time.Second)
			}
		}()
		buf := make([]byte, 1<<16)
		n, err := c.Read(buf)
		if took := time.Since(start); err != nil || !bytes.Contains(buf[:n], []byte("201 Created")) || took < 40*time.Minute {
			t.Errorf("after %s: %q %v", took, buf[:n], err)
		}
		c.Close()
	})
}

// A reader that stops is let go; one that is slow is not.
func TestSlowReader(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() net.Conn, h *house) {
		content := random(1 << 20)
		stored, err := h.store.Put(t.Context(), bytes.NewReader(content), cas.PutOptions{Principal: "a", Producer: "a", Size: -1})
		if err != nil {
			t.Fatal(err)
		}
		get := crlf("GET /v1/blobs/" + stored.SHA256.String() + " HTTP/1.1\nHost: x\nConnection: close\n\n")

		c := dial()
		io.WriteString(c, get)
		io.ReadFull(c, make([]byte, 100_000))
		time.Sleep(time.Minute)
		if rest, _ := io.ReadAll(c); len(rest) > 500_000 {
			t.Errorf("after a minute's pause there were %d bytes", len(rest))
		}

		c = dial()
		io.WriteString(c, get)
		var got bytes.Buffer
		start := time.Now()
		for err == nil {
			time.Sleep(time.Second)
			_, err = io.CopyN(&got, c, 20_000)
		}
		if !bytes.HasSuffix(got.Bytes(), content) || time.Since(start) < 50*time.Second {
			t.Errorf("%d bytes in %s: %v", got.Len(), time.Since(start), err)
		}
	})
}

// A request whose body is not wanted, and never comes, does not hold its
// connection; one whose answer takes long does not lose it.
func TestUnwantedBody(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() net.Conn, h *house) {
		for _, head := range []string{
			"GET /livez HTTP/1.1\nContent-Length: 5",
			"GET /livez HTTP/1.1\nContent-Length: 5\nExpect: 100-continue",
			"GET /v1/blobs/sha256:x HTTP/1.1\nContent-Length: 5000000",
			"POST /v1/blobs?x=1 HTTP/1.1\nTransfer-Encoding: chunked",
			"POST /v1/blobs?x=1 HTTP/1.1\nTransfer-Encoding: chunked\nExpect: 100-continue",
		} {
			c := dial()
			go io.WriteString(c, crlf(head+"\nHost: x\n\n"))
			text, took := until(c)
			if took > 15*time.Second || !strings.Contains(text, "Connection: close") || strings.Contains(text, " 100 ") {
				t.Errorf("%.60q: after %s: %q", head, took, text)
			}
			c.Close()
		}
		c := dial()
		io.WriteString(c, crlf("GET /v1/events?wait=60s HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello"))
		start := time.Now()
		buf := make([]byte, 1<<16)
		n, err := c.Read(buf)
		if took := time.Since(start); err != nil || !bytes.Contains(buf[:n], []byte("200 OK")) || took < time.Minute {
			t.Errorf("a long poll with a body: after %s: %q %v", took, buf[:n], err)
		}
		c.Close()
	})
}

// A stream of events in which nothing happens goes on, and says so.
func TestQuietStream(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() net.Conn, h *house) {
		c := dial()
		io.WriteString(c, crlf("GET /v1/events HTTP/1.1\nHost: x\nAccept: text/event-stream\n\n"))
		var got bytes.Buffer
		c.SetReadDeadline(time.Now().Add(10 * time.Minute))
		io.Copy(&got, c)
		if n := strings.Count(got.String(), ": nothing new"); n < 30 {
			t.Errorf("%d heartbeats in ten minutes: %q", n, got.String())
		}
		c.Close()
	})
}

// The reader that stops is let go on a real socket too, where the kernel sends.
func TestStalledReaderOfAFile(t *testing.T) { localHouses(t, stalledReaderOfAFile) }

func stalledReaderOfAFile(t *testing.T, at shapes.House) {
	t.Run("plain", func(t *testing.T) { stalledReader(t, at, nil) })
	t.Run("TLS", func(t *testing.T) { stalledReader(t, at, secure(t)) })
}

func stalledReader(t *testing.T, at shapes.House, with *secured) {
	h := open(t, changes{at: at, tls: with, pace: paced(300*time.Millisecond, 1024)})
	path := h.put(random(32 << 20))
	c := h.dial()
	c.tcp.SetReadBuffer(64 << 10)
	c.send("GET %s HTTP/1.1\nHost: x\n\n", path)
	for end := time.Now().Add(patience); !strings.Contains(h.log.String(), "i/o timeout"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the reader is waited for")
		}
	}
	c.SetReadDeadline(time.Now().Add(patience))
	if n, err := io.Copy(io.Discard, c.in); n >= 32<<20 || isTimeout(err) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// A body that stops is given up in the face's form by every way to send one, and
// leaves nothing.
func TestSlowBodyOnEveryWay(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() net.Conn, h *house) {
		for _, w := range ways {
			before := h.mark()
			c := dial()
			line := w.line(h, sha([]byte("hello")))
			go io.WriteString(c, crlf(line+" HTTP/1.1\nHost: x\nContent-Length: 3000\n\n")+strings.Repeat("x", 1000))
			text, took := until(c)
			want := `"too_slow"`
			if w.oci {
				want = `"BLOB_UPLOAD_INVALID"`
			}
			if !strings.Contains(text, "408 Request Timeout") || !strings.Contains(text, want) || took < 10*time.Second || took > 12*time.Second {
				t.Errorf("%s: after %s: %q", w.name, took, text)
			}
			c.Close()
			h.endSessions()
			h.unchanged(before)
		}
	})
}

// A reader that stops is let go by every way to read a blob.
func TestStoppedReaderOnEveryWay(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() net.Conn, h *house) {
		content := random(1 << 20)
		for _, path := range h.stored(content) {
			c := dial()
			io.WriteString(c, crlf("GET "+path+" HTTP/1.1\nHost: x\nConnection: close\n\n"))
			io.ReadFull(c, make([]byte, 100_000))
			time.Sleep(time.Minute)
			if rest, _ := io.ReadAll(c); len(rest) > 500_000 {
				t.Errorf("%s: after a minute's pause there were %d bytes", path, len(rest))
			}
			c.Close()
		}
	})
}

// stored puts content by each face and returns the paths at which it is served.
func (h *house) stored(content []byte) []string {
	h.t.Helper()
	d := sha(content)
	paths := []string{h.put(content)}
	for request, path := range map[string]string{
		"PUT /v1/packages/a/b/1/files/f":        "/v1/packages/a/b/1/files/f",
		"POST /v2/a/blobs/uploads/?digest=" + d: "/v2/a/blobs/" + d,
	} {
		method, target, _ := strings.Cut(request, " ")
		if resp, text := h.request(method, target, bytes.NewReader(content)); resp.StatusCode/100 != 2 {
			h.t.Fatalf("%s: %s %s", request, resp.Status, text)
		}
		paths = append(paths, path)
	}
	return paths
}
