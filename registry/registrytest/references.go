package registrytest

import (
	"io/fs"
	"testing"

	"artifactstore/registry"
)

func testReferences(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, located(1, 2, 3)...)
	step := func(what string, d registry.Data, want ...int64) {
		t.Helper()
		mustAppend(t, r, by("ci", d)...)
		for i, n := range want {
			if got := mustBlob(t, other, blob(i+1)).References; got != n {
				t.Errorf("%s: %d references to blob %d, want %d", what, got, i+1, n)
			}
		}
		agrees(t, other)
	}
	step("created, one named twice", files("1", file("a", 1), file("b", 1), file("c", 2)), 2, 1, 0)
	step("put in the place of another", added("1", "b", 3), 1, 1, 1)
	step("the same again", added("1", "b", 3), 1, 1, 1)
	step("one more", added("1", "d", 3), 1, 1, 2)
	step("taken out", takenOut("1", "c"), 1, 0, 2)
	step("sealed", sealed("1", 2, 5), 1, 1, 2)
	step("a manifest", manifest("app", 1, 2, 3), 2, 2, 3)
	step("one that names itself", manifest("app", 2, 2), 2, 4, 3)
	step("the same in another repository", manifest("web", 2, 2), 2, 6, 3)
	step("renewed", renewed(manifestKey("app", 1), "release"), 2, 6, 3)
	step("a tag is none", tagged("app", "latest", 1), 2, 6, 3)
	step("failed", failed(2, "local"), 2, 6, 3)
	step("leased, released", released(3), 2, 6, 3)
	step("deleted by the manifest", deleted(manifestKey("app", 2)), 2, 4, 3)
	step("deleted", deleted(filesKey("1")), 1, 3, 1)
	step("and the last", deleted(manifestKey("app", 1)), 0, 2, 0)
}

func testUsedIn(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, located(1, 2, 3, 4)...)
	mustAppend(t, r, by("ci", manifest("app", 1, 2), manifest("app", 4, 2), manifest("app/web", 3, 1),
		registry.PackageCreated{Package: registry.PackageKey{Producer: "ci", Name: "app", Version: "1"}, Format: registry.FormatFiles,
			RetentionClass: "standard", Files: []registry.File{file("a", 3)}},
		of("app", leased(3, day(9))))...)
	m := replay(t, records(t, r, 0))
	c := comparison{t, t.Context(), other, m}
	for n := 1; n <= 5; n++ {
		for _, repository := range []string{"app", "app/web", "ci", "tool", "nowhere"} {
			c.usedIn(repository, blob(n))
		}
	}
	k, err := other.UsedIn(t.Context(), "app", blob(1))
	if err != nil || k != manifestKey("app", 1) {
		t.Errorf("UsedIn of a manifest: %s, %v", k, err)
	}
	_, err = other.UsedIn(t.Context(), "app", blob(3))
	wantError(t, "UsedIn of what only a lease and a package of files have", err, fs.ErrNotExist)
}
