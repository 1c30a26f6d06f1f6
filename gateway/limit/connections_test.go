package limit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const patience = time.Minute

// serving is a server with few connections, whose handler answers /held only when it
// is let go.
type serving struct {
	t      *testing.T
	at     string
	waits  atomic.Int64
	held   chan struct{} // one for each request that is held
	let    chan struct{}
	server *http.Server
	bound  *Connections
	ended  chan error
}

func serve(t *testing.T, most int) *serving {
	t.Helper()
	return serveWithin(t, Bounds{Most: most})
}

func serveWithin(t *testing.T, b Bounds) *serving {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &serving{t: t, at: l.Addr().String(), held: make(chan struct{}, 100), let: make(chan struct{}), ended: make(chan error, 1)}
	b.Waited = func() { s.waits.Add(1) }
	bounded := NewConnections(l, b)
	s.bound = bounded
	s.server = &http.Server{ConnState: bounded.Note, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/held" {
			s.held <- struct{}{}
			<-s.let
		}
		io.WriteString(w, "hello")
	})}
	go func() { s.ended <- s.server.Serve(bounded) }()
	t.Cleanup(func() {
		s.server.Close()
		<-s.ended
	})
	return s
}

// ask sends a request on a connection of its own.
func (s *serving) ask(path string) net.Conn {
	s.t.Helper()
	return s.askFrom("127.0.0.1", path)
}

// askFrom does it from another address of this machine.
func (s *serving) askFrom(address, path string) net.Conn {
	s.t.Helper()
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	c, err := from.Dial("tcp", s.at)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
	return c
}

func answered(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "hello" {
		t.Fatalf("%q, %v", text, err)
	}
}

// ends is nil where a connection ends without another byte.
func ends(c net.Conn) error {
	c.SetReadDeadline(time.Now().Add(patience))
	n, err := c.Read(make([]byte, 1))
	if n == 0 && (err == io.EOF || errors.Is(err, syscall.ECONNRESET)) {
		return nil
	}
	return fmt.Errorf("%d bytes, %v", n, err)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// rest is how many connections rest.
func (c *Connections) rest() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resting.Len()
}

// One connection too many waits until another has ended, and is served then.
func TestConnectionsWait(t *testing.T) {
	s := serve(t, 2)
	one, two := s.ask("/held"), s.ask("/held")
	<-s.held
	<-s.held
	three := s.ask("/three")
	eventually(t, "nobody waits", func() bool { return s.waits.Load() == 1 })
	three.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := three.Read(make([]byte, 1)); err == nil {
		t.Fatalf("%d bytes beyond the bound", n)
	}
	s.let <- struct{}{} // its connection then rests, and gives way
	answered(t, three)
	s.let <- struct{}{}
	one.Close()
	two.Close()
	for range 20 {
		c := s.ask("/")
		answered(t, c)
		c.Close()
	}
}

// Connections that rest give way, those that rest longest first, and only where one
// waits.
func TestRestingConnectionsGiveWay(t *testing.T) {
	s := serve(t, 3)
	var resting []net.Conn
	for i := range 3 {
		c := s.ask("/")
		answered(t, c)
		resting = append(resting, c)
		eventually(t, "it does not rest", func() bool { return s.bound.rest() > i })
	}
	if s.waits.Load() != 0 {
		t.Fatal("one waited")
	}
	answered(t, s.ask("/"))
	if err := ends(resting[0]); err != nil {
		t.Errorf("the one that rests longest goes on: %v", err)
	}
	for _, c := range resting[1:] {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		answered(t, c)
	}
}

// A listener that is closed while a connection waits lets go of it.
func TestCloseWhileOneWaits(t *testing.T) {
	s := serve(t, 1)
	s.ask("/held")
	<-s.held
	waiting := s.ask("/")
	eventually(t, "nobody waits", func() bool { return s.waits.Load() == 1 })
	s.server.Close()
	if err := <-s.ended; err != http.ErrServerClosed {
		t.Error(err)
	}
	s.ended <- nil
	waiting.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(waiting); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
	close(s.let)
}
