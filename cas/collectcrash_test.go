package cas_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"time"

	"artifactstore/cas"
	shapes "artifactstore/deploy/house"
)

// upkeep is what ends by itself, in some state of a store.
type upkeep struct {
	kept, both, one []byte // leased; on two backends and nobody's; on one and nobody's
	file, orphan    []byte // of a package whose time is over; without a record
}

var (
	over = cas.PackageKey{Producer: "ci", Name: "over", Version: "1"}
	toB  = []cas.Rule{{RetentionClass: "release", BackendID: "b"}}
)

func upkeepOptions(at shapes.House, c *clock, s *seam) options {
	return options{at: at, seam: s, now: c.now, sleep: noSleep, backends: []string{"a", "b"}, waits: atOnce, rules: toB}
}

func toRelease(o *cas.PutOptions) { o.RetentionClass = "release" }

// prepare makes everything that an upkeep looks at.
func (u *upkeep) prepare(h *house) {
	*u = upkeep{random(1, 3000), random(2, 4000), random(3, 5000), random(4, 6000), random(5, 7000)}
	h.mustPut(u.kept)
	h.mustPut(u.both)
	h.mustPut(u.both, toRelease)
	h.letGo(u.both)
	h.mustPut(u.one)
	h.letGo(u.one)
	_, err := h.store.PutFile(h.t.Context(), over, "x", bytes.NewReader(u.file), cas.PutOptions{Principal: "ann", RetentionClass: "short", Size: -1})
	if err != nil {
		h.t.Fatal(err)
	}
	h.orphan(u.orphan)
}

// jobs are the parts of an upkeep.
var jobs = map[string]func(h *house) error{
	"expire": func(h *house) error {
		_, err := h.store.Expire(h.t.Context(), cas.ExpireOptions{})
		return err
	},
	"collect": func(h *house) error {
		_, err := h.store.Collect(h.t.Context(), cas.CollectOptions{})
		return err
	},
	"orphans": func(h *house) error {
		_, err := h.store.Orphans(h.t.Context(), "a", cas.OrphanOptions{})
		return err
	},
}

// all does them in turn until nothing can be left.
func (u *upkeep) all(h *house, c *clock) {
	h.t.Helper()
	for range 2 {
		for _, name := range []string{"expire", "collect", "orphans"} {
			if err := jobs[name](h); err != nil {
				h.t.Fatalf("%s: %v", name, err)
			}
		}
		c.pass(10 * time.Minute)
	}
}

// rest fails unless what is needed is there and nothing else is.
func (u *upkeep) rest(h *house, needed ...[]byte) {
	h.t.Helper()
	for _, content := range append(needed, u.kept) {
		h.mustRead(content)
	}
	h.exact()
	for name, content := range map[string][]byte{"both": u.both, "one": u.one, "file": u.file, "orphan": u.orphan} {
		_, err := h.reg.Blob(h.t.Context(), identity(content).SHA256)
		isNeeded := slices.ContainsFunc(needed, func(n []byte) bool { return string(n) == string(content) })
		if !isNeeded && !errors.Is(err, fs.ErrNotExist) {
			h.t.Errorf("%s is still there: %v", name, err)
		}
	}
	if _, err := h.store.Package(h.t.Context(), over); !errors.Is(err, cas.ErrPackageUnknown) {
		h.t.Errorf("the package is still there: %v", err)
	}
}

// looks are calls without an effect: nothing is different after it.
var looks = []string{"health", "list", "blob", "blobs", "last", "removal", "removals", "collectable", "expirable", "state"}

// shows reports whether it shows anything new that a call goes wrong in a way; with
// -short half of it must do.
func shows(call string, how how) bool {
	if testing.Short() {
		return how == dies || how == failsAfter && !slices.Contains(looks, call)
	}
	return how == fails || how == dies || !slices.Contains(looks, call)
}

// Each call that expiry, collection and the walk for orphans make fails, or is the
// last that their process does, before its effect and after it. Then somebody pushes
// what was going, another process goes on, and in the end there is exactly what is
// needed. What was acknowledged in between is.
func TestEachStepOfUpkeep(t *testing.T) { inHouses(t, shapes.Ends(), eachStepOfUpkeep) }

func eachStepOfUpkeep(t *testing.T, at shapes.House) {
	far := at.Name != shapes.All()[0].Name
	for name, job := range jobs {
		run := func(t *testing.T, s *seam) (*upkeep, *clock, *house, error) {
			c, p, u := &clock{}, newPlace(t, at), &upkeep{}
			before := openIn(t, p, upkeepOptions(at, c, nil))
			u.prepare(before)
			c.pass(3 * day)
			before.reg.Close()
			h := openIn(t, p, upkeepOptions(at, c, s))
			return u, c, h, job(h)
		}
		healthy := noFault()
		u, c, h, err := run(t, healthy)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		steps := healthy.made()
		u.all(h, c)
		u.rest(h)
		for i, step := range steps {
			for _, how := range []how{fails, failsAfter, dies, diesAfter} {
				if far && (how != diesAfter || step != "append" && step != "delete") || !shows(step, how) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%d %s %s", name, i, step, how), func(t *testing.T) {
					t.Parallel()
					s := &seam{at: i, how: how}
					u, c, h, err := run(t, s)
					if err == nil && (how == dies || how == diesAfter) && i < len(steps)-1 && s.count("release") == 0 {
						t.Error("a process that died says nothing")
					}
					if err != nil && !errors.Is(err, errFault) {
						t.Errorf("the cause is lost: %v", err)
					}
					h.reg.Close()
					h = openIn(t, h.place, upkeepOptions(at, c, nil))
					h.audit()
					h.mustRead(u.kept)
					var needed [][]byte
					for _, content := range [][]byte{u.one, u.orphan} {
						switch _, err := h.put(content); {
						case err == nil:
							h.mustRead(content)
							needed = append(needed, content)
						case !errors.Is(err, cas.ErrRemoving):
							t.Errorf("push: %v", err)
						}
					}
					u.all(h, c)
					u.rest(h, needed...)
				})
			}
		}
	}
}
