package registrytest

import (
	"io/fs"
	"testing"

	"artifactstore/registry"
)

func testHolds(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, append(located(1, 2, 3), by("ci", manifest("app", 1, 3), manifest("app", 2, 1), files("1", file("a", 1)), files("2"))...)...)
	index, child := manifestKey("app", 2), manifestKey("app", 1)
	diff(t, "no holds", holds(t, other, index), []registry.Hold{})
	hold := func(actor string, d registry.PackageHeld) registry.Hold {
		t.Helper()
		last := mustAppend(t, r, by(actor, d)...)
		return registry.Hold{Name: d.Hold, Root: d.Package, By: actor, At: records(t, r, last-1)[0].Time}
	}
	was := mustPackage(t, r, index)
	first := hold("legal", held(index, "case", child, filesKey("1")))
	second := hold("audit", held(child, "case")) // the same name, on the child itself
	third := hold("audit", held(index, "audit"))
	diff(t, "holds on the index", holds(t, other, index), []registry.Hold{third, first})
	want := []registry.Hold{first, second}
	if child.Compare(index) < 0 {
		want = []registry.Hold{second, first}
	}
	diff(t, "holds on the child", holds(t, other, child), want)
	diff(t, "holds on what is covered", holds(t, other, filesKey("1")), []registry.Hold{first})
	diff(t, "holds on another", holds(t, other, filesKey("2")), []registry.Hold{})
	diff(t, "holds on an unknown one", holds(t, other, filesKey("3")), []registry.Hold{})
	diff(t, "a hold is no change of the package", mustPackage(t, other, index), was)

	for what, k := range map[string]registry.PackageKey{"index": index, "child": child, "what is covered": filesKey("1")} {
		refused(t, other, what+" deleted", deleted(k))
		refused(t, other, what+" expired", expired(k, 1))
	}
	// What is held can change and be renewed.
	mustAppend(t, r, by("ci", renewed(child, "release"), added("1", "b", 2), takenOut("1", "a"))...)
	mustAppend(t, r, by("legal", letGo(index, "case"))...)
	diff(t, "holds on the index, one released", holds(t, other, index), []registry.Hold{third})
	diff(t, "holds on the child, one released", holds(t, other, child), []registry.Hold{second})
	diff(t, "holds on what was covered", holds(t, other, filesKey("1")), []registry.Hold{})
	mustAppend(t, r, by("ci", deleted(filesKey("1")))...)
	refused(t, other, "the child, held by itself", deleted(child))
	mustAppend(t, r, by("legal", letGo(child, "case"), deleted(child))...)
	refused(t, other, "the index, still held", deleted(index))
	mustAppend(t, r, by("anybody", letGo(index, "audit"), held(index, "case"), letGo(index, "case"), expired(index, 1))...)
	_, err := other.Package(t.Context(), index)
	wantError(t, "expired index", err, fs.ErrNotExist)
	agrees(t, other)
}

func testHoldConflicts(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, append(located(1, 2, 3), by("ci", manifest("app", 1, 3), manifest("app", 2, 1), files("1"), files("2"),
		held(manifestKey("app", 2), "case", manifestKey("app", 1)), held(filesKey("1"), "audit"))...)...)
	before := whole(t, r)
	for what, d := range map[string]registry.Data{
		"held twice":                       held(manifestKey("app", 2), "case"),
		"held twice, covering another":     held(manifestKey("app", 2), "case", filesKey("2")),
		"an unknown one held":              held(filesKey("3"), "case"),
		"an unknown one covered":           held(filesKey("2"), "case", filesKey("1"), filesKey("3")),
		"a manifest of another repository": held(manifestKey("web", 2), "case"),
		"an unknown one released":          letGo(filesKey("3"), "case"),
		"released from another hold":       letGo(manifestKey("app", 2), "audit"),
		"released in other letters":        letGo(manifestKey("app", 2), "Case"),
		"what is only covered released":    letGo(manifestKey("app", 1), "case"),
		"what is not held released":        letGo(filesKey("2"), "case"),
		"what is held deleted":             deleted(manifestKey("app", 2)),
		"what is covered deleted":          deleted(manifestKey("app", 1)),
		"what is held expired":             expired(manifestKey("app", 2), 1),
		"what is covered expired":          expired(manifestKey("app", 1), 1),
	} {
		refused(t, other, what, d)
		_, err := r.Append(t.Context(), by("ci", held(filesKey("2"), "fits"), letGo(filesKey("1"), "audit"), d)...)
		wantError(t, what+", behind what fits", err, registry.ErrConflict)
	}
	diff(t, "after conflicts", whole(t, r), before)
	for what, call := range map[string][]registry.Data{
		"released twice":          {letGo(filesKey("1"), "audit"), letGo(filesKey("1"), "audit")},
		"deleted, then held":      {deleted(filesKey("2")), held(filesKey("2"), "case")},
		"deleted, then covered":   {deleted(filesKey("2")), held(filesKey("1"), "case", filesKey("2"))},
		"held, then deleted":      {held(filesKey("2"), "case"), deleted(filesKey("2"))},
		"deleted before released": {deleted(filesKey("1")), letGo(filesKey("1"), "audit")},
	} {
		_, err := r.Append(t.Context(), by("ci", call...)...)
		wantError(t, what, err, registry.ErrConflict)
	}
	agrees(t, other)
}

func testExpired(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, append(located(1, 2, 3, 4), by("ci",
		manifest("app", 1, 3), manifest("app", 2, 1), tagged("app", "child", 1), tagged("app", "index", 2),
		manifest("web", 1), manifest("self", 4, 4),
		files("1", file("a", 1)), renewed(filesKey("1"), "standard"), files("2", file("a", 2)), sealed("2", 2, 1))...)...)
	refused(t, other, "an unknown one", expired(filesKey("3"), 1))
	refused(t, other, "an earlier revision", expired(filesKey("1"), 1))
	refused(t, other, "a later revision", expired(filesKey("1"), 3))
	refused(t, other, "the child of an index", expired(manifestKey("app", 1), 1))
	mustAppend(t, r, by("gateway", expired(manifestKey("web", 1), 1))...) // named, but in another repository
	// A package of files that has the manifest as a file does not keep the package, nor does one that names itself.
	mustAppend(t, r, by("gateway", expired(manifestKey("self", 4), 1), expired(manifestKey("app", 2), 1), expired(manifestKey("app", 1), 1))...)
	for _, k := range []registry.PackageKey{manifestKey("web", 1), manifestKey("self", 4), manifestKey("app", 1), manifestKey("app", 2)} {
		_, err := other.Package(t.Context(), k)
		wantError(t, "expired "+k.String(), err, fs.ErrNotExist)
	}
	diff(t, "tags of what has expired", all(t, "Tags", other.Tags(t.Context(), "app", "")), []registry.Tag{})
	diff(t, "repositories", all(t, "Repositories", other.Repositories(t.Context(), "")), []string{})
	if got := mustBlob(t, other, blob(1)).References; got != 1 {
		t.Errorf("%d references, want 1", got)
	}
	agrees(t, other)
	mustAppend(t, r, by("gateway", expired(filesKey("1"), 2), expired(filesKey("2"), 2))...)
	refused(t, other, "twice", expired(filesKey("1"), 2))
	agrees(t, other)
}
