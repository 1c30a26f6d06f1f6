package registrytest

import (
	"bytes"
	"sync/atomic"
	"testing"
	"time"

	"artifactstore/registry"
)

func signingKey(id string, created, expires time.Time) registry.SigningKey {
	return registry.SigningKey{ID: id, Secret: append([]byte{0, 255}, id...), CreatedAt: created, ExpiresAt: expires}
}

func addKey(t *testing.T, r registry.Auth, k registry.SigningKey) {
	t.Helper()
	if err := r.AddSigningKey(t.Context(), k); err != nil {
		t.Fatalf("AddSigningKey(%s): %v", k.ID, err)
	}
}

func wantKeys(t *testing.T, what string, r registry.Auth, want ...registry.SigningKey) {
	t.Helper()
	got, err := r.SigningKeys(t.Context())
	if err != nil {
		t.Fatalf("%s: SigningKeys: %v", what, err)
	}
	diff(t, what, got, want)
}

func testSigningKeys(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	wantKeys(t, "no keys", other)
	a, b, c := signingKey("a", day(2), day(5)), signingKey("b", day(1), day(3)), signingKey("B", day(1), day(4))
	for _, k := range []registry.SigningKey{a, b, c} {
		addKey(t, r, k)
	}
	wantKeys(t, "three keys", other, c, b, a)
	wantError(t, "a taken id", other.AddSigningKey(t.Context(), signingKey("a", day(9), day(9))), registry.ErrConflict)
	wantKeys(t, "after a refused one", r, c, b, a)

	drop := func(before time.Time, want ...registry.SigningKey) {
		t.Helper()
		if err := other.DropSigningKeys(t.Context(), before); err != nil {
			t.Fatalf("DropSigningKeys: %v", err)
		}
		wantKeys(t, "keys that expire at "+before.String()+" or later", r, want...)
	}
	drop(day(3), c, b, a) // not those that expire then
	drop(day(3).Add(time.Nanosecond), c, a)
	drop(day(3).Add(time.Nanosecond), c, a)
	drop(registry.Forever)
	addKey(t, r, signingKey("a", day(1), day(2))) // the id is free again

	exact := signingKey("exact", day(3).Add(999), day(4).Add(999).In(time.FixedZone("east", 3600)))
	exact.Secret = bytes.Repeat([]byte{0, 1, 2, 255}, 1000)
	addKey(t, r, exact)
	exact.CreatedAt, exact.ExpiresAt = day(3), day(4)
	wantKeys(t, "to the microsecond", other, signingKey("a", day(1), day(2)), exact)
}

// testSigningKeysAtOnce adds one key by many: one does.
func testSigningKeysAtOnce(t *testing.T, db *database) {
	handles := []registry.Registry{db.open(), db.open()}
	var added atomic.Int64
	together(8, func(i int) {
		err := handles[i%2].AddSigningKey(t.Context(), signingKey("one", day(1), day(2)))
		if err == nil {
			added.Add(1)
		} else {
			wantError(t, "the same key", err, registry.ErrConflict)
		}
	})
	if n := added.Load(); n != 1 {
		t.Errorf("%d have added the key", n)
	}
	wantKeys(t, "the key", handles[0], signingKey("one", day(1), day(2)))
}

// testSigningKeysAreNoView shows that keys leave no trace in the log, and are left
// alone by what reads it.
func testSigningKeysAreNoView(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, put("local", 1)...)
	before := whole(t, r)
	k := signingKey("k", day(1), day(2))
	addKey(t, r, k)
	diff(t, "after a key", whole(t, other), before)
	for what, read := range map[string]func() (registry.Report, error){
		"Check":   func() (registry.Report, error) { return other.Check(t.Context(), nil) },
		"Rebuild": func() (registry.Report, error) { return other.Rebuild(t.Context(), nil) },
	} {
		report, err := read()
		if err != nil || len(report.Problems) > 0 {
			t.Errorf("%s beside a key: %v, %v", what, report.Problems, err)
		}
	}
	wantKeys(t, "after a rebuild", r, k)
}
