package limit

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// empty reports whether nothing is kept of any address or connection.
func (c *Connections) empty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.peers)+len(c.gone)+len(c.rests)+c.resting.Len()+len(c.places) == 0
}

// An address that has all it may is refused one more, at once, and others are not; an
// end makes room.
func TestOneAddressLeavesRoom(t *testing.T) {
	var refused atomic.Int64
	s := serveWithin(t, Bounds{Most: 4, PerAddress: 2, Refused: func(a netip.Addr) {
		if a != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("%s is refused", a)
		}
		refused.Add(1)
	}})
	held := s.ask("/held")
	silent, err := net.Dial("tcp", s.at) // which says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	<-s.held
	const flood = 200
	for range flood {
		if err := ends(s.ask("/")); err != nil {
			t.Fatalf("one too many: %v", err)
		}
	}
	for i := range 20 {
		c := s.askFrom(fmt.Sprintf("127.0.1.%d", i+1), "/")
		answered(t, c)
		c.Close()
	}
	if n := refused.Load(); n != flood {
		t.Errorf("%d refused of %d", n, flood)
	}
	silent.Close()
	eventually(t, "an end makes no room", func() bool {
		c := s.ask("/")
		c.SetReadDeadline(time.Now().Add(patience))
		n, _ := c.Read(make([]byte, 1))
		c.Close()
		return n == 1
	})
	close(s.let)
	answered(t, held)
	held.Close()
	eventually(t, "something is kept of those that ended", s.bound.empty)
}

// What an address has too many takes the place of its own that rests longest, and of
// nobody else's.
func TestOneAddressGivesWayToItself(t *testing.T) {
	s := serveWithin(t, Bounds{Most: 10, PerAddress: 2, Refused: func(a netip.Addr) { t.Errorf("%s is refused", a) }})
	var resting []net.Conn
	for i, from := range []string{"127.0.0.2", "127.0.0.1", "127.0.0.1"} {
		c := s.askFrom(from, "/")
		answered(t, c)
		resting = append(resting, c)
		eventually(t, "it does not rest", func() bool { return s.bound.rest() > i })
	}
	answered(t, s.ask("/"))
	if err := ends(resting[1]); err != nil {
		t.Errorf("the one that rests longest goes on: %v", err)
	}
	for _, c := range []net.Conn{resting[0], resting[2]} {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		answered(t, c)
	}
	if s.waits.Load() != 0 {
		t.Error("one waited")
	}
}

func TestExemptAddressIsNotBounded(t *testing.T) {
	s := serveWithin(t, Bounds{PerAddress: 1, Exempt: func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.2") }})
	for range 3 {
		s.askFrom("127.0.0.2", "/held")
		<-s.held
	}
	s.ask("/held")
	<-s.held
	if err := ends(s.ask("/")); err != nil {
		t.Errorf("one that is not exempt: %v", err)
	}
	close(s.let)
}

// from is a connection of which only the other end is known.
type from struct {
	net.Conn
	at net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.at }

func TestCounted(t *testing.T) {
	c := NewConnections(nil, Bounds{PerAddress: 1})
	for at, want := range map[string]string{
		"192.0.2.1:5":            "192.0.2.1",
		"[::ffff:192.0.2.1]:5":   "192.0.2.1",
		"[2001:db8::1]:5":        "2001:db8::",
		"[2001:db8::ff:0:0:1]:6": "2001:db8::",
		"[2001:db8:0:1::1]:5":    "2001:db8:0:1::",
		"[fe80::1%eth0]:5":       "fe80::",
	} {
		if got := c.counted(from{at: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(at))}); got.String() != want {
			t.Errorf("%s counts to %s, want %s", at, got, want)
		}
	}
	if a := c.counted(from{at: &net.UnixAddr{Name: "@"}}); a.IsValid() {
		t.Errorf("a socket of the machine counts to %s", a)
	}
}

// A connection that gives way while a request comes on it makes room for one alone,
// also where the server then says that it rests again.
func TestGivesWayOnce(t *testing.T) {
	c := NewConnections(nil, Bounds{PerAddress: 1})
	at := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:5"))
	var all [3]net.Conn
	for i := range all {
		here, there := net.Pipe()
		defer there.Close()
		defer here.Close()
		all[i] = &from{here, at}
	}
	if !c.enter(all[0]) {
		t.Fatal("the first is refused")
	}
	c.Note(all[0], http.StateIdle)
	if !c.enter(all[1]) {
		t.Error("one that rests does not give way")
	}
	c.Note(all[0], http.StateActive)
	c.Note(all[0], http.StateIdle)
	if c.enter(all[2]) {
		t.Error("it gives way twice")
	}
	c.Note(all[0], http.StateClosed)
	if c.enter(all[2]) {
		t.Error("its end makes room again")
	}
	c.Note(all[1], http.StateClosed)
	if !c.empty() {
		t.Error("something is kept")
	}
}

// Whatever connections do, and whatever is closed for what, no address has more than
// it may, and in the end nothing is kept.
func TestNothingIsKept(t *testing.T) {
	const perAddress = 3
	s := serveWithin(t, Bounds{Most: 8, PerAddress: perAddress})
	close(s.let)
	var clients sync.WaitGroup
	for i := range 16 {
		clients.Go(func() {
			dice := rand.New(rand.NewPCG(1, uint64(i)))
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(fmt.Sprintf("127.0.0.%d", 1+i%4))}}
			for range 30 {
				c, err := dialer.Dial("tcp", s.at)
				if err != nil {
					t.Error(err)
					return
				}
				c.SetDeadline(time.Now().Add(patience))
				for range dice.IntN(4) {
					io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
					if dice.IntN(2) == 0 {
						c.Read(make([]byte, 512))
					}
				}
				c.Close()
			}
		})
	}
	ended := make(chan struct{})
	go func() { clients.Wait(); close(ended) }()
	for over := false; !over; {
		select {
		case <-ended:
			over = true
		default:
		}
		s.bound.mu.Lock()
		for a, p := range s.bound.peers {
			if p.connections < 1 || p.connections > perAddress || p.resting.Len() > p.connections {
				t.Errorf("%s has %d, of which %d rest", a, p.connections, p.resting.Len())
			}
		}
		s.bound.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	eventually(t, "something is kept of those that ended", s.bound.empty)
}
