package registrytest

import (
	"io/fs"
	"slices"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

func testVerified(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, located(1)...)
	mustAppend(t, r, by("ci", recorded(1, "far"))...)
	at := func(backend string) registry.Location {
		t.Helper()
		locations := mustBlob(t, other, blob(1)).Locations
		return locations[slices.IndexFunc(locations, func(l registry.Location) bool { return l.BackendID == backend })]
	}
	verified := func(backend string, recordedAt time.Time) registry.LocationVerified {
		return registry.LocationVerified{Blob: blob(1), BackendID: backend, RecordedAt: recordedAt}
	}
	want, far := at("local"), at("far")
	for range 2 { // each time is the last
		want.VerifiedAt = step(t, r, verified("local", want.RecordedAt)).Time
		diff(t, "verified", at("local"), want)
	}
	diff(t, "the other location", at("far"), far)
	for what, d := range map[string]registry.LocationVerified{
		"an earlier write":    verified("local", want.RecordedAt.Add(-time.Microsecond)),
		"a later write":       verified("local", want.RecordedAt.Add(time.Microsecond)),
		"an unknown location": verified("moon", want.RecordedAt),
		"an unknown blob":     {Blob: blob(2), BackendID: "local", RecordedAt: want.RecordedAt},
	} {
		refused(t, other, what, d)
	}
	mustAppend(t, r, by("ci", failed(1, "local"))...)
	want.State, want.Reason = registry.Failed, registry.Missing
	diff(t, "failed", at("local"), want)
	refused(t, other, "a failed location", verified("local", want.RecordedAt))
	want.State, want.Reason, want.VerifiedAt = registry.Stored, "", time.Time{}
	was := want.RecordedAt
	want.RecordedAt = step(t, r, repaired(1, "local")).Time
	diff(t, "repaired", at("local"), want)
	if want.RecordedAt.After(was) {
		refused(t, other, "the write before the repair", verified("local", was))
	}
	agrees(t, other)
}

// testRemovalConflicts tries what does not fit a registry in which blob 1 is idle
// on local and failed on far, blob 2 is a file, blob 3 leased, blob 4 being removed
// from local, blob 5 an orphan being removed, blob 6 idle without a location.
func testRemovalConflicts(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, append(located(1, 2, 3, 4), by("ci", recorded(1, "far"), failed(1, "far"), files("1", file("a", 2)), leased(3, day(9)),
		unneeded(4, "local", 0), removing(5, "local", registry.Orphan), stored(6))...)...)
	before := whole(t, r)
	for what, d := range map[string]registry.Data{
		"unneeded, of an unknown blob":        unneeded(9, "local", 0),
		"unneeded, without a location":        unneeded(1, "moon", 0),
		"unneeded, with a reference":          unneeded(2, "local", 0),
		"unneeded, with a lease":              unneeded(3, "local", 0),
		"unneeded, not yet long enough":       unneeded(1, "local", long),
		"unneeded, under way":                 unneeded(4, "local", 0),
		"moved, of an unknown blob":           removing(9, "local", registry.Moved),
		"moved, without a location":           removing(1, "moon", registry.Moved),
		"moved, without another":              removing(2, "local", registry.Moved),
		"moved, without another stored":       removing(1, "local", registry.Moved),
		"moved, under way":                    removing(4, "local", registry.Moved),
		"orphan with a location":              removing(1, "local", registry.Orphan),
		"orphan with a failed location":       removing(1, "far", registry.Orphan),
		"orphan, under way":                   removing(5, "local", registry.Orphan),
		"orphan, under way as unneeded":       removing(4, "local", registry.Orphan),
		"removed, of an unknown blob":         removed(9, "local"),
		"removed, not begun":                  removed(1, "local"),
		"removed, under way elsewhere":        removed(4, "far"),
		"recorded while being removed":        recorded(4, "local"),
		"repaired while being removed":        repaired(4, "local"),
		"failed while being removed":          failed(4, "local"),
		"leased while being removed":          leased(4, day(9)),
		"a file while being removed":          added("1", "b", 4),
		"a new package while being removed":   files("2", file("a", 4)),
		"a manifest while being removed":      manifest("app", 4),
		"collected, unknown":                  collected(9, 0),
		"collected, with a location":          collected(1, 0),
		"collected, with a reference":         collected(2, 0),
		"collected, being removed":            collected(4, 0),
		"collected, an orphan":                collected(5, 0),
		"collected, not yet long enough":      collected(6, long),
		"recorded while an orphan is removed": recorded(5, "local"),
	} {
		refused(t, other, what, d)
		_, err := r.Append(t.Context(), by("ci", stored(10), unneeded(1, "far", 0), removing(11, "far", registry.Orphan), d)...)
		wantError(t, what+", behind what fits", err, registry.ErrConflict)
		_, err = r.Append(t.Context(), append(by("ci", d), put("far", 12)...)...)
		wantError(t, what+", before what fits", err, registry.ErrConflict)
	}
	diff(t, "after conflicts", whole(t, r), before)
	agrees(t, other)
}

// testRemovalOfUnneeded follows a blob from its last keeper to its last location.
func testRemovalOfUnneeded(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, located(1)...)
	mustAppend(t, r, by("ci", recorded(1, "far"), files("1", file("a", 1), file("b", 1)), manifest("app", 1), leased(1, registry.Forever),
		of("app", leased(1, day(9))), leased(1, over))...)
	for _, keeper := range []registry.Data{takenOut("1", "a"), deleted(filesKey("1")), released(1), deleted(manifestKey("app", 1)), outOf("app", released(1))} {
		refused(t, other, "before "+keeper.Type(), unneeded(1, "local", 0))
		mustAppend(t, r, by("ci", keeper)...)
	}
	refused(t, other, "not idle for long enough", unneeded(1, "local", long))
	since := step(t, r, unneeded(1, "local", 0)).Time
	b := mustBlob(t, other, blob(1))
	if len(b.Locations) != 1 || b.Locations[0].BackendID != "far" {
		t.Errorf("locations while one is removed: %+v", b.Locations)
	}
	got, err := other.Removal(t.Context(), blob(1), "local")
	if err != nil {
		t.Fatalf("Removal: %v", err)
	}
	diff(t, "Removal", got, registry.Removal{Blob: blob(1), BackendID: "local", Cause: registry.Unneeded, Since: since})
	_, err = other.Removal(t.Context(), blob(1), "far")
	wantError(t, "removal elsewhere", err, fs.ErrNotExist)
	diff(t, "locations counted", totals(t, other).Locations, map[registry.LocationTotal]int64{
		{BackendID: "local", State: registry.Removing}: 1, {BackendID: "far", State: registry.Stored}: 1,
	})
	// Far still stores it: it can be kept again, and then goes nowhere.
	mustAppend(t, r, by("ci", leased(1, day(9)), removed(1, "local"))...)
	_, err = other.Removal(t.Context(), blob(1), "local")
	wantError(t, "ended removal", err, fs.ErrNotExist)
	refused(t, other, "kept again", unneeded(1, "far", 0))
	mustAppend(t, r, by("ci", recorded(1, "local"), released(1), unneeded(1, "far", 0), removed(1, "far"), failed(1, "local"), unneeded(1, "local", 0))...)
	refused(t, other, "no stored location", leased(1, day(9)))
	agrees(t, other)
}

func testRemovalOfMoved(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, located(1, 2)...)
	mustAppend(t, r, by("ci", files("1", file("a", 1)), leased(1, day(9)))...)
	refused(t, other, "the only one", removing(1, "local", registry.Moved))
	mustAppend(t, r, by("ci", recorded(1, "far"), failed(1, "far"))...)
	refused(t, other, "the other has failed", removing(1, "local", registry.Moved))
	mustAppend(t, r, by("ci", repaired(1, "far"), failed(1, "local"), removing(1, "local", registry.Moved))...)
	refused(t, other, "now the only one", removing(1, "far", registry.Moved))
	failures, err := other.Failed(t.Context(), "local", 10)
	if err != nil || len(failures) != 0 {
		t.Errorf("Failed beside a removal: %v, %v", failures, err)
	}
	mustAppend(t, r, by("ci", added("1", "b", 1), removed(1, "local"), recorded(1, "local"))...)
	locations := mustBlob(t, other, blob(1)).Locations
	if len(locations) != 2 || locations[0].BackendID != "far" || locations[1].BackendID != "local" {
		t.Errorf("locations, in the order in which they were first recorded: %+v", locations)
	}
	agrees(t, other)
}

func testRemovalOfOrphans(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, located(1)...)
	mustAppend(t, r, by("gateway", removing(1, "far", registry.Orphan), removing(2, "local", registry.Orphan))...)
	_, err := other.Blob(t.Context(), blob(2))
	wantError(t, "an orphan is no blob", err, fs.ErrNotExist)
	if _, err := other.Removal(t.Context(), blob(2), "local"); err != nil {
		t.Errorf("Removal of an orphan: %v", err)
	}
	// The blob may be stored elsewhere meanwhile, and there when the removal has ended.
	mustAppend(t, r, by("ci", stored(2), recorded(2, "far"))...)
	refused(t, other, "pushed while being removed", recorded(2, "local"))
	refused(t, other, "a known blob, pushed while being removed", recorded(1, "far"))
	mustAppend(t, r, by("gateway", removed(2, "local"), recorded(2, "local"), removed(1, "far"), recorded(1, "far"))...)
	agrees(t, other)
}

// testSeen records locations that say which removals they know of.
func testSeen(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	seen := func(d registry.LocationRecorded, position uint64) registry.LocationRecorded {
		d.Seen = position
		return d
	}
	mend := func(n int, backend string, position uint64) registry.LocationRepaired {
		d := repaired(n, backend)
		d.Seen = position
		return d
	}
	mustAppend(t, r, located(1, 2)...)
	begun := step(t, r, unneeded(1, "local", 0)).Position
	refused(t, other, "under way, seen", seen(recorded(1, "local"), begun))
	ended := mustAppend(t, r, by("gateway", removed(1, "local"))...)
	refused(t, other, "ended after what was seen", seen(recorded(1, "local"), ended-1))
	refused(t, other, "begun before what was seen and ended after it", seen(recorded(1, "local"), begun))
	refused(t, other, "ended long after what was seen", seen(recorded(1, "local"), 1))
	mustAppend(t, r, by("ci", seen(recorded(1, "far"), 1), seen(recorded(1, "local"), ended))...)

	mustAppend(t, r, by("ci", unneeded(1, "local", 0))...)
	again := mustAppend(t, r, by("ci", removed(1, "local"))...)
	refused(t, other, "another ended after what was seen", seen(recorded(1, "local"), ended))
	mustAppend(t, r, by("ci", seen(recorded(1, "local"), again), failed(1, "local"))...)
	refused(t, other, "repaired with bytes from before", mend(1, "local", again-1))
	mustAppend(t, r, by("ci", mend(1, "local", again), failed(1, "local"), repaired(1, "local"))...)
	mustAppend(t, r, by("ci", failed(2, "local"), mend(2, "local", 1))...) // never removed

	// It is remembered when the blob itself is gone.
	mustAppend(t, r, by("ci", unneeded(2, "local", 0), removed(2, "local"), collected(2, 0), stored(2))...)
	refused(t, other, "ended when it was another life's", seen(recorded(2, "local"), again))
	mustAppend(t, r, by("ci", recorded(2, "local"))...) // who does not say is believed
	agrees(t, other)
	if _, err := other.Rebuild(t.Context(), nil); err != nil {
		t.Fatalf("Rebuild: %v", err)
	}
	mustAppend(t, r, by("ci", removing(1, "far", registry.Moved), removed(1, "far"))...)
	refused(t, other, "after a rebuild", seen(recorded(1, "far"), again))
}

func testCollected(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, located(1, 2)...)
	mustAppend(t, r, by("ci", leased(1, over), of("app", leased(1, over)), files("1", file("a", 1)), deleted(filesKey("1")),
		unneeded(1, "local", 0))...)
	refused(t, other, "while its removal is under way", collected(1, 0))
	mustAppend(t, r, by("ci", removed(1, "local"))...)
	refused(t, other, "before its time", collected(1, long))
	mustAppend(t, r, by("ci", collected(1, 0))...)
	d := withSHA512(stored(1))
	for _, of := range []digest.Digest{d.SHA256, d.BLAKE3, d.SHA512} {
		_, err := other.Blob(t.Context(), of)
		wantError(t, "collected blob", err, fs.ErrNotExist)
	}
	got := totals(t, other)
	if got.Blobs != 1 || got.BlobBytes != stored(2).Size {
		t.Errorf("totals after a collection: %+v", got)
	}
	agrees(t, other)
	refused(t, other, "collected twice", collected(1, 0))
	refused(t, other, "released when it is gone", released(1))
	refused(t, other, "recorded when it is gone", recorded(1, "local"))

	// Its digests are free, for it and for others.
	mustAppend(t, r, by("ci", registry.BlobStored{SHA256: blob(3), BLAKE3: d.BLAKE3, SHA512: d.SHA512})...)
	refused(t, other, "stored again with a digest that is taken", stored(1))
	d.BLAKE3, d.SHA512 = stored(9).BLAKE3, digest.Digest{}
	at := step(t, r, d).Time
	if b := mustBlob(t, other, blob(1)); !b.StoredAt.Equal(at) || !b.LeasedUntil.IsZero() || len(b.Locations) != 0 || b.References != 0 {
		t.Errorf("a blob in its next life: %+v", b)
	}
	agrees(t, other)
}

// testKeptAtOnce has one begin a removal while others keep the blob: there is one
// winner each time, and the log says who.
func testKeptAtOnce(t *testing.T, db *database) {
	handles := []Keeping{db.keeping(), db.keeping()}
	for round := range 12 {
		mustAppend(t, handles[0], located(round)...)
		outcome := make([]error, 4)
		together(4, func(i int) {
			keeper := []registry.Data{
				unneeded(round, "local", 0), leased(round, day(9)), files(blob(round).Hex(), file("a", round)), manifest("app", round),
			}[i]
			_, outcome[i] = handles[i%2].Append(t.Context(), by("ci", keeper)...)
		})
		kept := false
		for i, err := range outcome {
			if err != nil {
				wantError(t, "one of several at once", err, registry.ErrConflict)
			}
			kept = kept || i > 0 && err == nil
		}
		if kept == (outcome[0] == nil) {
			t.Errorf("round %d: removal %v, keepers %v", round, outcome[0], outcome[1:])
		}
	}
	agrees(t, handles[1])
}
