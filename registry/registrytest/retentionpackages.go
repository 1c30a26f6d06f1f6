package registrytest

import (
	"fmt"
	"testing"

	"artifactstore/registry"
)

// testListPackages lists keys of which each part is tricky.
func testListPackages(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, located(1, 2)...)
	parts := []string{"A", "a", "a-b", "a.b", "a0", "a_b"}
	for i, producer := range parts {
		for j, name := range parts {
			d := registry.PackageCreated{Package: registry.PackageKey{Producer: producer, Name: name, Version: parts[(i+j)%len(parts)]},
				Format: registry.FormatFiles, RetentionClass: []string{"standard", "release"}[j%2]}
			mustAppend(t, r, by("ci", d)...)
			d.Package.Version = "1"
			mustAppend(t, r, by("ci", d, registry.PackageSealed{Package: d.Package, Manifest: blob(1), Revision: 1})...)
		}
		mustAppend(t, r, by("ci", manifest(producer, 1), manifest(producer, 2), manifest(producer+"/x", 1))...)
	}
	c := keeper{t, t.Context(), other, replay(t, records(t, r, 0))}
	for _, f := range []registry.PackageFilter{
		{}, {Producer: "a"}, {Producer: "a", Name: "a-b"}, {Name: "a.b"}, {Format: registry.FormatOCI}, {Format: registry.FormatFiles, State: registry.Sealed},
		{State: registry.Open}, {RetentionClass: "release"}, {Producer: "a", Format: registry.FormatOCI}, {Producer: "b"}, {Labels: map[string]string{"a": ""}},
	} {
		want := c.model.ListPackages(f, registry.PackageKey{})
		for _, limit := range []int{1, 7, 1000} {
			diff(t, fmt.Sprintf("%d of %+v", limit, f), listPackages(t, c, f, registry.PackageKey{}, limit), want)
		}
	}
	for _, p := range c.model.ListPackages(registry.PackageFilter{}, registry.PackageKey{}) {
		diff(t, "ListPackages after "+p.String(), listPackages(t, c, registry.PackageFilter{}, p.PackageKey, 50),
			c.model.ListPackages(registry.PackageFilter{}, p.PackageKey))
	}
}

func testListByLabels(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	for i := range 24 {
		d := files(fmt.Sprint(i))
		d.Labels = map[string]string{"os": []string{"linux", "mac", "Linux", ""}[i%4], "n": fmt.Sprint(i % 3)}
		if i%6 == 0 {
			delete(d.Labels, "os")
		}
		mustAppend(t, r, by("ci", d)...)
	}
	mustAppend(t, r, by("ci", deleted(filesKey("5")))...)
	c := keeper{t, t.Context(), other, replay(t, records(t, r, 0))}
	for _, f := range []registry.PackageFilter{
		{Labels: map[string]string{"os": "linux"}}, {Labels: map[string]string{"os": "LINUX"}}, {Labels: map[string]string{"os": ""}},
		{Labels: map[string]string{"os": "mac", "n": "1"}}, {Labels: map[string]string{"os": "mac", "n": "9"}}, {Labels: map[string]string{"n": "2"}},
		{Producer: "ci", Labels: map[string]string{"os": "mac"}}, {Producer: "ann", Labels: map[string]string{"os": "mac"}}, {Labels: map[string]string{"s": "x"}},
	} {
		want := c.model.ListPackages(f, registry.PackageKey{})
		for _, limit := range []int{1, 2, 100} {
			diff(t, fmt.Sprintf("%d of %+v", limit, f), listPackages(t, c, f, registry.PackageKey{}, limit), want)
		}
		if len(want) > 1 {
			diff(t, "after the first", listPackages(t, c, f, want[0].PackageKey, 2), want[1:])
		}
	}
}

func testReferencesOf(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, located(1, 2, 3)...)
	for i, version := range shuffled() {
		if version != "a/b" && version != "a/b/c" {
			mustAppend(t, r, by("ci", files(version, file("a", 1), file("b", 1), file("c", 2+i%2)))...)
		}
	}
	mustAppend(t, r, by("ci", manifest("app", 1), manifest("app", 2, 1, 2), files("sealed", file("z", 1)), sealed("sealed", 1, 1),
		files("gone", file("a", 1)), deleted(filesKey("gone")))...)
	mustAppend(t, r, by("ci", held(manifestKey("app", 2), "law", manifestKey("app", 1)), held(manifestKey("app", 1), "case"),
		held(manifestKey("app", 1), "law"))...)
	m := replay(t, records(t, r, 0))
	for n := 1; n <= 4; n++ {
		want := m.References(blob(n))
		for _, limit := range []int{0, 1, 2, len(want), 1000} {
			got, err := other.References(t.Context(), blob(n), limit)
			if err != nil || len(got) != min(limit, len(want)) {
				t.Fatalf("%d references of blob %d: %d, %v; there are %d", limit, n, len(got), err, len(want))
			}
			diff(t, "those of them", got, among(want, got))
		}
	}
}

// among returns the wanted references that were got, each as often and in the order
// in which they are wanted.
func among(want, got []registry.Reference) []registry.Reference {
	left := map[string]int{}
	for _, ref := range got {
		left[ref.PackageKey.String()+" "+ref.Path]++
	}
	var found []registry.Reference
	for _, ref := range want {
		if what := ref.PackageKey.String() + " " + ref.Path; left[what] > 0 {
			left[what]--
			found = append(found, ref)
		}
	}
	return found
}
