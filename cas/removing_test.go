package cas_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// A removal goes on in steps while uploads of the same content go on in theirs.

func (h *house) say(events ...registry.Data) {
	h.t.Helper()
	var list []registry.Event
	for _, d := range events {
		list = append(list, registry.Event{Actor: "test", Data: d})
	}
	if _, err := h.reg.Append(h.t.Context(), list...); err != nil {
		h.t.Fatal(err)
	}
}

// orphan has an object of a content without a row.
func (h *house) orphan(content []byte) {
	h.t.Helper()
	h.replace("a", content, content)
}

func (h *house) beginRemoval(content []byte) {
	h.t.Helper()
	h.say(registry.LocationRemoving{Blob: identity(content).SHA256, BackendID: "a", Cause: registry.Orphan})
}

func (h *house) endRemoval(content []byte) {
	h.t.Helper()
	h.remove("a", content)
	h.say(registry.LocationRemoved{Blob: identity(content).SHA256, BackendID: "a"})
}

// upload is a way in which content comes.
type upload struct {
	size int
	put  func(h *house, content []byte) error
}

var uploads = map[string]upload{
	"short": {4096, func(h *house, content []byte) error {
		_, err := h.put(content)
		return err
	}},
	"long": {2*buffer + 1, func(h *house, content []byte) error {
		_, err := h.put(content)
		return err
	}},
	"long, announced": {2*buffer + 1, func(h *house, content []byte) error {
		_, err := h.put(content, announced(content))
		return err
	}},
	"session": {buffer / 2, func(h *house, content []byte) error { return h.session(content, digest.SHA256) }},
	"session, read again": {buffer / 2, func(h *house, content []byte) error {
		return h.session(content, digest.SHA512)
	}},
	"short, unseen": {4096, func(h *house, content []byte) error {
		_, err := h.put(content, unseen)
		return err
	}},
	"long, unseen": {2*buffer + 1, func(h *house, content []byte) error {
		_, err := h.put(content, announced(content), unseen)
		return err
	}},
	"session, unseen": {buffer / 2, func(h *house, content []byte) error {
		return h.session(content, digest.SHA512, unseen)
	}},
	"file": {4096, func(h *house, content []byte) error {
		_, err := h.putFile("x", content)
		return err
	}},
}

// session sends content in two chunks and closes with a digest.
func (h *house) session(content []byte, alg digest.Algorithm, change ...func(*cas.PutOptions)) error {
	o := cas.PutOptions{Principal: "ann", Producer: "ann", Repository: "r"}
	for _, c := range change {
		c(&o)
	}
	u, err := h.store.BeginUpload(h.t.Context(), o)
	if err != nil {
		return err
	}
	id := cas.Session{ID: u.ID, Principal: "ann", Repository: "r"}
	if _, err := h.store.AppendUpload(h.t.Context(), id, cas.Chunk{Body: bytes.NewReader(content), Offset: -1, Size: -1}); err != nil {
		return err
	}
	_, err = h.store.FinishUpload(h.t.Context(), id, cas.Chunk{Body: bytes.NewReader(nil), Offset: -1, Size: -1}, of(alg, content), o)
	return err
}

// once returns a hook that acts at the nth call of a name.
func once(name string, nth int, act func()) func(string) {
	return func(call string) {
		if call != name {
			return
		}
		if nth--; nth == 0 {
			act()
		}
	}
}

func isShort(u upload) bool { return u.size == 4096 }

// An upload that meets a removal under way waits for its end and is stored then.
func TestUploadWaitsForRemoval(t *testing.T) { everyHouse(t, uploadWaitsForRemoval) }

func uploadWaitsForRemoval(t *testing.T, at shapes.House) {
	for name, u := range uploads {
		t.Run(name, func(t *testing.T) {
			content := random(31, u.size)
			var h *house
			waits := 0
			h = open(t, options{at: at, sleep: func(time.Duration) {
				if waits++; waits == 3 {
					h.endRemoval(content)
				}
			}})
			h.orphan(content)
			h.beginRemoval(content)
			if err := u.put(h, content); err != nil {
				t.Fatal(err)
			}
			if waits != 3 {
				t.Errorf("waited %d times", waits)
			}
			h.mustRead(content)
			h.audit()
		})
	}
}

// An upload does not wait for ever.
func TestUploadGivesUpOnRemoval(t *testing.T) {
	for name, u := range uploads {
		t.Run(name, func(t *testing.T) {
			content := random(32, u.size)
			waited := time.Duration(0)
			h := open(t, options{sleep: func(d time.Duration) { waited += d }})
			h.orphan(content)
			h.beginRemoval(content)
			wantError(t, u.put(h, content), cas.ErrRemoving)
			if waited < 15*time.Second || waited > 25*time.Second {
				t.Errorf("waited %s", waited)
			}
			if _, err := h.read(identity(content).SHA256); err == nil {
				t.Error("it is read all the same")
			}
			h.endRemoval(content)
			if err := u.put(h, content); err != nil {
				t.Fatal(err)
			}
			h.mustRead(content)
			h.audit()
		})
	}
}

// A removal that took the bytes between their commit and their event is never
// overlooked: neither one that began and ended in that time, nor one that was
// under way when the upload began. What has the bytes at hand writes them anew.
func TestRemovalTakesWhatIsCommitted(t *testing.T) { everyHouse(t, removalTakesWhatIsCommitted) }

func removalTakesWhatIsCommitted(t *testing.T, at shapes.House) {
	for name, u := range uploads {
		for when, under := range map[string]bool{"begun meanwhile": false, "under way": true} {
			if under && !isShort(u) {
				continue // it waits for the end before it commits
			}
			t.Run(name+"/"+when, func(t *testing.T) {
				content := random(33, u.size)
				s := noFault()
				h := open(t, options{at: at, seam: s})
				h.mustPut([]byte("so that the log is known to the store"))
				if under {
					h.orphan(content)
					h.beginRemoval(content)
					h.mustPut([]byte("so that the store knows a position after its beginning"))
				}
				s.before = once("append", 1, func() {
					if !under {
						h.beginRemoval(content)
					}
					h.endRemoval(content)
				})
				err := u.put(h, content)
				s.before = nil
				if isShort(u) {
					if err != nil {
						t.Fatal(err)
					}
					h.mustRead(content)
				} else {
					wantError(t, err, cas.ErrRemoving)
					if _, err := h.read(identity(content).SHA256); err == nil {
						t.Error("it is read all the same")
					}
				}
				h.audit()
				if err := u.put(h, content); err != nil {
					t.Fatal(err)
				}
				h.mustRead(content)
				h.audit()
			})
		}
	}
}

// Each call that an upload makes which meets a removal under way fails, or is the last
// of its process. Then the whole state is looked at, the client tries again, and
// nothing is left that is not recorded.
func TestEachStepOfMeetingRemoval(t *testing.T) {
	for _, kind := range []string{"short", "long", "session"} {
		u := uploads[kind]
		content := random(34, u.size)
		run := func(t *testing.T, s *seam) (*house, *clock, error) {
			c, waits := &clock{}, 0
			var h *house
			h = open(t, options{seam: s, now: c.now, waits: atOnce, sleep: func(time.Duration) {
				if waits++; waits == 2 {
					h.endRemoval(content)
				}
			}})
			h.orphan(content)
			h.beginRemoval(content)
			err := u.put(h, content)
			if waits < 2 { // it never got there
				h.endRemoval(content)
			}
			return h, c, err
		}
		healthy := noFault()
		if _, _, err := run(t, healthy); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		for i, step := range healthy.made() {
			for _, how := range []how{fails, failsAfter, dies, diesAfter} {
				if !shows(step, how) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%d %s %s", kind, i, step, how), func(t *testing.T) {
					t.Parallel()
					h, c, err := run(t, &seam{at: i, how: how})
					if err != nil && !errors.Is(err, errFault) {
						t.Errorf("the cause is lost: %v", err)
					}
					h.reg.Close()
					h = openIn(t, h.place, options{now: c.now, waits: atOnce, sleep: noSleep})
					h.audit()
					if err == nil {
						h.mustRead(content)
					}
					if err := u.put(h, content); err != nil {
						t.Fatalf("again: %v", err)
					}
					h.mustRead(content)
					c.pass(49 * time.Hour)
					h.orphans("a")
					h.exact()
				})
			}
		}
	}
}
