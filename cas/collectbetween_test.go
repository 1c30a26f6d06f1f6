package cas_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"artifactstore/cas"
	shapes "artifactstore/deploy/house"
)

// meeting is an upload on one gateway and a collection on another.
type meeting struct {
	job    string // collect or orphans: what is going when the upload comes
	upload upload
	// overtaken says that the collection comes between two calls of the upload; else the
	// upload comes between two of the collection.
	overtaken bool
}

// An upload comes between any two calls of a collection, and a collection between any
// two calls of an upload, on two gateways. What is acknowledged stays, and what is
// not leaves nothing behind.
func TestEachStepOfUploadsMeetingCollections(t *testing.T) {
	for _, job := range []string{"collect", "orphans"} {
		for kind, up := range uploads {
			if testing.Short() && kind != "short" && kind != "long" && kind != "session" {
				continue
			}
			for how, overtaken := range map[string]bool{"comes": false, "is overtaken": true} {
				m := meeting{job, up, overtaken}
				name := fmt.Sprintf("%s/%s %s", job, kind, how)
				calls := m.play(t, -1)
				if calls < 2 {
					t.Errorf("%s: %d calls", name, calls)
				}
				for i := range calls {
					t.Run(fmt.Sprintf("%s/%d", name, i), func(t *testing.T) {
						t.Parallel()
						m.play(t, i)
					})
				}
			}
		}
	}
}

// play lets the other come before call i, not at all where that is negative, and
// returns how many calls there were.
func (m meeting) play(t *testing.T, i int) (calls int) {
	c, p, s := &clock{}, newPlace(t, shapes.House{}), noFault()
	watched := openIn(t, p, upkeepOptions(shapes.House{}, c, s))
	other := openIn(t, p, upkeepOptions(shapes.House{}, c, nil))
	content := random(77, m.upload.size)
	m.prepare(watched, other, c, content)

	var putErr, jobErr error
	put := func(h *house) { putErr = m.upload.put(h, content) }
	job := func(h *house) { jobErr = jobs[m.job](h) }
	first, second := job, put
	if m.overtaken {
		first, second = put, job
	}
	before := len(s.made())
	var n atomic.Int64
	s.before = func(string) {
		if n.Add(1) == int64(i+1) {
			second(other)
		}
	}
	first(watched)
	s.before = nil
	calls = len(s.made()) - before
	if jobErr != nil {
		t.Errorf("%s: %v", m.job, jobErr)
	}
	if putErr != nil && !errors.Is(putErr, cas.ErrRemoving) && !errors.Is(putErr, cas.ErrBackendUnavailable) {
		t.Errorf("upload: %v", putErr)
	}
	acknowledged := putErr == nil && (i >= 0 || m.overtaken)
	m.audit(other, c, content, acknowledged)
	return calls
}

// prepare makes the content one that is about to go. Both gateways know a position of
// the log.
func (m meeting) prepare(watched, other *house, c *clock, content []byte) {
	watched.mustPut([]byte("watched"))
	if m.job == "collect" {
		other.mustPut(content)
		other.letGo(content)
	} else {
		other.orphan(content)
	}
	other.mustPut([]byte("other"))
	c.pass(3 * day)
}

func (m meeting) audit(h *house, c *clock, content []byte, acknowledged bool) {
	h.t.Helper()
	read := func() {
		if acknowledged {
			h.mustRead(content)
		}
	}
	read()
	for range 2 {
		h.collect()
		h.orphans("a")
		c.pass(10 * time.Minute)
	}
	h.exact()
	read()
	if err := m.upload.put(h, content); err != nil {
		h.t.Errorf("afterwards: %v", err)
	}
	h.mustRead(content)
}

// A delete that was not answered may land after its process is gone. Until no such
// delete can be on its way any more the removal does not end, whatever a later delete
// says, and nothing is acknowledged that it would take.
func TestLateDelete(t *testing.T) {
	for name, how := range map[string]how{"answered with an error": fails, "its process died": dies} {
		t.Run(name, func(t *testing.T) {
			c, p, s := &clock{}, newPlace(t, shapes.House{}), noFault()
			h := openIn(t, p, upkeepOptions(shapes.House{}, c, s))
			content := random(78, 4096)
			h.mustPut(content)
			h.letGo(content)
			s.failAt("delete", how)
			if err := jobs["collect"](h); (err != nil) != (how == dies) {
				t.Fatal(err)
			}
			h.reg.Close()

			h = openIn(t, p, upkeepOptions(shapes.House{}, c, nil))
			if report := h.collect(); report.Waiting != 1 || report.Blobs != 0 {
				t.Errorf("%+v", report)
			}
			_, err := h.put(content)
			wantError(t, err, cas.ErrRemoving)
			h.remove("a", content) // it lands
			c.pass(4 * time.Minute)
			if report := h.collect(); report.Waiting != 1 {
				t.Errorf("%+v", report)
			}
			c.pass(2 * time.Minute)
			if report := h.collect(); report.Waiting != 0 || report.Blobs != 1 {
				t.Errorf("%+v", report)
			}
			h.mustPut(content)
			h.mustRead(content)
			h.exact()
		})
	}
}
