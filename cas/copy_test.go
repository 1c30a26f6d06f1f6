package cas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/cas"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// What is released is on a, with a copy on b and one on c; the rest is on a alone.
var released = []cas.Rule{{RetentionClass: "release", BackendID: "a", Copies: []string{"b", "c"}}}

func copyOptions(at shapes.House, s *seam) options {
	return options{at: at, seam: s, sleep: noSleep, backends: []string{"a", "b", "c"}, rules: released}
}

// tryCopies does one run of the task, alone at it and one copy at a time.
func (h *house) tryCopies(o cas.Copying) error {
	o.Concurrency = 1
	tasks := h.store.Copies(o)
	if len(tasks) != 1 {
		h.t.Fatalf("%d tasks", len(tasks))
	}
	return h.store.InTurn(h.t.Context(), tasks[0].Name, tasks[0].Run)
}

func (h *house) copies() {
	h.t.Helper()
	if err := h.tryCopies(cas.Copying{}); err != nil {
		h.t.Fatalf("copies: %v", err)
	}
}

// isOn fails unless a content is stored on these backends and on no other.
func (h *house) isOn(content []byte, want ...string) {
	h.t.Helper()
	var got []string
	for _, id := range h.ids {
		if h.location(id, content) == registry.Stored {
			got = append(got, id)
		}
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("%d bytes are on %v, want %v", len(content), got, want)
	}
}

// lack fails unless so many copies are known to be missing on b and on c.
func (h *house) lack(b, c int64) {
	h.t.Helper()
	got, err := h.store.Missing(h.t.Context())
	if want := map[string]int64{"a": 0, "b": b, "c": c}; err != nil || !maps.Equal(got, want) {
		h.t.Errorf("missing %v, %v, want %v", got, err, want)
	}
}

// Whatever keeps a content in a class with copies brings it onto the backends of the
// route: a lease, a file, a manifest, a renewal. Nothing is copied twice, and what
// has failed is mended from a copy. Reads go on from a copy, whole or in the middle.
func TestCopies(t *testing.T) { everyHouse(t, copiesAreMade) }

func copiesAreMade(t *testing.T, at shapes.House) {
	h := open(t, copyOptions(at, nil))
	plain, small, large := random(1, 2000), random(2, 3000), random(3, 3*buffer+7)
	h.mustPut(plain)
	h.mustPut(small, toRelease)
	h.mustPut(large, toRelease)
	h.copies()
	h.isOn(plain, "a")
	h.isOn(small, "a", "b", "c")
	h.isOn(large, "a", "b", "c")
	h.lack(0, 0)

	file, renewed := random(4, 4000), random(5, 5000)
	if _, err := h.store.PutFile(t.Context(), app, "x", bytes.NewReader(file), inClass("release")); err != nil {
		t.Fatal(err)
	}
	manifest := h.mustSeal()
	if _, err := h.store.PutFile(t.Context(), over, "y", bytes.NewReader(renewed), inClass("short")); err != nil {
		t.Fatal(err)
	}
	h.copies()
	h.isOn(file, "a", "b", "c")
	h.isOn(renewed, "a")
	if b, err := h.reg.Blob(t.Context(), manifest); err != nil || len(b.Locations) != 3 {
		t.Errorf("the manifest is on %v: %v", b.Locations, err)
	}
	h.say(registry.PackageRenewed{Package: over, RetentionClass: "release"})
	h.copies()
	h.isOn(renewed, "a", "b", "c")

	before := h.seam.count("commit")
	h.copies()
	if n := h.seam.count("commit"); n != before {
		t.Errorf("%d copies are made again", n-before)
	}

	h.remove("b", small) // a reader of b finds out, or a verification
	h.say(registry.LocationFailed{Blob: identity(small).SHA256, BackendID: "b", Reason: registry.Missing})
	h.copies()
	h.isOn(small, "a", "b", "c")

	h.replace("a", large, large[:buffer])
	h.mustRead(large)
	h.remove("a", small)
	h.mustRead(small)
	h.copies()
	h.isOn(small, "a", "b", "c")
	h.isOn(large, "a", "b", "c")
	h.exact()
}

// A rule that is new is a walk over what is there; one that is gone leaves the copies.
func TestCopiesOfANewRule(t *testing.T) {
	o := copyOptions(shapes.House{}, nil)
	rules := o.rules
	o.rules = nil
	h := open(t, o)
	all := contents(70)
	for _, c := range all {
		h.mustPut(c, toRelease)
	}
	if len(h.store.Copies(cas.Copying{})) != 0 {
		t.Error("there is a task without a route with copies")
	}
	h.reg.Close()
	o.rules = rules
	h = openIn(t, h.place, o)
	h.copies()
	for _, c := range all {
		h.isOn(c, "a", "b", "c")
	}
	h.reg.Close()
	o.rules = nil
	h = openIn(t, h.place, o)
	h.lack(0, 0)
	h.isOn(all[0], "a", "b", "c")
	h.exact()
}

// A position behind the end of the log is one of another log: all blobs are walked.
func TestCopiesOfAnotherLog(t *testing.T) {
	h := open(t, copyOptions(shapes.House{}, nil))
	h.copies()
	err := h.store.InTurn(t.Context(), "copies", func(ctx context.Context, turn *cas.Turn) error {
		was := regexp.MustCompile(`"position":\d+`)
		return turn.SetState(ctx, was.ReplaceAll(turn.State(), []byte(`"position":1000000`)))
	})
	if err != nil {
		t.Fatal(err)
	}
	one := random(1, 1000)
	h.mustPut(one, toRelease)
	h.copies()
	h.isOn(one, "a", "b", "c")
}

// A source that has other bytes is no source: it is marked, another is used, and it
// is mended. Where there is no other, nothing is written and no copy is missing.
func TestCopyOfRottenBytes(t *testing.T) {
	h := open(t, copyOptions(shapes.House{}, nil))
	one, two := random(1, 5000), random(2, 6000)
	h.mustPut(one, toRelease)
	h.copies()
	h.say(registry.LocationFailed{Blob: identity(one).SHA256, BackendID: "c", Reason: registry.Missing})
	h.remove("c", one)
	h.replace("a", one, flipped(one, 7))
	h.mustPut(two, toRelease)
	h.replace("a", two, flipped(two, 8))
	h.copies()
	h.copies() // what the run before found out
	h.isOn(one, "a", "b", "c")
	h.isOn(two)
	h.lack(0, 0)
	if n := h.files("b"); n != 1 {
		t.Errorf("%d objects on b", n)
	}
	h.mustPut(two, toRelease)
	h.copies()
	h.isOn(two, "a", "b", "c")
	h.exact()
}

// away is a backend that nothing can be written to or read from while it is.
type away struct {
	backends.Backend
	mu    sync.Mutex
	is    bool
	asked int
}

func (b *away) set(is bool) { b.mu.Lock(); b.is = is; b.mu.Unlock() }
func (b *away) here() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.is {
		return errBackend
	}
	return nil
}

func (b *away) Begin(ctx context.Context, hint backends.Hint) (backends.Upload, error) {
	if err := b.here(); err != nil {
		return nil, err
	}
	return b.Backend.Begin(ctx, hint)
}

func (b *away) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := b.here(); err != nil {
		return nil, err
	}
	return b.Backend.Open(ctx, key, off, n)
}

func (b *away) Health(ctx context.Context) error {
	return errors.Join(b.here(), b.Backend.Health(ctx))
}

// Copies to a backend that is away are missing, are counted, and are made when it is
// back; those to others are made meanwhile. It is not asked for each of them.
func TestCopiesToABackendThatIsAway(t *testing.T) {
	c, b := &clock{}, &away{is: true}
	o := copyOptions(shapes.House{}, nil)
	o.now = c.now
	o.wrap = func(id string, real backends.Backend) backends.Backend {
		if id != "b" {
			return real
		}
		b.Backend = real
		return b
	}
	h := open(t, o)
	all := contents(38) // and two
	for _, c := range all {
		h.mustPut(c, toRelease)
	}
	for range 3 {
		h.copies()
		h.lack(40, 0)
		h.isOn(all[39], "a", "c")
		c.pass(2 * time.Minute)
	}
	if b.asked > 30 {
		t.Errorf("it was asked %d times", b.asked)
	}
	b.set(false)
	c.pass(time.Hour)
	h.copies()
	h.lack(0, 0)
	for _, c := range all {
		h.isOn(c, "a", "b", "c")
	}
	h.exact()
}

// The rate of all copies together is bounded.
func TestCopiesArePaced(t *testing.T) {
	o := copyOptions(shapes.House{}, nil)
	var longest time.Duration
	o.sleep = func(d time.Duration) { longest = max(longest, d) }
	h := open(t, o)
	for _, c := range [][]byte{random(1, 5000), random(2, 5000)} {
		h.mustPut(c, toRelease)
	}
	if err := h.tryCopies(cas.Copying{BytesPerSecond: 1000}); err != nil { // no time passes: each waits for all before
		t.Fatal(err)
	}
	if longest < 19*time.Second || longest > 21*time.Second {
		t.Errorf("20,000 bytes take %s", longest)
	}
}

// Two gateways make the copies of what comes, each once, without being asked.
func TestCopiesAreShared(t *testing.T) {
	h := open(t, copyOptions(shapes.House{}, nil))
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range 2 {
		s := h.besides()
		all.Go(func() { s.Background(ctx, s.Copies(cas.Copying{Every: time.Second})...) })
	}
	list := contents(28) // and two
	for _, c := range list {
		h.mustPut(c, toRelease)
	}
	deadline := time.Now().Add(time.Minute)
	for there := int64(0); there < 60 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		totals, err := h.store.Totals(ctx)
		if err != nil {
			t.Fatal(err)
		}
		there = totals.Locations[cas.LocationTotal{BackendID: "b", State: registry.Stored}] + totals.Locations[cas.LocationTotal{BackendID: "c", State: registry.Stored}]
	}
	stop()
	all.Wait()
	for _, c := range list {
		h.isOn(c, "a", "b", "c")
	}
	if n := h.seam.count("commit"); n != 90 {
		t.Errorf("%d objects were written for 30 with two copies", n)
	}
	h.exact()
}

// besides is another gateway of the same store, whose claims last.
func (h *house) besides() *cas.Store {
	h.t.Helper()
	var list []cas.Backend
	for _, id := range h.ids {
		list = append(list, cas.Backend{ID: id, Backend: &seamBackend{h.disks[id].Backend, h.seam}})
	}
	s, err := cas.New(cas.Options{
		Registry: h.reg, Backends: list, Log: slog.New(slog.DiscardHandler),
		Policy: cas.Policy{Default: "a", DefaultClass: "release", Rules: released, Classes: map[string]time.Duration{"release": -1}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// Each call that a run makes fails, or is the last of its process, before its effect
// and after it. The next process goes on, and nothing was written in vain but what
// was under way.
func TestEachStepOfCopies(t *testing.T) { inHouses(t, shapes.Ends(), eachStepOfCopies) }

func eachStepOfCopies(t *testing.T, at shapes.House) {
	far := at.Name != shapes.All()[0].Name
	list := [][]byte{random(1, 3000), random(2, buffer+5)}
	for name, rules := range map[string][]cas.Rule{"walk": nil, "follow": released} {
		run := func(t *testing.T, s *seam) (*house, error) {
			o := copyOptions(at, nil)
			o.rules = rules
			before := open(t, o)
			if rules != nil {
				before.copies() // the log is followed from here
			}
			for _, content := range list {
				before.mustPut(content, toRelease)
			}
			before.reg.Close()
			h := openIn(t, before.place, copyOptions(at, s))
			return h, h.tryCopies(cas.Copying{})
		}
		healthy := noFault()
		if _, err := run(t, healthy); err != nil {
			t.Fatal(err)
		}
		for i, step := range healthy.made() {
			for _, how := range []how{fails, failsAfter, dies, diesAfter} {
				look := slices.Contains(looks, step) || slices.Contains([]string{"open", "begin", "abort", "write"}, step)
				if look && how != fails || far && (how != diesAfter || step != "append" && step != "commit") {
					continue
				}
				t.Run(fmt.Sprintf("%s/%d %s %s", name, i, step, how), func(t *testing.T) {
					t.Parallel()
					s := &seam{at: i, how: how}
					h, err := run(t, s)
					if err != nil && !errors.Is(err, errFault) {
						t.Errorf("the cause is lost: %v", err)
					}
					h.reg.Close()
					c := &clock{}
					c.pass(time.Hour)
					o := copyOptions(at, nil)
					o.now = c.now
					h = openIn(t, h.place, o)
					h.audit()
					h.copies()
					for _, content := range list {
						h.isOn(content, "a", "b", "c")
						h.mustRead(content)
					}
					h.lack(0, 0)
					if n := s.count("commit") + h.seam.count("commit"); n > 5 {
						t.Errorf("%d copies were written for 4", n)
					}
					h.exact()
				})
			}
		}
	}
}

// A run that is stopped again and again ends as one that is not, and copies nothing
// twice but what it was at.
func TestCopiesGoOn(t *testing.T) {
	o := copyOptions(shapes.House{}, nil)
	o.rules = nil
	h := open(t, o)
	list := contents(98) // and two
	for _, c := range list {
		h.mustPut(c, toRelease)
	}
	commits, kills := 0, 0
	for {
		h.reg.Close()
		s := &seam{at: -1}
		n := 0
		s.before = func(call string) {
			if call == "commit" {
				if n++; n == 37 {
					s.failAt("append", dies)
				}
			}
		}
		h = openIn(t, h.place, copyOptions(shapes.House{}, s))
		err := h.tryCopies(cas.Copying{})
		commits += s.count("commit")
		if err == nil {
			break
		}
		if kills++; kills > 10 {
			t.Fatal(err)
		}
	}
	if kills < 4 || commits > 200+kills {
		t.Errorf("%d writes, %d kills", commits, kills)
	}
	for _, c := range list {
		h.isOn(c, "a", "b", "c")
	}
	for _, id := range h.ids {
		if n := count(h, id); n != len(list) {
			t.Errorf("%d objects on %s", n, id)
		}
	}
	h.exact()
}

func count(h *house, id string) (n int) {
	for range h.disks[id].List(h.t.Context(), "", "") {
		n++
	}
	return n
}
