package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
	"artifactstore/registry/postgres"
	"artifactstore/registry/postgres/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// TestGroupsAreAsGoodAsOneByOne commits random appends, many of which do not fit,
// as groups. Each must be answered as the model answers it in its turn, and the
// views must be what the model holds after the log.
func TestGroupsAreAsGoodAsOneByOne(t *testing.T) {
	url := pgtest.New(t)
	r := open(t, url)
	defer r.Close()
	conn := connect(t, url)
	refused := 0
	rapid.Check(t, func(rt *rapid.T) {
		run(t, conn, emptySQL)
		var decides registry.Model
		for range rapid.IntRange(1, 6).Draw(rt, "groups") {
			group := rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(drawEvent), 1, 4), 1, 12).Draw(rt, "group")
			answers, err := postgres.CommitGroup(t.Context(), conn, group)
			if err != nil {
				rt.Fatal(err)
			}
			for i, events := range group {
				want := decides.Apply(time.Unix(0, 0).UTC(), events...)
				if errors.Is(want, registry.ErrConflict) != errors.Is(answers[i], registry.ErrConflict) || (want == nil) != (answers[i] == nil) {
					rt.Fatalf("append %d, %+v: got %v, the model says %v", i, events, answers[i], want)
				}
				if want != nil {
					refused++
				}
			}
		}
		m := compareWithModel(rt, t.Context(), r)
		compareKeeping(rt, t.Context(), r, m)
	})
	if refused == 0 {
		t.Error("no append was refused: the test tests nothing")
	}
}

const emptySQL = `
TRUNCATE events, blobs, locations, leases, location_totals, packages, package_files, tags, package_labels, holds, removals, tokens;
UPDATE head SET position = 0; UPDATE totals SET blobs = 0, blob_bytes = 0; UPDATE package_totals SET packages = 0`

func drawEvent(t *rapid.T) registry.Event {
	e := registry.Event{Actor: rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "actor")}
	id := identity(7, rapid.IntRange(1, 3).Draw(t, "blob"))
	backend := rapid.SampledFrom([]string{"local", "far"}).Draw(t, "backend")
	switch rapid.SampledFrom([]int{0, 0, 0, 1, 1, 1, 2, 3, 4, 4, 5, 6, 6, 6, 6, 6, 7, 7, 8}).Draw(t, "kind") {
	case 0:
		d := registry.BlobStored{SHA256: id.SHA256, BLAKE3: id.BLAKE3, Size: id.Size}
		switch rapid.IntRange(0, 9).Draw(t, "variant") {
		case 0:
			d.SHA512 = digest.New(digest.SHA512, append(id.SHA256.Sum(), id.BLAKE3.Sum()...))
		case 1:
			d.BLAKE3 = identity(7, 1).BLAKE3
		case 2:
			d.Size++
		}
		e.Data = d
	case 1:
		e.Data = registry.LocationRecorded{Blob: id.SHA256, BackendID: backend}
	case 2:
		d := registry.LocationFailed{Blob: id.SHA256, BackendID: backend, Reason: registry.Missing}
		if rapid.IntRange(0, 4).Draw(t, "old") == 0 {
			d.RecordedAt = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) // of no write here
		}
		e.Data = d
	case 3:
		e.Data = registry.LocationRepaired{Blob: id.SHA256, BackendID: backend, Source: "push"}
	case 4:
		until := time.Date(2090+rapid.IntRange(0, 3).Draw(t, "year"), 1, 1, 0, 0, 0, 0, time.UTC)
		e.Data = registry.BlobLeased{Blob: id.SHA256, Repository: drawRepository(t), Producer: backend, RetentionClass: "standard", Until: until}
	case 5:
		e.Data = registry.BlobReleased{Blob: id.SHA256, Repository: drawRepository(t)}
	case 6:
		e.Data = drawPackageEvent(t)
	case 7:
		e.Data = drawRemovalEvent(t, backend)
	case 8:
		e.Data = drawTokenEvent(t)
	}
	return e
}

func drawRepository(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", repository}).Draw(t, "repository")
}

// fataler is the part of testing.T that rapid's has too.
type fataler interface {
	Fatal(args ...any)
	Errorf(format string, args ...any)
}

// compareWithModel compares the views with a model of the log, which it returns,
// and with the registry's own replay.
func compareWithModel(t fataler, ctx context.Context, r registry.Registry) *registry.Model {
	var m registry.Model
	for rec, err := range r.Since(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Apply(rec.Time, rec.Event); err != nil {
			t.Fatal(fmt.Sprintf("record %d: %v", rec.Position, err))
		}
	}
	var blobs []registry.Blob
	for b, err := range r.Blobs(ctx, digest.Digest{}) {
		if err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, b)
	}
	if d := cmp.Diff(m.Blobs(digest.Digest{}), blobs, cmp.Comparer(sameDigest), cmpopts.EquateEmpty()); d != "" {
		t.Errorf("blobs (-model +views):\n%s", d)
	}
	totals, err := r.Totals(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m.Totals(), totals); d != "" {
		t.Errorf("totals (-model +views):\n%s", d)
	}
	report, err := r.Check(ctx, nil)
	if err != nil || len(report.Problems) > 0 || report.Blobs != int64(len(blobs)) {
		t.Errorf("Check: %+v, %v", report, err)
	}
	return &m
}

func sameDigest(a, b digest.Digest) bool { return a == b }

// TestOrderWithinAGroup commits events whose order decides, as one append, as a
// group of appends, and one after another, at times of their own that a replay meets
// together. Each is answered as the model answers it.
func TestOrderWithinAGroup(t *testing.T) {
	id := identity(7, 1)
	uses := registry.PackageCreated{Package: tool("1"), Format: registry.FormatFiles, RetentionClass: "standard", Files: []registry.File{{Path: "a", Blob: id.SHA256}}}
	gone := registry.PackageDeleted{Package: tool("1")}
	stored, recorded := put(id)[0].Data, put(id)[1].Data
	leased, released := put(id)[2].Data, registry.BlobReleased{Blob: id.SHA256}
	failed := registry.LocationFailed{Blob: id.SHA256, BackendID: "local", Reason: registry.Missing}
	repaired := registry.LocationRepaired{Blob: id.SHA256, BackendID: "local", Source: "push"}
	removing := registry.LocationRemoving{Blob: id.SHA256, BackendID: "local", Cause: registry.Unneeded}
	removed := registry.LocationRemoved{Blob: id.SHA256, BackendID: "local"}
	collected := registry.BlobCollected{Blob: id.SHA256, IdleSince: time.Unix(0, 0).UTC()}
	again := registry.LocationRecorded{Blob: id.SHA256, BackendID: "local", Seen: 1}
	namesake := registry.BlobStored{SHA256: identity(8, 1).SHA256, BLAKE3: id.BLAKE3, Size: id.Size}

	url := pgtest.New(t)
	r := open(t, url)
	defer r.Close()
	conn := connect(t, url)
	for name, data := range map[string][]registry.Data{
		"used before it fails":        {stored, recorded, uses, failed},
		"used after it fails":         {stored, recorded, leased, failed, uses},
		"used after it is repaired":   {stored, recorded, leased, failed, repaired, uses},
		"used before it is there":     {uses, stored, recorded},
		"needed while it goes":        {stored, recorded, leased, uses, released, removing, gone},
		"let go, then released":       {stored, recorded, leased, uses, gone, released},
		"not needed when it goes":     {stored, recorded, leased, uses, released, gone, removing},
		"leased when it goes":         {stored, recorded, leased, removing},
		"leased after it goes":        {stored, recorded, removing, leased},
		"written while it goes":       {stored, recorded, removing, recorded},
		"written after it went":       {stored, recorded, removing, removed, recorded},
		"written before it went":      {stored, recorded, removing, removed, again},
		"repaired after it went":      {stored, recorded, failed, removing, removed, repaired},
		"collected, then stored":      {stored, recorded, removing, removed, collected, stored, recorded, uses},
		"its other name given again":  {stored, recorded, removing, removed, collected, namesake},
		"its other name given twice":  {stored, recorded, namesake},
		"collected while it goes":     {stored, recorded, removing, collected},
		"released twice, then leased": {stored, recorded, leased, released, released, leased, removing},
	} {
		var whole []registry.Event
		var each [][]registry.Event
		for _, d := range data {
			e := registry.Event{Actor: "ci", Data: d}
			whole, each = append(whole, e), append(each, []registry.Event{e})
		}
		groups := map[string][][][]registry.Event{"as one append": {{whole}}, "as a group": {each}}
		for _, events := range each {
			groups["one after another"] = append(groups["one after another"], [][]registry.Event{events})
		}
		for what, groups := range groups {
			run(t, conn, emptySQL)
			var decides registry.Model
			for _, group := range groups {
				answers, err := postgres.CommitGroup(t.Context(), conn, group)
				if err != nil {
					t.Fatal(err)
				}
				for i, events := range group {
					if want := decides.Apply(time.Unix(0, 0).UTC(), events...); (want == nil) != (answers[i] == nil) {
						t.Errorf("%s, %s: append %d: %v, the model says %v", name, what, i, answers[i], want)
					}
				}
			}
			compareKeeping(t, t.Context(), r, compareWithModel(t, t.Context(), r))
		}
	}
}

// TestReplayInPages: a replay meets a package's end and a release in one page, the
// package's beginning in another, and gives both their own times.
func TestReplayInPages(t *testing.T) {
	r := open(t, pgtest.New(t))
	defer r.Close()
	id, other := identity(7, 1), identity(7, 2)
	uses := registry.PackageCreated{Package: tool("1"), Format: registry.FormatFiles, RetentionClass: "standard", Files: []registry.File{{Path: "a", Blob: id.SHA256}}}
	filler := slices.Repeat([]registry.Event{{Actor: "eve", Data: registry.BlobReleased{Blob: other.SHA256}}}, 1000)
	for _, events := range [][]registry.Event{
		put(id), put(other), {{Actor: "ci", Data: uses}}, filler,
		{{Actor: "ci", Data: registry.PackageDeleted{Package: tool("1")}}}, {{Actor: "ci", Data: registry.BlobReleased{Blob: id.SHA256}}},
	} {
		if _, err := r.Append(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
	}
	compareKeeping(t, t.Context(), r, compareWithModel(t, t.Context(), r))
}

// TestGroupThatIsRefusedWhole leaves no trace and no open transaction.
func TestGroupThatIsRefusedWhole(t *testing.T) {
	url := pgtest.New(t)
	r := open(t, url)
	defer r.Close()
	conn := connect(t, url)
	group := slices.Repeat([][]registry.Event{put(identity(1, 1))[1:]}, 5) // locations of no blob
	answers, err := postgres.CommitGroup(t.Context(), conn, group)
	if err != nil {
		t.Fatal(err)
	}
	for i, err := range answers {
		if !errors.Is(err, registry.ErrConflict) {
			t.Errorf("append %d: %v, want a conflict", i, err)
		}
	}
	if last, err := r.Append(t.Context(), put(identity(1, 2))...); last != 3 || err != nil {
		t.Errorf("the next append: position %d, %v, want 3", last, err)
	}
}
