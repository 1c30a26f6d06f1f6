package auth

import (
	"errors"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"testing"
	"time"
)

// clock is a time that a test moves.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) advance(d time.Duration) { c.at = c.at.Add(d) }

func addr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

func TestThrottleByNameAndNetwork(t *testing.T) {
	c := newClock()
	th := NewThrottle(c.now)
	here := th.password(addr(1), "ann")
	for range ofNameAt.burst {
		if s := th.take(here); s != nil {
			t.Fatalf("slowed after too few: %v", s)
		}
	}
	s := th.take(here)
	if s == nil || s.For != ofNameAt.every {
		t.Fatalf("the next is slowed by %v; want %s", s, ofNameAt.every)
	}
	for who, other := range map[string][]failing{
		"another name": th.password(addr(1), "bob"), "another network": th.password(addr(2), "ann"),
	} {
		if s := th.look(other); s != nil {
			t.Errorf("%s is slowed: %v", who, s)
		}
	}
	c.advance(s.For - 1)
	if th.look(here) == nil {
		t.Error("no longer slowed too early")
	}
	c.advance(1)
	if s := th.take(here); s != nil {
		t.Errorf("still slowed: %v", s)
	}
	if th.take(here) == nil {
		t.Error("one interval makes up for more than one")
	}
}

// A network that has failed with many names is slowed with every name; those of
// IPv6 are 64 bits wide.
func TestThrottleByNetwork(t *testing.T) {
	c := newClock()
	th := NewThrottle(c.now)
	at := netip.MustParseAddr("2001:db8:1:2::7")
	for i := range ofNetwork.burst {
		if s := th.take(th.password(at, strconv.Itoa(i))); s != nil {
			t.Fatalf("slowed after %d: %v", i, s)
		}
	}
	if th.look(th.password(netip.MustParseAddr("2001:db8:1:2:ffff::1"), "new")) == nil {
		t.Error("another address of the network is not slowed")
	}
	if s := th.look(th.password(netip.MustParseAddr("2001:db8:1:3::7"), "new")); s != nil {
		t.Errorf("another network is slowed: %v", s)
	}
}

// Many networks together are slowed with one name, and one network alone cannot get
// a name slowed elsewhere, however long it tries.
func TestThrottleByName(t *testing.T) {
	c := newClock()
	th := NewThrottle(c.now)
	for range 1000 {
		th.take(th.password(addr(1), "ann"))
		c.advance(time.Second)
		if s := th.look(th.password(addr(2), "ann")); s != nil {
			t.Fatalf("locked out from elsewhere: %v", s)
		}
	}
	slowed := false
	for i := range 2 * ofName.burst {
		slowed = slowed || th.take(th.password(addr(100+i), "bob")) != nil
	}
	if !slowed {
		t.Error("many networks are not slowed together")
	}
}

func TestThrottleGivesBack(t *testing.T) {
	th := NewThrottle(newClock().now)
	f := th.password(addr(1), "ann")
	for range 10 * ofName.burst {
		if s := th.take(f); s != nil {
			t.Fatal(s)
		}
		th.giveBack(f)
	}
}

func TestThrottleIsBounded(t *testing.T) {
	th := NewThrottle(newClock().now)
	for i := range maxFailing {
		th.take(th.password(addr(i), strconv.Itoa(i)))
	}
	if n := len(th.failing.m); n > maxFailing {
		t.Errorf("%d entries; want %d at most", n, maxFailing)
	}
}

// Whatever credentials are wrong, who goes on sending them is slowed, and good ones
// of the same network are not.
func TestGateSlowsWrongCredentials(t *testing.T) {
	c := newClock()
	g := &Gate{Methods: []Method{only("good")}, Throttle: NewThrottle(c.now)}
	ask := func(field string, from int) error {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", field)
		_, err := g.Identify(r, addr(from))
		return err
	}
	for i := range ofTokens.burst {
		if err := ask("Bearer bad", 1); !errors.Is(err, ErrCredentials) {
			t.Fatalf("attempt %d: %v", i, err)
		}
	}
	for _, field := range []string{"Bearer bad", "Basic !", "Nonsense"} {
		var slowed *Slowed
		if err := ask(field, 1); !errors.As(err, &slowed) || slowed.For <= 0 {
			t.Errorf("%s: %v; want it slowed", field, err)
		}
	}
	if err := ask("Bearer good", 1); err != nil {
		t.Errorf("good credentials: %v", err)
	}
	if err := ask("Bearer bad", 2); !errors.Is(err, ErrCredentials) {
		t.Errorf("from elsewhere: %v", err)
	}
	c.advance(ofTokens.every)
	if err := ask("Bearer bad", 1); !errors.Is(err, ErrCredentials) {
		t.Errorf("after an interval: %v", err)
	}
}
