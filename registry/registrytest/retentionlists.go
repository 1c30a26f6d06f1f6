package registrytest

import (
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// testIdleSince says of each event whether a blob is idle from then on.
func testIdleSince(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, by("ci", stored(2), recorded(2, "local"))...)
	since := step(t, r, stored(1)).Time
	c := keeper{t: t, ctx: t.Context(), reg: other}
	check := func(what string) {
		t.Helper()
		if got, err := other.IdleSince(t.Context(), blob(1)); err != nil || !got.Equal(since) {
			t.Errorf("%s: IdleSince %s, %v, want %s", what, got, err, since)
		}
		for _, idle := range collectable(t, c, registry.Forever, 0, digest.Digest{}, 10) {
			if idle.SHA256 == blob(1) && !idle.Since.Equal(since) {
				t.Errorf("%s: idle since %s, want %s", what, idle.Since, since)
			}
			if idle.SHA256 == blob(1) {
				return
			}
		}
		t.Errorf("%s: not collectable at the end of time", what)
	}
	unchanged := func(what string, d ...registry.Data) {
		t.Helper()
		mustAppend(t, r, by("ci", d...)...)
		check(what)
	}
	dropped := func(what string, d registry.Data) {
		t.Helper()
		since = step(t, r, d).Time
		check(what)
	}
	check("stored")
	unchanged("a location", recorded(1, "local"), failed(1, "local"), repaired(1, "local"))
	unchanged("its SHA-512", withSHA512(stored(1)))
	unchanged("a lease that is over", leased(1, over))
	unchanged("a release without a lease", outOf("app", released(1)))
	dropped("a release", released(1))
	mustAppend(t, r, by("ci", files("1", file("a", 1), file("b", 1), file("c", 2)), added("1", "a", 2))...)
	dropped("its last file replaced", added("1", "b", 2))
	unchanged("a file of another taken out", takenOut("1", "c"))
	mustAppend(t, r, by("ci", added("1", "d", 1))...)
	dropped("its last file taken out", takenOut("1", "d"))
	mustAppend(t, r, by("ci", sealed("1", 1, 6))...)
	dropped("the package deleted that has it as manifest", deleted(filesKey("1")))
	mustAppend(t, r, by("ci", manifest("app", 2, 1), manifest("app", 1), deleted(manifestKey("app", 1)))...)
	dropped("the last package expired", expired(manifestKey("app", 2), 1))
	mustAppend(t, r, by("ci", leased(1, day(5)), of("app", leased(1, day(3))))...)
	since = day(5)
	check("two leases")
	mustAppend(t, r, by("ci", released(1))...)
	since = day(3)
	check("the longer one released")
	agrees(t, other)
}

// testCollectable asks at every moment that matters, and a microsecond around it.
func testCollectable(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, located(1, 2, 3, 4, 5, 6)...)
	mustAppend(t, r, by("ci", leased(2, day(3)), of("app", leased(2, day(5))), leased(3, day(4)), released(3), leased(4, registry.Forever),
		files("1", file("a", 5), file("b", 6)))...)
	mustAppend(t, r, by("ci", takenOut("1", "b"), leased(6, over), stored(7), unneeded(1, "local", 0))...)
	c := keeper{t, t.Context(), other, replay(t, records(t, r, 0))}

	moments := []time.Time{over, day(3), day(5), registry.Forever}
	for _, idle := range c.model.Collectable(registry.Forever, 0, digest.Digest{}) {
		moments = append(moments, idle.Since)
	}
	for _, grace := range []time.Duration{0, time.Microsecond, 36 * time.Hour} {
		for _, m := range moments {
			for _, off := range []time.Duration{-1, 0, 1} {
				at := m.Add(grace + off*time.Microsecond)
				want := c.model.Collectable(at, grace, digest.Digest{})
				diff(t, fmt.Sprintf("Collectable at %s after %s", at, grace), collectable(t, c, at, grace, digest.Digest{}, 100), want)
			}
		}
	}
	want := c.model.Collectable(day(9), 0, digest.Digest{})
	if len(want) != 5 { // not 4 nor 5
		t.Fatalf("%d blobs are collectable, want 5", len(want))
	}
	for i, idle := range want {
		diff(t, "Collectable after one of them", collectable(t, c, day(9), 0, idle.SHA256, 2), want[i+1:])
	}
	diff(t, "Collectable, one at a time", collectable(t, c, day(9), 0, digest.Digest{}, 1), want)
}

func testRemovals(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	const n = 12
	for i := range n {
		if i%2 == 0 {
			mustAppend(t, r, append(located(i), by("ci", recorded(i, "far"), unneeded(i, "local", 0))...)...)
		} else {
			mustAppend(t, r, by("ci", removing(i, "local", registry.Orphan))...)
		}
	}
	mustAppend(t, r, by("ci", removed(2, "local"), removed(3, "local"), removing(2, "far", registry.Unneeded))...)
	m := replay(t, records(t, r, 0))
	want := m.Removals("local", digest.Digest{}, 100)
	if len(want) != n-2 {
		t.Fatalf("%d removals, want %d", len(want), n-2)
	}
	c := keeper{t, t.Context(), other, m}
	for i := range n {
		c.backend("local", blob(i))
		c.backend("far", blob(i))
		c.backend("moon", blob(i))
	}
	for i, removal := range want {
		got, err := other.Removals(t.Context(), "local", removal.Blob, 3)
		if err != nil {
			t.Fatalf("Removals: %v", err)
		}
		diff(t, "Removals after one of them", got, want[i+1:min(i+4, len(want))])
	}
}

func testExpirable(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, located(1, 2, 3, 4)...)
	for i := range 6 {
		mustAppend(t, r, by("ci", files(fmt.Sprint(9-i), file("a", 1)))...)
	}
	mustAppend(t, r, by("ci", files("same-b"), files("same-a"), manifest("app", 1), manifest("app", 2, 1), manifest("web", 1), manifest("self", 4, 4))...)
	mustAppend(t, r, by("ci", renewed(filesKey("8"), "standard"), renewed(filesKey("7"), "release"), held(filesKey("6"), "case", filesKey("5")),
		added("4", "b", 2))...)
	m := replay(t, records(t, r, 0))
	end := time.Now().UTC().Add(time.Hour)
	want := m.Expirable("standard", end, 100)
	if len(want) != 8 { // 9, same-a, same-b, the index, web, self, 8, 4
		t.Fatalf("%d packages are expirable, want 8: %v", len(want), want)
	}
	check := func(class string, before time.Time, limit int) {
		t.Helper()
		got, err := other.Expirable(t.Context(), class, before, limit)
		if err != nil {
			t.Fatalf("Expirable: %v", err)
		}
		diff(t, fmt.Sprintf("%d of %s expirable before %s", limit, class, before), got, m.Expirable(class, before, limit))
	}
	for _, limit := range []int{0, 1, 3, 8, 100} {
		check("standard", end, limit)
		check("release", end, limit)
		check("ephemeral", end, limit)
	}
	for _, p := range want {
		check("standard", p.ChangedAt, 100)
		check("standard", p.ChangedAt.Add(time.Microsecond), 100)
	}
	// What changed at the very moment has not changed before it.
	first, err := other.Expirable(t.Context(), "standard", want[0].ChangedAt, 1)
	if err != nil || len(first) != 0 {
		t.Errorf("expirable before anything changed: %v, %v", first, err)
	}
	// What is named follows what names it, and the log agrees.
	mustAppend(t, r, by("gateway", expired(manifestKey("app", 2), 1), letGo(filesKey("6"), "case"))...)
	m = replay(t, records(t, r, 0))
	check("standard", end, 100)
	for range 20 {
		next, err := other.Expirable(t.Context(), "standard", end, 1)
		if err != nil {
			t.Fatalf("Expirable: %v", err)
		}
		if len(next) == 0 {
			break
		}
		mustAppend(t, r, by("gateway", expired(next[0].PackageKey, next[0].Revision))...)
	}
	if got := totals(t, other).Packages; got[registry.Open]+got[registry.Sealed] != 1 { // the one of release
		t.Errorf("packages left: %v", got)
	}
	agrees(t, other)
}

func testLeasesOf(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, located(1, 2)...)
	lease := func(actor, repository, producer, class string, until time.Time) {
		t.Helper()
		mustAppend(t, r, by(actor, registry.BlobLeased{Blob: blob(1), Repository: repository, Producer: producer, RetentionClass: class, Until: until})...)
	}
	check := func(want ...registry.Lease) {
		t.Helper()
		for limit := range len(want) + 2 {
			got, err := other.LeasesOf(t.Context(), blob(1), limit)
			if err != nil {
				t.Fatalf("LeasesOf: %v", err)
			}
			diff(t, "LeasesOf", got, want[:min(limit, len(want))])
		}
	}
	check()
	lease("bob", "", "b", "standard", day(3))
	lease("Bob", "", "b", "release", registry.Forever)
	lease("bob", "app", "app", "standard", over)
	lease("ann", "app-2", "app-2", "standard", day(3))
	check(registry.Lease{Actor: "Bob", Producer: "b", RetentionClass: "release", Until: registry.Forever},
		registry.Lease{Actor: "bob", Producer: "b", RetentionClass: "standard", Until: day(3)},
		registry.Lease{Repository: "app-2", Producer: "app-2", RetentionClass: "standard", Until: day(3)},
		registry.Lease{Repository: "app", Producer: "app", RetentionClass: "standard", Until: over})
	lease("bob", "", "c", "ephemeral", day(2)) // an earlier end changes nothing
	lease("bob", "", "c", "ephemeral", day(3)) // nor does the same
	mustAppend(t, r, by("Bob", released(1), outOf("app-2", released(1)))...)
	lease("eve", "app", "x", "release", day(4)) // a later one brings its producer and class
	check(registry.Lease{Repository: "app", Producer: "x", RetentionClass: "release", Until: day(4)},
		registry.Lease{Actor: "bob", Producer: "b", RetentionClass: "standard", Until: day(3)})
	for _, n := range []int{2, 9} {
		if got, err := other.LeasesOf(t.Context(), blob(n), 10); err != nil || len(got) != 0 {
			t.Errorf("leases of a blob without one: %v, %v", got, err)
		}
	}
	_, err := other.IdleSince(t.Context(), blob(9))
	wantError(t, "IdleSince of an unknown blob", err, fs.ErrNotExist)
}

func testCheckRetention(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	packageHistory(t, r)
	for n := 20; n < 40; n++ {
		mustAppend(t, r, located(n)...)
		mustAppend(t, r, by("ci", recorded(n, "far"), leased(n, over), unneeded(n, "local", 0), removing(n, "moon", registry.Orphan))...)
		if n%2 == 0 {
			mustAppend(t, r, by("ci", removed(n, "local"), removed(n, "moon"), unneeded(n, "far", 0))...)
		}
		if n%4 == 0 {
			mustAppend(t, r, by("ci", removed(n, "far"), collected(n, 0))...)
		}
	}
	at := mustBlob(t, r, blob(1)).Locations[0].RecordedAt
	mustAppend(t, r, by("ci", registry.LocationVerified{Blob: blob(1), BackendID: "local", RecordedAt: at},
		held(filesKey("3"), "case", filesKey("4"), manifestKey("team/app", 1)), held(filesKey("4"), "case"), letGo(filesKey("4"), "case"),
		expired(filesKey("5"), 5))...)
	before := whole(t, r)
	want := registry.Report{Position: before.Totals.Position, Blobs: before.Totals.Blobs}
	got, err := other.Check(t.Context(), counted(t))
	if err != nil {
		t.Fatalf("Check: %v", err)
	}
	diff(t, "report of Check", got, want)
	if got, err = other.Rebuild(t.Context(), counted(t)); err != nil {
		t.Fatalf("Rebuild: %v", err)
	}
	diff(t, "report of Rebuild", got, want)
	diff(t, "after Rebuild", whole(t, r), before)
	agrees(t, r)
	refused(t, r, "a deletion under a hold", deleted(filesKey("4")))
	mustAppend(t, r, by("ci", letGo(filesKey("3"), "case"), deleted(filesKey("4")), removed(21, "moon"))...)
	agrees(t, other)
	left, err := other.References(t.Context(), blob(1), 1000)
	if err != nil || slices.ContainsFunc(left, func(ref registry.Reference) bool { return ref.PackageKey == filesKey("4") }) {
		t.Errorf("a deleted package still refers to its blob: %v", err)
	}
}
