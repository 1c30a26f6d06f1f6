package cas_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// why returns the evidence of a blob, and checks what always holds.
func (h *house) why(d digest.Digest, limit int) *cas.Evidence {
	h.t.Helper()
	e, err := h.store.Why(h.t.Context(), d, limit)
	if err != nil {
		h.t.Fatalf("why %s: %v", d, err)
	}
	if (e.GoesAt == nil) != strings.HasPrefix(e.Goes, "It does not go") {
		h.t.Errorf("goes at %v: %s", e.GoesAt, e.Goes)
	}
	if e.Kept && e.GoesAt != nil && strings.HasPrefix(e.Goes, "It goes with the next collection") {
		h.t.Errorf("kept, and yet: %s", e.Goes)
	}
	return e
}

// wantGoes demands when a blob goes, and a part of why.
func wantGoes(t *testing.T, e *cas.Evidence, at time.Time, why string) {
	t.Helper()
	switch {
	case at.IsZero() != (e.GoesAt == nil), e.GoesAt != nil && !e.GoesAt.Equal(at):
		t.Errorf("it goes at %v, want %v: %s", e.GoesAt, at, e.Goes)
	case !strings.Contains(e.Goes, why):
		t.Errorf("it goes: %q, want %q in it", e.Goes, why)
	}
}

// byBob puts for a day.
func byBob(o *cas.PutOptions) { o.Principal, o.Producer, o.RetentionClass = "bob", "bob", "short" }

func TestWhy(t *testing.T) {
	inHouses(t, shapes.Ends(), func(t *testing.T, at shapes.House) {
		h := open(t, options{at: at})
		ctx, grace := t.Context(), h.store.Collection().Grace
		stored := h.mustPut([]byte("bytes"), byBob)
		d := stored.SHA256

		e := h.why(stored.BLAKE3, 9)
		if e.Digest != d || e.Digests["blake3"] != stored.BLAKE3.Hex() || e.Size != 5 || !e.Kept || e.References != 0 || len(e.Locations) != 1 ||
			e.Locations[0].State != "stored" || e.Locations[0].BackendID != "a" || e.Locations[0].VerifiedAt != nil || e.Locations[0].WrittenAt.IsZero() {
			t.Errorf("a blob that was put: %+v", e)
		}
		want := cas.Leasing{Principal: "bob", Producer: "bob", RetentionClass: "short", Until: stored.LeasedUntil, Lasts: true}
		if len(e.Leases) != 1 || e.Leases[0] != want {
			t.Errorf("its leases: %+v, want %+v", e.Leases, want)
		}
		wantGoes(t, e, stored.LeasedUntil.Add(grace), "the lease of principal bob ends then")

		// A package keeps it as long as its class says.
		attach := func(name, class string) cas.PackageKey {
			t.Helper()
			k := cas.PackageKey{Producer: "ci", Name: name, Version: "1"}
			if _, err := h.store.AttachFile(ctx, k, "dir/file", d, cas.PutOptions{Principal: "ci", RetentionClass: class}); err != nil {
				t.Fatal(err)
			}
			return k
		}
		short := attach("short", "short")
		p, err := h.store.Package(ctx, short)
		if err != nil {
			t.Fatal(err)
		}
		e = h.why(d, 9)
		if len(e.Packages) != 1 || e.Packages[0].Package != "ci/short/1" || e.Packages[0].Path != "dir/file" || e.Packages[0].State != "open" || e.References != 1 {
			t.Errorf("its references: %+v", e.Packages)
		}
		wantGoes(t, e, p.ChangedAt.Add(day+grace), "the package ci/short/1 expires then")

		// What has no end, or is held, does not go.
		release := attach("release", "release")
		wantGoes(t, h.why(d, 9), time.Time{}, "the package ci/release/1 is of the class release, which has no end")
		if err := h.store.DeletePackage(ctx, release, "ci"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.store.HoldPackage(ctx, short, "case-7", "ann"); err != nil {
			t.Fatal(err)
		}
		e = h.why(d, 9)
		if holds := e.Packages[0].Holds; len(holds) != 1 || holds[0] != "case-7" {
			t.Errorf("the holds on its package: %q", holds)
		}
		wantGoes(t, e, time.Time{}, "the package ci/short/1 is under the hold case-7")

		// Of more than are asked for, some are shown and all counted.
		for i := range 4 {
			attach(fmt.Sprint("more-", i), "standard")
		}
		if e = h.why(d, 3); len(e.Packages) != 3 || e.References != 5 {
			t.Errorf("3 of 5 references: %d of %d", len(e.Packages), e.References)
		}
	})
}

// TestWhyItGoes: what is said of a blob that nothing keeps is what collection finds.
func TestWhyItGoes(t *testing.T) {
	now := time.Now().UTC()
	h := open(t, options{now: func() time.Time { return now }})
	ctx, grace := t.Context(), h.store.Collection().Grace
	d := h.mustPut([]byte("bytes"), byBob).SHA256
	collectable := func(at time.Time) bool {
		t.Helper()
		page, _, err := h.reg.Collectable(ctx, at, grace, digest.Digest{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(page) > 0
	}
	check := func(why string) {
		t.Helper()
		e := h.why(d, 9)
		wantGoes(t, e, e.IdleSince.Add(grace), why)
		if collectable(e.GoesAt.Add(-time.Microsecond)) || !collectable(*e.GoesAt) {
			t.Errorf("%s: it is not collectable from %s on", why, e.GoesAt)
		}
	}
	check("the lease of principal bob ends then")
	if err := h.store.Release(ctx, d, "bob"); err != nil {
		t.Fatal(err)
	}
	check("the last that kept it was given up")
	now = now.Add(day)
	check("It goes with the next collection: nothing has kept it since")

	if _, err := h.reg.Append(ctx, registry.Event{Actor: "gateway", Data: registry.LocationRemoving{Blob: d, BackendID: "a", Cause: registry.Unneeded}}); err != nil {
		t.Fatal(err)
	}
	e := h.why(d, 9)
	if len(e.Locations) != 0 || len(e.Removals) != 1 || e.Removals[0].BackendID != "a" || e.Removals[0].Cause != "unneeded" || e.Removals[0].Since.IsZero() {
		t.Errorf("what is being removed: %+v, %+v", e.Locations, e.Removals)
	}
}

// TestWhyAnUpload: a session that became the blob is shown, and keeps nothing.
func TestWhyAnUpload(t *testing.T) {
	h := open(t, options{})
	id := h.begin()
	h.mustAppend(id, head)
	stored, err := h.finish(id, at(-1, nil), of(digest.SHA256, head))
	if err != nil {
		t.Fatal(err)
	}
	e := h.why(stored.SHA256, 9)
	if len(e.Uploads) != 1 || e.Uploads[0].Repository != id.Repository || e.Uploads[0].Principal != id.Principal || e.Uploads[0].ExpiresAt.IsZero() {
		t.Errorf("the uploads that became it: %+v", e.Uploads)
	}
	wantGoes(t, e, stored.LeasedUntil.Add(h.store.Collection().Grace), "the lease of repository "+id.Repository+" ends then")
}

func TestWhyUnknown(t *testing.T) {
	h := open(t, options{})
	d := identity([]byte("never stored")).SHA256
	if _, err := h.store.Why(t.Context(), d, 9); !errors.Is(err, cas.ErrBlobUnknown) {
		t.Errorf("a blob that was never stored: %v", err)
	}
	if _, err := h.reg.Append(t.Context(), registry.Event{Actor: "gateway", Data: registry.LocationRemoving{Blob: d, BackendID: "a", Cause: registry.Orphan}}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.Why(t.Context(), d, 9); !errors.Is(err, cas.ErrBlobUnknown) || !strings.Contains(err.Error(), "is being removed from a") {
		t.Errorf("an orphan that is being removed: %v", err)
	}
}
