package registrytest

import (
	"testing"
	"time"

	"artifactstore/registry"
)

func testEmptyLog(t *testing.T, db *database) {
	r := db.open()
	last, err := r.Last(t.Context())
	if last != 0 || err != nil {
		t.Errorf("Last of an empty log: %d, %v", last, err)
	}
	diff(t, "empty registry", whole(t, r), state{})
}

func testAppendAndReplay(t *testing.T, db *database) {
	first := db.each(t)
	var want []registry.Event
	for i, call := range [][]registry.Event{
		by("ci", withSHA512(stored(1)), recorded(1, "local"), leased(1, registry.Forever)),
		by("gateway", failed(1, "local")),
		by("a reader ☃", repaired(1, "local"), recorded(1, "far")),
		by("ci", released(1)),
		by("ci", registry.BlobStored{SHA256: blob(2), BLAKE3: stored(2).BLAKE3, Size: 1 << 62}),
	} {
		last := mustAppend(t, first, call...)
		if want = append(want, call...); last != uint64(len(want)) {
			t.Errorf("call %d: last position %d, want %d", i, last, len(want))
		}
	}
	check := func(r registry.Registry) {
		t.Helper()
		got := records(t, r, 0)
		diff(t, "events", events(got), want)
		for _, rec := range got {
			if age := time.Since(rec.Time); age < -time.Hour || age > time.Hour {
				t.Errorf("record %d says it is of %s", rec.Position, rec.Time)
			}
			if _, err := registry.Encode(rec); err != nil {
				t.Errorf("record %d: %v", rec.Position, err)
			}
		}
		agrees(t, r)
	}
	check(first)
	if err := first.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	check(db.open())
}

func testAppendNothing(t *testing.T, db *database) {
	r := db.open()
	if last := mustAppend(t, r); last != 0 {
		t.Errorf("appending nothing to nothing: last %d", last)
	}
	mustAppend(t, r, put("local", 1)...)
	if last := mustAppend(t, r); last != 3 {
		t.Errorf("appending nothing: last %d, want 3", last)
	}
	agrees(t, r)
}

// testAppendMany appends more in one call than a statement has parameters.
func testAppendMany(t *testing.T, db *database) {
	r := db.open()
	const n = 2500
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i
	}
	if last := mustAppend(t, r, put("local", numbers...)...); last != 3*n {
		t.Errorf("last %d, want %d", last, 3*n)
	}
	diff(t, "events", events(records(t, r, 0)), put("local", numbers...))
	want := registry.Totals{
		Position: 3 * n, Blobs: n, BlobBytes: 1000 * n * (n - 1) / 2,
		Locations: map[registry.LocationTotal]int64{{BackendID: "local", State: registry.Stored}: n},
	}
	diff(t, "Totals", totals(t, r), want)
}

// testMalformed appends events that do not pass Validate, alone and behind a
// good one.
func testMalformed(t *testing.T, db *database) {
	r := db.open()
	mustAppend(t, r, put("local", 1)...)
	before := whole(t, r)
	for _, bad := range []registry.Event{
		{Actor: "ci"},
		{Actor: "", Data: stored(2)},
		{Actor: "c\ni", Data: stored(2)},
		{Actor: "ci", Data: registry.BlobStored{}},
		{Actor: "ci", Data: recorded(1, "")},
		{Actor: "ci", Data: leased(1, time.Time{})},
		{Actor: "ci", Data: leased(1, day(1).Add(time.Nanosecond))},
		{Actor: "ci", Data: registry.LocationFailed{Blob: blob(1), BackendID: "local", Reason: "bored"}},
	} {
		_, err := r.Append(t.Context(), bad)
		wantError(t, "malformed", err, registry.ErrRecord)
		_, err = r.Append(t.Context(), append(put("local", 3), bad)...)
		wantError(t, "malformed behind a good one", err, registry.ErrRecord)
	}
	diff(t, "after malformed events", whole(t, r), before)
}

// misfits returns what does not fit a registry in which blob 1 has a SHA-512 and
// is stored on local and failed on far, blob 2 has neither a SHA-512 nor a
// location, and blob 3 has a failed location only. Blobs from 4 on are unknown.
func misfits() map[string]registry.Data {
	other := func(change func(*registry.BlobStored)) registry.BlobStored {
		d := withSHA512(stored(2))
		change(&d)
		return d
	}
	return map[string]registry.Data{
		"stored again":                      withSHA512(stored(1)),
		"stored again without its sha512":   stored(1),
		"stored again with nothing new":     stored(2),
		"sha512 with another size":          other(func(d *registry.BlobStored) { d.Size++ }),
		"sha512 with another blake3":        other(func(d *registry.BlobStored) { d.BLAKE3 = stored(9).BLAKE3 }),
		"sha512 of another blob":            other(func(d *registry.BlobStored) { d.SHA512 = withSHA512(stored(1)).SHA512 }),
		"blake3 of another blob":            registry.BlobStored{SHA256: blob(9), BLAKE3: stored(1).BLAKE3},
		"location of an unknown blob":       recorded(4, "local"),
		"location recorded twice":           recorded(1, "local"),
		"failed location recorded":          recorded(1, "far"),
		"failure of an unknown blob":        failed(4, "local"),
		"failure of an unknown location":    failed(1, "moon"),
		"failure of a failed location":      failed(1, "far"),
		"repair of an unknown blob":         repaired(4, "local"),
		"repair of an unknown location":     repaired(1, "moon"),
		"repair of a stored location":       repaired(1, "local"),
		"lease of an unknown blob":          leased(4, day(1)),
		"lease without a location":          leased(2, day(1)),
		"lease without a stored location":   leased(3, day(1)),
		"release of an unknown blob":        released(4),
		"unknown digest of a known blake3":  registry.BlobReleased{Blob: blob(4)},
		"location of a blob of the future":  recorded(5, "far"),
		"failure of a location never there": failed(2, "local"),
	}
}

func testConflicts(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, by("ci", withSHA512(stored(1)), recorded(1, "local"), recorded(1, "far"), failed(1, "far"), leased(1, day(3)),
		stored(2), stored(3), recorded(3, "local"), failed(3, "local"))...)
	before := whole(t, r)
	for what, misfit := range misfits() {
		_, err := other.Append(t.Context(), by("ci", misfit)...)
		wantError(t, what, err, registry.ErrConflict)
		_, err = r.Append(t.Context(), append(put("moon", 8), by("ci", released(1), misfit)...)...)
		wantError(t, what+", behind what fits", err, registry.ErrConflict)
		_, err = r.Append(t.Context(), append(by("ci", misfit), put("moon", 8)...)...)
		wantError(t, what+", before what fits", err, registry.ErrConflict)
	}
	diff(t, "after conflicts", whole(t, r), before)
	agrees(t, other)
	mustAppend(t, r, append(put("moon", 8), by("ci", withSHA512(stored(2)), released(2))...)...)
	agrees(t, r)
}

// testConflictWithinOneAppend appends events that fit, or do not, only because of
// earlier ones of the same call.
func testConflictWithinOneAppend(t *testing.T, db *database) {
	r := db.open()
	for what, call := range map[string][]registry.Data{
		"stored twice":             {stored(1), stored(1)},
		"recorded before stored":   {recorded(1, "local"), stored(1)},
		"recorded twice":           {stored(1), recorded(1, "local"), recorded(1, "local")},
		"leased after it failed":   {stored(1), recorded(1, "local"), failed(1, "local"), leased(1, day(1))},
		"repaired without failing": {stored(1), recorded(1, "local"), repaired(1, "local")},
		"one blake3 for two":       {stored(1), registry.BlobStored{SHA256: blob(2), BLAKE3: stored(1).BLAKE3}},
	} {
		_, err := r.Append(t.Context(), by("ci", call...)...)
		wantError(t, what, err, registry.ErrConflict)
	}
	diff(t, "after conflicts", whole(t, r), state{})
	mustAppend(t, r, by("ci", stored(1), withSHA512(stored(1)), recorded(1, "local"), failed(1, "local"), repaired(1, "local"),
		failed(1, "local"), recorded(1, "far"), leased(1, day(2)), leased(1, day(1)), released(1), leased(1, day(1)))...)
	agrees(t, r)
}
