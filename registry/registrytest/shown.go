package registrytest

import (
	"fmt"
	"testing"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// testShown shows one blob in every way, each more often than a page has rows.
func testShown(t *testing.T, db *database) {
	r, other := db.keeping(), db.keeping()
	mustAppend(t, r, located(1, 2, 3)...)
	d := withSHA512(stored(1))
	check := func(what string) {
		t.Helper()
		c := keeper{t, t.Context(), other, replay(t, records(t, r, 0))}
		c.shown(mustBlob(t, r, blob(1)))
		c.shown(registry.Blob{Identity: digest.Identity{SHA256: blob(9), BLAKE3: stored(9).BLAKE3}})
		if t.Failed() {
			t.Fatal(what)
		}
	}
	check("stored")
	mustAppend(t, r, by("ci", leased(1, day(5)))...)
	check("leased to one")
	for n := range 7 {
		name := fmt.Sprintf("team/app%d", n%5)
		in := registry.PackageKey{Producer: "team", Name: name[5:], Version: fmt.Sprint(n)}
		mustAppend(t, r, by("ann",
			of(fmt.Sprintf("%s/lease%d", name, n), leased(1, day(2+n%5))),
			manifest(name+"/named", 2+n%2, 1), manifest(fmt.Sprintf("%s/itself%d", name, n), 1),
			registry.PackageCreated{Package: in, Format: registry.FormatFiles, RetentionClass: "standard",
				Files: []registry.File{file("a", 1), file("b", 1)}})...)
		if n == 6 {
			mustAppend(t, r, by("ann", registry.PackageSealed{Package: in, Manifest: blob(1), Revision: 1})...)
		}
	}
	check("in use")
	mustAppend(t, r, by("ci", released(1), outOf("team/app0/lease0", released(1)), deleted(manifestKey("team/app1/itself1", 1)))...)
	check("less")
	got := shown(t, keeper{t, t.Context(), other, nil}, d.BLAKE3, "ci", day(1), 2)
	if n := len(got.Resources); n != 5+5+6+6 || got.Leased {
		t.Errorf("%d resources show it: %v", n, got)
	}
	agrees(t, other)

	// Packages of one name and several producers are sealed with one manifest; many
	// manifests of one repository are one step.
	mustAppend(t, r, located(20, 21)...)
	for n := range 5 {
		in := registry.PackageKey{Producer: fmt.Sprint("p", n), Name: "same", Version: "1"}
		mustAppend(t, r, located(30+n)...)
		mustAppend(t, r, by("ann", registry.PackageCreated{Package: in, Format: registry.FormatFiles, RetentionClass: "standard"},
			registry.PackageSealed{Package: in, Manifest: blob(20), Revision: 1}, manifest("team/many", 30+n, 21))...)
	}
	if got := shown(t, keeper{t, t.Context(), other, nil}, blob(20), "", day(1), 2); len(got.Resources) != 5 {
		t.Errorf("sealed with one manifest: %v", got)
	}
	page, err := other.Shown(t.Context(), blob(21), "", day(1), registry.ShownAfter{}, 3)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "what shows a blob of many manifests", page, registry.Shown{Resources: []string{"team/many"}})
}
