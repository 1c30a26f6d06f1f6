package cas_test

import (
	"testing"
	"time"

	"artifactstore/cas"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// While a copy is under way, before it is written and before it is recorded, its blob
// is released and collected, and pushed again or not. Nothing is recorded that is not
// there, and what is left without a record is an orphan.
func TestCopyBesideCollection(t *testing.T) {
	for _, step := range []string{"commit", "append"} {
		for name, again := range map[string]bool{"gone": false, "pushed again": true} {
			t.Run(name+" before "+step, func(t *testing.T) {
				t.Parallel()
				c, s := &clock{}, noFault()
				o := copyOptions(shapes.House{}, s)
				o.now, o.waits = c.now, atOnce
				h := open(t, o)
				one := random(1, 2000)
				h.mustPut(one, toRelease)
				o.seam = nil
				collector := openIn(t, h.place, o)
				done := false
				s.before = func(call string) {
					if call != step || done {
						return
					}
					done = true
					collector.letGo(one)
					collector.collect()
					if again {
						collector.mustPut(one, toRelease)
					}
				}
				if err := h.tryCopies(cas.Copying{}); err != nil {
					t.Fatal(err)
				}
				if !done {
					t.Fatal("nothing was copied")
				}
				h.audit()
				c.pass(3 * day)
				h.copies()
				for _, id := range h.ids {
					if _, err := h.store.Orphans(t.Context(), id, cas.OrphanOptions{Anyway: true}); err != nil && again {
						t.Fatal(err)
					}
				}
				if again {
					h.isOn(one, "a", "b", "c")
					h.mustRead(one)
					h.exact()
				}
				h.lack(0, 0)
			})
		}
	}
}

// A removal that is under way on the backend where a copy is to be is waited for: not
// by the run, but until a later one.
func TestCopyWhereARemovalIsUnderWay(t *testing.T) {
	c := &clock{}
	o := copyOptions(shapes.House{}, nil)
	o.now = c.now
	h := open(t, o)
	one := random(1, 2000)
	h.mustPut(one, toRelease)
	h.copies()
	h.moved(one, "b")
	h.mustPut(one, toRelease)
	before := h.seam.count("commit")
	h.copies()
	h.isOn(one, "a", "c")
	h.lack(1, 0)
	if h.seam.count("commit") != before {
		t.Error("it was copied where it is being removed")
	}
	c.pass(2 * time.Hour)
	h.collect()
	h.copies()
	h.isOn(one, "a", "b", "c")
	c.pass(2 * time.Hour)
	h.copies()
	h.lack(0, 0)
	h.exact()
}

// moved begins the removal of a content from a backend, as a move does.
func (h *house) moved(content []byte, from string) {
	h.t.Helper()
	h.say(registry.LocationRemoving{Blob: identity(content).SHA256, BackendID: from, Cause: registry.Moved})
}

// A removal takes a copy's object before that is recorded: it is not recorded, and made
// again.
func TestCopyThatARemovalTook(t *testing.T) {
	c, s := &clock{}, noFault()
	o := copyOptions(shapes.House{}, s)
	o.now = c.now
	h := open(t, o)
	one := random(1, 2000)
	h.mustPut(one, toRelease)
	done := false
	s.before = func(call string) {
		if call == "append" && !done {
			done = true
			h.say(registry.LocationRemoving{Blob: identity(one).SHA256, BackendID: "b", Cause: registry.Orphan})
			h.remove("b", one)
			h.say(registry.LocationRemoved{Blob: identity(one).SHA256, BackendID: "b"})
		}
	}
	h.copies()
	h.audit()
	h.copies()
	h.isOn(one, "a", "b", "c")
	c.pass(2 * time.Hour)
	h.copies()
	h.lack(0, 0)
	h.exact()
}
