package cas_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/cas"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// moving is a store on a whose routing was changed: the default is b, and what is
// released has a copy on c.
func moving(at shapes.House, c *clock, s *seam) options {
	return options{
		at: at, seam: s, now: c.now, sleep: noSleep, backends: []string{"b", "a", "c"},
		rules: []cas.Rule{{RetentionClass: "release", BackendID: "b", Copies: []string{"c"}}},
	}
}

// settled opens a store on a with content of both classes, and then as moving.
func settled(t *testing.T, at shapes.House, c *clock, s *seam, plain, released [][]byte) *house {
	h := open(t, options{at: at, backends: []string{"a", "b", "c"}})
	for _, content := range plain {
		h.mustPut(content)
	}
	for _, content := range released {
		h.mustPut(content, toRelease)
	}
	h.reg.Close()
	return openIn(t, h.place, moving(at, c, s))
}

func (h *house) move() cas.MoveReport {
	h.t.Helper()
	report, err := h.store.Move(h.t.Context(), cas.MoveOptions{Concurrency: 1})
	if err != nil {
		h.t.Fatalf("move: %v", err)
	}
	return report
}

func (h *house) planned() map[string]cas.PlanOn {
	h.t.Helper()
	p, err := h.store.Plan(h.t.Context(), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	all := map[string]cas.PlanOn{}
	done := true
	for _, on := range p.Backends {
		id := on.BackendID
		on.BackendID = ""
		all[id] = on
		done = done && on == (cas.PlanOn{})
	}
	if done != p.Done() {
		h.t.Errorf("done: %v, of %+v", p.Done(), p)
	}
	return all
}

// A plan says what would move, and a move does it: first the copies, then, when they
// have been there for the grace and were read back, the old ones go.
func TestMove(t *testing.T) { everyHouse(t, moves) }

func moves(t *testing.T, at shapes.House) {
	c := &clock{}
	one, two, three, idle := random(1, 1000), random(2, 2000), random(3, 2*buffer), random(4, 4000)
	h := settled(t, at, c, nil, [][]byte{one, two, idle}, [][]byte{three})
	h.letGo(idle)
	size := int64(len(one) + len(two) + len(three))
	want := map[string]cas.PlanOn{
		"a": {Leaving: 3, LeavingBytes: size}, "b": {Copies: 3, CopyBytes: size}, "c": {Copies: 1, CopyBytes: int64(len(three))},
	}
	got := h.planned()
	for id, on := range want {
		if got[id] != on {
			t.Errorf("planned for %s: %+v, want %+v", id, got[id], on)
		}
	}

	r := h.move()
	if r.Copied != 4 || r.CopiedBytes != size+int64(len(three)) || r.Waiting != 3 || r.Removed != 0 || time.Until(r.Until) < 50*time.Minute {
		t.Errorf("at first: %+v", r)
	}
	h.isOn(one, "b", "a")
	h.isOn(three, "b", "a", "c")

	c.pass(2 * time.Hour)
	r = h.move()
	if r.Copied != 0 || r.Waiting != 0 || r.Removed != 3 || r.RemovedBytes != size || r.Left != 0 {
		t.Errorf("after the grace: %+v", r)
	}
	h.isOn(one, "b")
	h.isOn(three, "b", "c")
	h.isOn(idle, "a") // is nobody's: it is collected where it is
	for _, content := range [][]byte{one, two, three} {
		h.mustRead(content)
		b, err := h.reg.Blob(t.Context(), identity(content).SHA256)
		if err != nil || b.Locations[0].VerifiedAt.IsZero() {
			t.Errorf("it was not read back: %+v, %v", b.Locations, err)
		}
	}
	if p, err := h.store.Plan(t.Context(), nil); err != nil || !p.Done() {
		t.Errorf("afterwards %+v, %v", p, err)
	}
	h.exact()
}

// A new location that turns out wrong keeps the old one, and is made again.
func TestMoveReadsBack(t *testing.T) {
	c := &clock{}
	one, two := random(1, 1000), random(2, 2000)
	h := settled(t, shapes.House{}, c, nil, [][]byte{one, two}, nil)
	h.move()
	h.replace("b", one, flipped(one, 5))
	c.pass(2 * time.Hour)
	if r := h.move(); r.Removed != 1 || r.Left != 1 || r.LeftWhy == "" {
		t.Errorf("%+v", r)
	}
	h.isOn(one, "a")
	h.isOn(two, "b")
	if r := h.move(); r.Copied != 1 || r.Removed+r.Left+r.Waiting != 1 {
		t.Errorf("%+v", r)
	}
	c.pass(2 * time.Hour)
	h.move()
	h.isOn(one, "b")
	h.mustRead(one)
	h.exact()
}

// What is read back counts in the rate of a move as copies do.
func TestMoveReadsBackAtItsRate(t *testing.T) {
	c := &clock{}
	o := moving(shapes.House{}, c, nil)
	h := settled(t, shapes.House{}, c, nil, [][]byte{random(1, 5000), random(2, 5000)}, nil)
	h.move()
	c.pass(2 * time.Hour)
	h.reg.Close()
	var longest time.Duration
	o.sleep = func(d time.Duration) { longest = max(longest, d) }
	h = openIn(t, h.place, o)
	r, err := h.store.Move(t.Context(), cas.MoveOptions{Concurrency: 1, BytesPerSecond: 1000}) // no time passes: each waits for all before
	if err != nil || r.Copied != 0 || r.Removed != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	if longest < 9*time.Second || longest > 11*time.Second {
		t.Errorf("10,000 bytes take %s", longest)
	}
}

// A new location that cannot be read back proves nothing: the old one stays.
func TestMoveToABackendThatIsAway(t *testing.T) {
	c, b := &clock{}, &away{}
	one := random(1, 1000)
	h := settled(t, shapes.House{}, c, nil, [][]byte{one}, nil)
	h.move()
	c.pass(2 * time.Hour)
	h.reg.Close()
	o := moving(shapes.House{}, c, nil)
	o.wrap = func(id string, real backends.Backend) backends.Backend {
		if id != "b" {
			return real
		}
		b.Backend = real
		return b
	}
	h = openIn(t, h.place, o)
	b.set(true)
	if r := h.move(); r.Left != 1 || r.Removed != 0 {
		t.Errorf("%+v", r)
	}
	h.isOn(one, "b", "a")
	h.mustRead(one)
	b.set(false)
	if r := h.move(); r.Left != 0 || r.Removed != 1 {
		t.Errorf("%+v", r)
	}
	h.exact()
}

// What cannot be copied stays where it is, and what cannot be deleted is left to the
// next collection.
func TestMoveThatFails(t *testing.T) {
	c := &clock{}
	one := random(1, 1000)
	h := settled(t, shapes.House{}, c, nil, nil, [][]byte{one})
	h.seam.failAt("commit", fails)
	if r := h.move(); r.Left != 1 || r.Copied != 1 || r.Waiting != 0 {
		t.Errorf("one of two copies: %+v", r)
	}
	h.move()
	c.pass(2 * time.Hour)
	h.seam.failAt("delete", fails)
	if r := h.move(); r.Failed["a"] != 1 || r.Removed != 0 {
		t.Errorf("a delete fails: %+v", r)
	}
	h.isOn(one, "b", "c")
	c.pass(time.Hour)
	h.collect()
	h.exact()
}

// Each call that a move makes fails, or is the last of its process, before its effect
// and after it, while it copies and while it removes. The next goes on, and in the end
// everything is where it is wanted, and was readable all the time.
func TestEachStepOfAMove(t *testing.T) { inHouses(t, shapes.Ends(), eachStepOfAMove) }

func eachStepOfAMove(t *testing.T, at shapes.House) {
	far := at.Name != shapes.All()[0].Name
	plain, released := random(1, 3000), random(2, buffer+5)
	for _, half := range []string{"copy", "remove"} {
		run := func(t *testing.T, s *seam) (*clock, *house, error) {
			c := &clock{}
			h := settled(t, at, c, nil, [][]byte{plain}, [][]byte{released})
			if half == "remove" {
				h.move()
				c.pass(2 * time.Hour)
			}
			h.reg.Close()
			h = openIn(t, h.place, moving(at, c, s))
			_, err := h.store.Move(t.Context(), cas.MoveOptions{Concurrency: 1})
			return c, h, err
		}
		healthy := noFault()
		if _, _, err := run(t, healthy); err != nil {
			t.Fatal(err)
		}
		for i, step := range healthy.made() {
			for _, how := range []how{fails, failsAfter, dies, diesAfter} {
				look := slices.Contains(looks, step) || slices.Contains([]string{"open", "begin", "abort", "write"}, step)
				if look && how != fails || far && (how != diesAfter || !slices.Contains([]string{"append", "commit", "delete"}, step)) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%d %s %s", half, i, step, how), func(t *testing.T) {
					t.Parallel()
					c, h, err := run(t, &seam{at: i, how: how})
					if err != nil && !errors.Is(err, errFault) {
						t.Errorf("the cause is lost: %v", err)
					}
					h.reg.Close()
					h = openIn(t, h.place, moving(at, c, nil))
					h.audit()
					for range 3 {
						h.mustRead(plain)
						h.mustRead(released)
						h.move()
						c.pass(2 * time.Hour)
						h.collect()
					}
					h.isOn(plain, "b")
					h.isOn(released, "b", "c")
					h.mustRead(plain)
					h.mustRead(released)
					h.exact()
				})
			}
		}
	}
}

// A move that was stopped goes on after the last blobs that were done.
func TestMoveGoesOn(t *testing.T) {
	c := &clock{}
	list := contents(98) // and two
	s := noFault()
	h := settled(t, shapes.House{}, c, s, list, nil)
	n := 0
	s.before = func(call string) {
		if call == "commit" {
			if n++; n == 80 {
				s.failAt("append", dies)
			}
		}
	}
	if _, err := h.store.Move(t.Context(), cas.MoveOptions{Concurrency: 1}); !errors.Is(err, errFault) {
		t.Fatal(err)
	}
	h.reg.Close()
	h = openIn(t, h.place, moving(shapes.House{}, c, nil))
	r := h.move()
	if n := s.count("commit") + h.seam.count("commit"); n > len(list)+2 || r.Copied > 22 || r.Waiting != 36 {
		t.Errorf("%d copies of %d, then %+v", n, len(list), r)
	}
	c.pass(2 * time.Hour)
	if r := h.move(); r.Removed != int64(len(list)) {
		t.Errorf("at last %+v", r)
	}
	h.exact()
}

// While a package is put where it was, and the old location goes, the package keeps
// its bytes.
func TestMoveBesideAPush(t *testing.T) {
	c, s := &clock{}, noFault()
	one := random(1, 1000)
	h := settled(t, shapes.House{}, c, nil, [][]byte{one}, nil)
	h.move()
	c.pass(2 * time.Hour)
	h.reg.Close()
	h = openIn(t, h.place, moving(shapes.House{}, c, s))
	old := openIn(t, h.place, options{backends: []string{"a", "b", "c"}, sleep: noSleep}) // a gateway that has the old routing
	pushed := false
	s.before = func(call string) {
		if call == "delete" && !pushed {
			pushed = true
			if _, err := old.put(one); err != nil && !errors.Is(err, cas.ErrRemoving) {
				t.Error(err)
			}
			old.mustRead(one)
		}
	}
	h.move()
	if !pushed {
		t.Fatal("nothing was deleted")
	}
	h.isOn(one, "b")
	old.mustPut(one)
	if old.location("a", one) != registry.Stored {
		t.Error("it is not where the old routing puts it")
	}
	h.mustRead(one)
	h.exact()
}
