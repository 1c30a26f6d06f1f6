package registrytest

import (
	"context"
	"io/fs"
	"slices"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

func mustBlob(t *testing.T, r registry.Registry, d digest.Digest) registry.Blob {
	t.Helper()
	b, err := r.Blob(t.Context(), d)
	if err != nil {
		t.Fatalf("Blob(%s): %v", d, err)
	}
	return b
}

func testBlobByAnyDigest(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	_, err := r.Blob(t.Context(), blob(1))
	wantError(t, "unknown blob", err, fs.ErrNotExist)
	mustAppend(t, r, append(by("ci", withSHA512(stored(1)), stored(2)), put("local", 3)...)...)

	with, without := withSHA512(stored(1)), withSHA512(stored(2))
	want := mustBlob(t, r, with.SHA256)
	diff(t, "identity", want.Identity, digest.Identity{SHA256: with.SHA256, BLAKE3: with.BLAKE3, Size: with.Size})
	diff(t, "SHA-512", want.SHA512, with.SHA512)
	for _, d := range []digest.Digest{with.BLAKE3, with.SHA512} {
		diff(t, d.String(), mustBlob(t, other, d), want)
	}
	_, err = r.Blob(t.Context(), without.SHA512)
	wantError(t, "SHA-512 not pushed yet", err, fs.ErrNotExist)
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.BLAKE3, digest.SHA512} {
		_, err := r.Blob(t.Context(), digest.New(alg, slices.Repeat([]byte{7}, alg.Size())))
		wantError(t, "unknown digest", err, fs.ErrNotExist)
	}
	// The same sum of another algorithm is another digest.
	_, err = r.Blob(t.Context(), digest.New(digest.BLAKE3, with.SHA256.Sum()))
	wantError(t, "BLAKE3 with the sum of a SHA-256", err, fs.ErrNotExist)

	was := mustBlob(t, r, blob(2))
	mustAppend(t, other, by("ci", without)...)
	was.SHA512 = without.SHA512
	diff(t, "blob with its SHA-512 added", mustBlob(t, r, without.SHA512), was)
}

func testLocations(t *testing.T, db *database) {
	r := db.open()
	mustAppend(t, r, by("ci", stored(1))...)
	step := func(d registry.Data) time.Time {
		t.Helper()
		last := mustAppend(t, r, by("ci", d)...)
		return records(t, r, last-1)[0].Time
	}
	z := registry.Location{BackendID: "z", State: registry.Stored, RecordedAt: step(recorded(1, "z"))}
	a := registry.Location{BackendID: "a", State: registry.Stored, RecordedAt: step(recorded(1, "a"))}
	check := func(what string) {
		t.Helper()
		diff(t, what, mustBlob(t, r, blob(1)).Locations, []registry.Location{z, a})
	}
	check("recorded")
	for _, reason := range []registry.Reason{registry.Mismatch, registry.Missing, registry.Truncated, registry.Unreadable} {
		step(registry.LocationFailed{Blob: blob(1), BackendID: "z", Reason: reason})
		z.State, z.Reason = registry.Failed, reason
		check("failed: " + string(reason))
		z.RecordedAt = step(repaired(1, "z"))
		z.State, z.Reason = registry.Stored, ""
		check("repaired")
	}
	finding := registry.LocationFailed{Blob: blob(1), BackendID: "z", Reason: registry.Missing, RecordedAt: z.RecordedAt.Add(-time.Microsecond)}
	_, err := r.Append(t.Context(), by("ci", finding)...)
	wantError(t, "a finding from before the repair", err, registry.ErrConflict)
	check("found failed before it was repaired")
	finding.RecordedAt = z.RecordedAt
	step(finding)
	z.State, z.Reason = registry.Failed, registry.Missing
	check("found failed as it was repaired")
	agrees(t, r)
}

func testLeases(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, by("ci", stored(1), recorded(1, "local"))...)
	until := func(what string, actor string, d registry.Data, want time.Time) {
		t.Helper()
		mustAppend(t, r, by(actor, d)...)
		diff(t, what, mustBlob(t, other, blob(1)).LeasedUntil, want)
	}
	until("release without a lease", "ann", released(1), time.Time{})
	until("first lease", "ann", leased(1, day(2)), day(2))
	until("earlier end", "ann", leased(1, day(1)), day(2))
	until("another's later end", "bob", leased(1, day(4)), day(4))
	until("the same end", "bob", leased(1, day(4)), day(4))
	until("later end", "ann", leased(1, day(5)), day(5))
	until("a microsecond later", "ann", leased(1, day(5).Add(time.Microsecond)), day(5).Add(time.Microsecond))
	until("somebody else's release", "eve", released(1), day(5).Add(time.Microsecond))
	until("release", "ann", released(1), day(4))
	until("release again", "ann", released(1), day(4))
	until("failure keeps it", "gateway", failed(1, "local"), day(4))
	until("release of a failed one", "bob", released(1), time.Time{})
	mustAppend(t, r, by("ci", repaired(1, "local"))...)
	until("without end", "ann", leased(1, registry.Forever), registry.Forever)
	until("nothing is longer", "ann", leased(1, day(9)), registry.Forever)
	until("end it", "ann", released(1), time.Time{})
	until("a repository's", "ann", of("team/app", leased(1, day(3))), day(3))
	until("the same, by another", "bob", of("team/app", leased(1, day(2))), day(3))
	until("another repository's", "bob", of("team/web", leased(1, day(4))), day(4))
	until("an actor's, named as a repository is", "team/web", leased(1, day(2)), day(4))
	until("release of the actor's", "team/web", released(1), day(4))
	until("release of the repository's, by anybody", "eve", outOf("team/web", released(1)), day(3))
	until("later end of the repository's", "cid", of("team/app", leased(1, registry.Forever)), registry.Forever)
	until("already over", "cid", leased(1, time.Unix(0, 0).UTC()), registry.Forever)
	agrees(t, r)
}

// of makes a lease a repository's, outOf the end of one.
func of(repository string, d registry.BlobLeased) registry.BlobLeased {
	d.Repository = repository
	return d
}

func outOf(repository string, d registry.BlobReleased) registry.BlobReleased {
	d.Repository = repository
	return d
}

func testBlobs(t *testing.T, db *database) {
	r := db.open()
	var want []digest.Digest
	for n := range 40 {
		want = append(want, blob(n))
		mustAppend(t, r, append(put("local", n), by("bob", recorded(n, "far"), leased(n, day(1+n%20)))...)...)
	}
	slices.SortFunc(want, func(a, b digest.Digest) int { return slices.Compare(a.Sum(), b.Sum()) })
	all := blobs(t, r, digest.Digest{})
	if len(all) != len(want) {
		t.Fatalf("%d blobs, want %d", len(all), len(want))
	}
	for i, b := range all {
		if b.SHA256 != want[i] {
			t.Errorf("blob %d is %s, want %s", i, b.SHA256, want[i])
		}
		diff(t, "the same blob, found alone", mustBlob(t, r, b.SHA256), b)
	}
	for _, i := range []int{0, 17, len(all) - 1} {
		diff(t, "blobs after one of them", blobs(t, r, want[i]), all[i+1:])
	}
	between := want[3].Sum()
	between[31]++ // sorts after blob 3, and is no blob
	diff(t, "blobs after a digest that is none", blobs(t, r, digest.New(digest.SHA256, between)), all[4:])
	diff(t, "blobs in pages", pages(t, r), all)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var err error
	for _, err = range r.Blobs(ctx, digest.Digest{}) {
	}
	wantError(t, "Blobs with a cancelled context", err, context.Canceled)
}

// pages reads all blobs seven at a time.
func pages(t *testing.T, r registry.Registry) []registry.Blob {
	var all []registry.Blob
	var after digest.Digest
	for {
		n := 0
		for b, err := range r.Blobs(t.Context(), after) {
			if err != nil {
				t.Fatalf("Blobs: %v", err)
			}
			all = append(all, b)
			after = b.SHA256
			if n++; n == 7 {
				break
			}
		}
		if n < 7 {
			return all
		}
	}
}

func testFailed(t *testing.T, db *database) {
	r := db.open()
	for n := range 12 {
		mustAppend(t, r, append(put("local", n), by("ci", recorded(n, "far"))...)...)
	}
	for n := range 12 {
		if n%3 != 0 {
			mustAppend(t, r, by("ci", failed(n, "far"))...)
		}
	}
	mustAppend(t, r, by("ci", failed(0, "local"), repaired(1, "far"))...)
	m := replay(t, records(t, r, 0))
	for _, limit := range []int{0, 1, 3, 7, 8, 100} {
		for _, backend := range []string{"far", "local", "moon"} {
			got, err := r.Failed(t.Context(), backend, limit)
			if err != nil {
				t.Fatalf("Failed: %v", err)
			}
			diff(t, "Failed on "+backend, got, m.Failed(backend, limit))
		}
	}
}

func testTotals(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	step := func(position uint64, local, localFailed, far, farFailed int64, events ...registry.Event) {
		t.Helper()
		mustAppend(t, r, events...)
		diff(t, "Totals", totals(t, other), withoutZeros(registry.Totals{
			Position: position, Blobs: 2, BlobBytes: 3000,
			Locations: map[registry.LocationTotal]int64{
				{BackendID: "local", State: registry.Stored}: local,
				{BackendID: "local", State: registry.Failed}: localFailed,
				{BackendID: "far", State: registry.Stored}:   far,
				{BackendID: "far", State: registry.Failed}:   farFailed,
			},
		}))
	}
	step(6, 2, 0, 0, 0, put("local", 1, 2)...)
	step(7, 2, 0, 0, 0, by("ci", withSHA512(stored(1)))...)
	step(9, 1, 1, 1, 0, by("ci", recorded(1, "far"), failed(1, "local"))...)
	step(11, 2, 0, 1, 0, by("ci", repaired(1, "local"), released(1))...)
	step(12, 2, 0, 0, 1, by("ci", failed(1, "far"))...)
}

func testHealth(t *testing.T, db *database) {
	for _, r := range []registry.Registry{db.open(), db.open()} {
		if err := r.Health(t.Context()); err != nil {
			t.Errorf("Health: %v", err)
		}
		diff(t, "after Health", whole(t, r), state{})
	}
}
