package registrytest

import (
	"context"
	"testing"

	"artifactstore/registry"
)

// history fills a registry with something of everything.
func history(t *testing.T, r registry.Registry) {
	t.Helper()
	for n := range 30 {
		mustAppend(t, r, append(put("local", n), by("bob", recorded(n, "far"), leased(n, day(2)))...)...)
	}
	mustAppend(t, r, by("ci", failed(1, "local"), failed(2, "far"), failed(3, "far"), repaired(3, "far"),
		withSHA512(stored(4)), released(5), leased(6, registry.Forever))...)
	mustCreate(t, r, session(1))
}

// counted returns a progress function and a check of what it was told.
func counted(t *testing.T) func(position, last uint64) {
	var before uint64
	return func(position, last uint64) {
		if position < before || position > last {
			t.Errorf("progress %d of %d after %d", position, last, before)
		}
		before = position
	}
}

func testCheck(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	got, err := r.Check(t.Context(), nil)
	if err != nil {
		t.Fatalf("Check: %v", err)
	}
	diff(t, "report of an empty registry", got, registry.Report{})
	history(t, r)
	before := whole(t, r)
	got, err = other.Check(t.Context(), counted(t))
	if err != nil {
		t.Fatalf("Check: %v", err)
	}
	diff(t, "report", got, registry.Report{Position: before.Totals.Position, Blobs: before.Totals.Blobs})
	diff(t, "after Check", whole(t, r), before)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Check(ctx, nil)
	wantError(t, "Check with a cancelled context", err, context.Canceled)
}

func testCheckBesideAppends(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	history(t, r)
	together(3, func(i int) {
		if i > 0 {
			for n := range 10 {
				if _, err := r.Append(t.Context(), append(put("local", 100*i+n), by("ci", failed(100*i+n, "local"))...)...); err != nil {
					t.Errorf("Append beside Check: %v", err)
				}
			}
			return
		}
		for range 3 {
			got, err := other.Check(t.Context(), counted(t))
			if err != nil || len(got.Problems) > 0 {
				t.Errorf("Check beside appends: %v, %v", got.Problems, err)
			}
		}
	})
	agrees(t, r)
}

func testRebuild(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	history(t, r)
	before := whole(t, r)
	got, err := other.Rebuild(t.Context(), counted(t))
	if err != nil {
		t.Fatalf("Rebuild: %v", err)
	}
	diff(t, "report", got, registry.Report{Position: before.Totals.Position, Blobs: before.Totals.Blobs})
	diff(t, "after Rebuild", whole(t, r), before)
	mustAppend(t, r, append(put("local", 100), by("ci", repaired(1, "local"), leased(1, day(9)))...)...)
	agrees(t, other)
}
