package registrytest

import (
	"io/fs"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// testVisible asks one repository for a blob through its life there.
func testVisible(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, append(located(1, 2, 3), by("ci", recorded(1, "far"), failed(1, "far"))...)...)
	d := withSHA512(stored(1))
	visible := func(what string, now time.Time, want bool) {
		t.Helper()
		for _, name := range []digest.Digest{d.SHA256, d.BLAKE3, d.SHA512} {
			b, err := other.BlobIn(t.Context(), "team/app", name, now)
			if want && err == nil {
				diff(t, what, b, mustBlob(t, r, d.SHA256))
			} else if want {
				t.Errorf("%s: %v", what, err)
			} else {
				wantError(t, what, err, fs.ErrNotExist)
			}
		}
	}
	do := func(d ...registry.Data) {
		t.Helper()
		mustAppend(t, r, by("ann", d...)...)
	}
	visible("stored", day(1), false)
	do(leased(1, registry.Forever))
	visible("leased to an actor", day(1), false)
	mustAppend(t, r, by("team/app", leased(1, registry.Forever))...)
	visible("leased to an actor named as the repository", day(1), false)
	do(of("team", leased(1, day(9))), of("team/app/x", leased(1, day(9))))
	visible("leased to others", day(1), false)
	do(of("team/app", leased(1, day(5))))
	visible("leased", day(1), true)
	visible("just before its end", day(5).Add(-time.Microsecond), true)
	visible("at the end of the lease", day(5), false)
	do(outOf("team/app", released(1)))
	visible("released", day(1), false)
	do(registry.PackageCreated{Package: registry.PackageKey{Producer: "team", Name: "app", Version: "1"}, Format: registry.FormatFiles,
		RetentionClass: "standard", Files: []registry.File{file("a", 1)}})
	visible("in a package of files", day(1), false)
	do(manifest("team/web", 2, 1))
	visible("in another repository", day(1), false)
	do(manifest("team/app", 2, 1))
	visible("named by a manifest", day(1), true)
	visible("named by a manifest, much later", registry.Forever, true)
	do(failed(1, "local"))
	visible("without a stored location", day(1), true)
	do(repaired(1, "local"), manifest("team/app", 1), deleted(manifestKey("team/app", 2)))
	visible("a manifest", registry.Forever, true)
	do(of("team/app", leased(1, day(7))), deleted(manifestKey("team/app", 1)))
	visible("by its lease again", day(6), true)
	visible("and no longer", day(7), false)
	for _, unknown := range []digest.Digest{blob(9), digest.New(digest.BLAKE3, d.SHA256.Sum())} {
		_, err := other.BlobIn(t.Context(), "team/app", unknown, day(1))
		wantError(t, "unknown blob", err, fs.ErrNotExist)
	}
	agrees(t, other)
}

func testHasRepository(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, located(1, 2)...)
	has := func(what string, now time.Time, want bool) {
		t.Helper()
		got, err := other.HasRepository(t.Context(), "team/app", now)
		if err != nil || got != want {
			t.Errorf("%s: HasRepository %t, %v, want %t", what, got, err, want)
		}
	}
	do := func(d ...registry.Data) {
		t.Helper()
		mustAppend(t, r, by("team/app", d...)...)
	}
	has("nothing", day(1), false)
	do(leased(1, day(9)), of("team", leased(1, day(9))), of("team/app/x", leased(1, day(9))), manifest("team/app/x", 1))
	has("others' names", day(1), false)
	do(of("team/app", leased(1, day(5))), of("team/app", leased(2, day(3))))
	has("leased", day(4), true)
	has("at the end of the last lease", day(5), false)
	do(manifest("team/app", 1), manifest("team/app", 2))
	has("with manifests", day(9), true)
	do(deleted(manifestKey("team/app", 1)))
	has("with a manifest", day(9), true)
	do(deleted(manifestKey("team/app", 2)))
	has("without its manifests", day(9), false)
	has("but with its lease", day(2), true)
	do(outOf("team/app", released(1)), outOf("team/app", released(2)))
	has("without anything", day(2), false)
}
