package registrytest

import (
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

func testManifestByTag(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, append(located(1, 2, 3), by("ci", manifest("app", 1, 3), manifest("app", 2), manifest("web", 1))...)...)
	names := func(repository, tag string, want registry.Tag) {
		t.Helper()
		got, p, b, err := other.ManifestByTag(t.Context(), repository, tag)
		if err != nil {
			t.Fatalf("ManifestByTag: %v", err)
		}
		diff(t, "tag", got, want)
		diff(t, "its package", p, mustPackage(t, r, registry.PackageKey{Producer: repository, Name: repository, Version: want.Manifest.String()}))
		diff(t, "its blob", b, mustBlob(t, r, want.Manifest))
	}
	set := func(d registry.TagSet) registry.Tag {
		t.Helper()
		return registry.Tag{Name: d.Tag, Manifest: d.Manifest, Named: d.Named, SetAt: step(t, r, d).Time}
	}
	first := set(tagged("app", "latest", 1))
	names("app", "latest", first)
	upper := set(tagged("app", "LATEST", 2))
	names("app", "latest", first)
	names("app", "LATEST", upper)

	moved := tagged("app", "latest", 2)
	moved.Named = withSHA512(stored(2)).SHA512
	second := set(moved)
	names("app", "latest", second)
	back := set(tagged("app", "latest", 1)) // the name it was pushed by is forgotten
	names("app", "latest", back)
	again := set(tagged("app", "latest", 1)) // to set it again is no conflict
	names("app", "latest", again)
	mustAppend(t, r, by("ci", failed(1, "local"))...)
	names("app", "latest", again)

	for _, unknown := range [][2]string{{"web", "latest"}, {"app", "late"}, {"app", "latest2"}, {"nowhere", "latest"}, {"app", ""}} {
		_, _, _, err := other.ManifestByTag(t.Context(), unknown[0], unknown[1])
		wantError(t, unknown[0]+":"+unknown[1], err, fs.ErrNotExist)
	}
	mustAppend(t, r, by("ann", untagged("app", "latest"))...)
	_, _, _, err := other.ManifestByTag(t.Context(), "app", "latest")
	wantError(t, "removed tag", err, fs.ErrNotExist)
	mustPackage(t, other, manifestKey("app", 1))
	agrees(t, other)
}

func testManifestByDigest(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, append(located(1, 2, 3), by("ci", manifest("app", 1, 2), manifest("web", 3), recorded(1, "far"), failed(1, "local"),
		files("1", file("a", 3)), sealed("1", 2, 1))...)...)
	d := withSHA512(stored(1))
	for _, named := range []digest.Digest{d.SHA256, d.BLAKE3, d.SHA512} {
		p, b, err := other.ManifestByDigest(t.Context(), "app", named)
		if err != nil {
			t.Fatalf("ManifestByDigest(%s): %v", named, err)
		}
		diff(t, "package", p, mustPackage(t, r, manifestKey("app", 1)))
		diff(t, "blob", b, mustBlob(t, r, blob(1)))
	}
	for what, d := range map[string]digest.Digest{
		"a blob that it names": blob(2), "another repository's manifest": blob(3), "an unknown digest": blob(9),
		"the same sum of another algorithm": digest.New(digest.BLAKE3, d.SHA256.Sum()),
	} {
		_, _, err := other.ManifestByDigest(t.Context(), "app", d)
		wantError(t, what, err, fs.ErrNotExist)
	}
	// The sealed package of files has a manifest too, and is in no repository.
	_, _, err := other.ManifestByDigest(t.Context(), "tool", blob(2))
	wantError(t, "manifest of a package of files", err, fs.ErrNotExist)
}

// testManifestPushedWithTags pushes as the engine does: one append, all or nothing.
func testManifestPushedWithTags(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, located(1)...)
	push := append(put("local", 2), by("ci", manifest("team/app", 2, 1), tagged("team/app", "v1", 2), tagged("team/app", "latest", 2))...)
	before := whole(t, r)
	_, err := r.Append(t.Context(), append(slices.Clone(push), by("ci", tagged("team/app", "v2", 1))...)...)
	wantError(t, "push with a tag that does not fit", err, registry.ErrConflict)
	diff(t, "after it", whole(t, r), before)
	_, err = other.Package(t.Context(), manifestKey("team/app", 2))
	wantError(t, "manifest of a refused push", err, fs.ErrNotExist)
	diff(t, "tags of a refused push", all(t, "Tags", other.Tags(t.Context(), "team/app", "")), []registry.Tag{})
	diff(t, "repositories of a refused push", all(t, "Repositories", other.Repositories(t.Context(), "")), []string{})

	mustAppend(t, r, push...)
	for _, tag := range []string{"v1", "latest"} {
		if _, _, b, err := other.ManifestByTag(t.Context(), "team/app", tag); err != nil || b.SHA256 != blob(2) {
			t.Errorf("ManifestByTag(%s): %s, %v", tag, b.SHA256, err)
		}
	}
	agrees(t, other)
}

func testReferrers(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	subject := withSHA512(stored(0))
	spellings := []string{subject.SHA256.String(), subject.BLAKE3.String(), subject.SHA512.String()}
	const n = 20
	for i := 1; i <= n; i++ {
		d := saying(manifest("app", i), func(o *registry.OCI) {
			o.Subject = spellings[i%3]
			o.ArtifactType = []string{"", "a/sig", "a/sbom", "a/sig2"}[i%4]
			o.Annotations = map[string]string{"n": fmt.Sprint(i)}
		})
		mustAppend(t, r, append(located(i), by("ci", d)...)...)
	}
	mustAppend(t, r, append(located(n+1, n+2, n+3), by("ci", manifest("app", n+1),
		saying(manifest("app", n+2), func(o *registry.OCI) { o.Subject = stored(1).SHA256.String() }),
		saying(manifest("app/web", n+3), func(o *registry.OCI) { o.Subject = spellings[0] }))...)...)
	m := replay(t, records(t, r, 0))
	c := comparison{t, t.Context(), other, m}
	for _, repository := range []string{"app", "app/web", "nowhere"} {
		for _, subjects := range [][]string{nil, spellings[:1], spellings[1:2], spellings, {spellings[0], spellings[0]}, {"nothing"}, {stored(1).SHA256.String()}} {
			for _, artifactType := range []string{"", "a/sig", "a/SIG", "a/sbom"} {
				c.referrers(repository, subjects, artifactType)
			}
		}
	}
	want := m.Referrers("app", spellings, "", "")
	if len(want) != n || want[3].Size != mustBlob(t, r, want[3].Manifest).Size {
		t.Fatalf("%d referrers, want %d; one has %d bytes", len(want), n, want[3].Size)
	}
	for i := range want {
		got := all(t, "Referrers", other.Referrers(t.Context(), "app", spellings, "", want[i].Version))
		diff(t, "referrers after one of them", got, want[i+1:])
	}
	mustAppend(t, r, by("ci", deleted(want[0].PackageKey))...)
	diff(t, "without the deleted one", all(t, "Referrers", other.Referrers(t.Context(), "app", spellings, "", "")), want[1:])
}
