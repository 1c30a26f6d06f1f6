package cas_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// strange puts an object under a key that the store does not use.
func (h *house) strange(id, key string, content []byte) {
	h.t.Helper()
	u, err := h.disks[id].Begin(h.t.Context(), backends.Hint{Size: -1})
	if err == nil {
		_, err = u.Write(content)
	}
	if err == nil {
		err = u.Commit(h.t.Context(), key)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// What the backend has and the registry has not is counted, what may be on its
// way to a row is not, and nothing of it is touched.
func TestVerifyCompares(t *testing.T) { everyHouse(t, verifyCompares) }

func verifyCompares(t *testing.T, at shapes.House) {
	ahead := time.Duration(0)
	h := open(t, options{at: at, now: func() time.Time { return time.Now().Add(ahead) }})
	all := contents(10)
	for _, c := range all {
		h.mustPut(c)
	}
	orphans := [][]byte{random(77, 100), random(78, 200), random(79, 300)}
	for _, c := range orphans {
		h.strange("a", identity(c).SHA256.Key(), c)
	}
	h.strange("a", "sha256/zz/strange", nil)
	h.strange("a", "blake3/strange", nil)
	h.strange("a", of(digest.BLAKE3, all[0]).Key(), all[0])
	removing := registry.LocationRemoving{Blob: identity(orphans[2]).SHA256, BackendID: "a", Cause: registry.Orphan}
	if _, err := h.reg.Append(t.Context(), registry.Event{Actor: "collector", Data: removing}); err != nil {
		t.Fatal(err)
	}
	files := h.files("a")

	if v := h.verify(cas.VerifyOptions{}); v.Orphans != 0 || v.Strangers != 3 || !v.Compared || v.Failed() != 0 {
		t.Errorf("while they may be uploads: %+v", v)
	}
	ahead = 25 * time.Hour
	v := h.verify(cas.VerifyOptions{})
	if v.Orphans != 2 || v.Strangers != 3 || len(v.Foreign) != 5 || h.files("a") != files {
		t.Errorf("%d files, then %d: %+v", files, h.files("a"), v)
	}
	for _, c := range orphans[:2] {
		if !slices.Contains(v.Foreign, identity(c).SHA256.Key()) {
			t.Errorf("%s is not named in %q", identity(c).SHA256, v.Foreign)
		}
	}
	if v := h.verify(cas.VerifyOptions{Sample: 0.5}); v.Compared || v.Strangers != 0 {
		t.Errorf("a sample compares: %+v", v)
	}
}

// A sample is about as large as was asked for, reads nothing else, and is another
// in every run; what is younger than asked for is left out.
func TestVerifySome(t *testing.T) {
	ahead := time.Duration(0)
	h := open(t, options{now: func() time.Time { return time.Now().Add(ahead) }})
	all := h.fill(400)
	before := h.position()
	v := h.verify(cas.VerifyOptions{Sample: 0.25})
	first := h.said(before, all)
	if n := v.Results[cas.Intact]; n < 60 || n > 140 || v.Results[cas.Skipped] != 400-n || v.Seen != 400 || int(n) != len(first) {
		t.Errorf("%+v: %d events", v, len(first))
	}
	if known, err := h.store.Verified(t.Context(), "a"); err != nil || known.Whole != nil {
		t.Errorf("a sample is no whole run: %+v %v", known.Whole, err)
	}
	before = h.position()
	h.verify(cas.VerifyOptions{Sample: 0.25})
	if second := h.said(before, all); strings.Join(first, " ") == strings.Join(second, " ") {
		t.Error("two samples are the same")
	}
	ahead = 40 * day
	if v := h.verify(cas.VerifyOptions{OlderThan: 50 * day}); v.Results[cas.Skipped] != 400 {
		t.Errorf("all are young: %+v", v)
	}
	if v := h.verify(cas.VerifyOptions{OlderThan: 30 * day}); v.Results[cas.Intact] != 400 {
		t.Errorf("all are old: %+v", v)
	}
}

// A rate is kept within a twentieth, whatever the size of the reads.
func TestVerifyPace(t *testing.T) {
	for _, size := range []int{1000, 256 << 10, 1 << 20} {
		at := time.Unix(0, 0)
		wait := func(_ context.Context, d time.Duration) error {
			at = at.Add(max(d, 0))
			return nil
		}
		const rate, n = 10 << 20, 100 << 20
		stalls := 0
		cas.Paced(rate, size, n, func() time.Time {
			if stalls++; stalls%7 == 0 { // the machine does something else
				at = at.Add(time.Duration(size) * time.Second / rate * 4)
			}
			return at
		}, wait)
		if took := at.Sub(time.Unix(0, 0)); took < 9500*time.Millisecond || took > 10500*time.Millisecond {
			t.Errorf("%d bytes at %d a second, %d at a time: %s", n, rate, size, took)
		}
	}
}
