package auth

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// allowance is how often something may fail: burst times at once, and then once in
// every interval.
type allowance struct {
	burst int
	every time.Duration
}

// What may fail. A success is never counted.
var (
	// Of one name from one network: some slips of a hand, and then 4,320 guesses a day.
	ofNameAt = allowance{5, 20 * time.Second}
	// Of all names from one network, which may be that of a whole office.
	ofNetwork = allowance{20, 5 * time.Second}
	// Of one name from everywhere. One network alone cannot use this up, because it is
	// slowed before: so nobody locks out who comes from elsewhere.
	ofName = allowance{50, 10 * time.Second}
	// Of credentials that cannot be guessed, from one network. Good ones are never slowed.
	ofTokens = allowance{30, time.Second}
)

// maxFailing bounds how much a throttle remembers, in entries of some 80 bytes.
const maxFailing = 1 << 16

// Throttle slows who fails. It may be used by many goroutines; nil slows nobody.
type Throttle struct {
	now  func() time.Time
	seed maphash.Seed

	mu sync.Mutex
	// failing has for each of what failed when all its failures will be made up for:
	// each postpones that by an interval.
	failing *bounded[failing, time.Time]
}

// failing is what fails: a name, or all, at a network, or everywhere.
type failing struct {
	allowance
	network netip.Prefix
	name    uint64 // its hash; names are as long as a client likes
}

// NewThrottle returns a throttle by a clock.
func NewThrottle(now func() time.Time) *Throttle {
	return &Throttle{now: now, seed: maphash.MakeSeed(), failing: newBounded[failing, time.Time](maxFailing)}
}

// password is what an attempt with a name's password counts against.
func (t *Throttle) password(at netip.Addr, name string) []failing {
	n, id := network(at), maphash.String(t.seed, name)
	return []failing{{ofNameAt, n, id}, {ofNetwork, n, 0}, {ofName, netip.Prefix{}, id}}
}

// failed counts credentials of other kinds that were not good, unless there were too
// many before.
func (t *Throttle) failed(at netip.Addr) *Slowed {
	if t == nil {
		return nil
	}
	return t.take([]failing{{ofTokens, network(at), 0}})
}

// take counts an attempt as a failure against all, before its outcome is known, so
// that many at once are no way around it. Where there were too many it counts
// nothing.
func (t *Throttle) take(all []failing) *Slowed {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if s := t.slowed(all, now); s != nil {
		return s
	}
	for _, f := range all {
		until, _ := t.failing.get(f)
		if until.Before(now) {
			until = now
		}
		t.failing.put(f, until.Add(f.every))
	}
	return nil
}

// giveBack takes an attempt back that was a success.
func (t *Throttle) giveBack(all []failing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range all {
		if until, ok := t.failing.get(f); ok {
			t.failing.put(f, until.Add(-f.every))
		}
	}
}

// look reports whether there were too many failures of all, and counts nothing.
func (t *Throttle) look(all []failing) *Slowed {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.slowed(all, t.now())
}

func (t *Throttle) slowed(all []failing, now time.Time) (longest *Slowed) {
	for _, f := range all {
		until, _ := t.failing.get(f)
		wait := until.Add(-time.Duration(f.burst-1) * f.every).Sub(now)
		if wait > 0 && (longest == nil || wait > longest.For) {
			longest = &Slowed{For: wait}
		}
	}
	return longest
}

// network is what one client can take addresses from: an address of IPv4, 64 bits of
// IPv6.
func network(at netip.Addr) netip.Prefix {
	at = at.Unmap().WithZone("")
	bits := at.BitLen()
	if at.Is6() {
		bits = 64
	}
	p, _ := at.Prefix(bits) // of no address it is no network, which all of them share
	return p
}
