package registrytest

import (
	"fmt"
	"io/fs"
	"testing"

	"artifactstore/registry"
)

func testPackageCreated(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	_, err := r.Package(t.Context(), filesKey("1"))
	wantError(t, "unknown package", err, fs.ErrNotExist)
	mustAppend(t, r, located(1, 2, 3)...)

	d := files("1", file("a", 1), file("b/c", 2), file("b/d", 1))
	d.Labels = map[string]string{"os": "linux", "note": ""}
	at := step(t, r, d).Time
	want := registry.Package{
		PackageKey: d.Package, Format: registry.FormatFiles, State: registry.Open, RetentionClass: "standard",
		Labels: d.Labels, Revision: 1, CreatedAt: at, ChangedAt: at,
	}
	diff(t, "package of files", mustPackage(t, other, d.Package), want)
	diff(t, "its files", filesOf(t, other.Files(t.Context(), d.Package, "")), d.Files)

	m := saying(manifest("team/app", 3, 1, 2), func(o *registry.OCI) {
		o.ArtifactType, o.Subject, o.Named = "application/spdx+json", stored(9).BLAKE3.String(), withSHA512(stored(3)).SHA512
		o.Annotations = map[string]string{"text": "a\nb\x00 \u2028<&>", "": "", "empty": ""}
	})
	m.Labels = map[string]string{"a": "b"}
	at = step(t, r, m).Time
	want = registry.Package{
		PackageKey: m.Package, Format: registry.FormatOCI, State: registry.Sealed, RetentionClass: "standard", Labels: m.Labels,
		OCI: m.OCI, Manifest: blob(3), Revision: 1, CreatedAt: at, ChangedAt: at,
	}
	diff(t, "manifest", mustPackage(t, other, m.Package), want)
	diff(t, "what it names", filesOf(t, other.Files(t.Context(), m.Package, "")), m.Files)
	for _, k := range []registry.PackageKey{filesKey("2"), {Producer: "ci", Name: "tools", Version: "1"},
		{Producer: "ci-2", Name: "tool", Version: "1"}, manifestKey("team", 3), manifestKey("team/app", 1)} {
		_, err := other.Package(t.Context(), k)
		wantError(t, k.String(), err, fs.ErrNotExist)
	}
	agrees(t, other)
}

// testPackageOfManyFiles creates more files than a statement has parameters.
func testPackageOfManyFiles(t *testing.T, db *database) {
	r := db.open()
	mustAppend(t, r, located(1, 2)...)
	const n = 5000
	list := make([]registry.File, n)
	for i := range list {
		list[i] = file(fmt.Sprintf("%05d", i), 1+i%2)
	}
	mustAppend(t, r, by("ci", files("1", list...))...)
	diff(t, "Files", filesOf(t, r.Files(t.Context(), filesKey("1"), "")), list)
	if got := mustBlob(t, r, blob(1)).References; got != n/2 {
		t.Errorf("%d references, want %d", got, n/2)
	}
	mustAppend(t, r, by("ci", deleted(filesKey("1")))...)
	agrees(t, r)
}

// packageBeginning fills a registry for [packageMisfits]: blobs 1 to 4 are stored, 5 has
// no location, 6 and 7 a failed one, blobs from 8 on are unknown.
func packageBeginning() []registry.Event {
	events := located(1, 2, 3, 4)
	return append(events, by("ci", stored(5), stored(6), recorded(6, "local"), failed(6, "local"),
		stored(7), recorded(7, "local"), failed(7, "local"),
		files("open", file("a", 1)), files("sealed", file("a", 1)), sealed("sealed", 2, 1),
		manifest("team/app", 1, 2), manifest("team/web", 3), tagged("team/app", "latest", 1))...)
}

func packageMisfits() map[string]registry.Data {
	return map[string]registry.Data{
		"created again":                       files("open", file("a", 1)),
		"sealed one created again":            files("sealed"),
		"manifest created again":              manifest("team/app", 1, 2),
		"created with an unknown blob":        files("new", file("a", 1), file("b", 8)),
		"created without a location":          files("new", file("a", 5)),
		"created without a stored location":   files("new", file("a", 6)),
		"manifest that is unknown":            manifest("team/app", 8),
		"manifest without a location":         manifest("team/app", 5),
		"manifest without a stored location":  manifest("team/app", 6),
		"manifest that names an unknown blob": manifest("team/app", 2, 8),
		"manifest that names a failed blob":   manifest("team/app", 2, 1, 7),
		"file of an unknown package":          added("new", "a", 1),
		"file of a sealed package":            added("sealed", "b", 1),
		"file of a manifest":                  registry.PackageFileAdded{Package: manifestKey("team/app", 1), Path: "b", Blob: blob(1)},
		"file that is unknown":                added("open", "b", 8),
		"file without a location":             added("open", "b", 5),
		"file without a stored location":      added("open", "a", 6),
		"removal from an unknown package":     takenOut("new", "a"),
		"removal from a sealed package":       takenOut("sealed", "a"),
		"removal from a manifest":             registry.PackageFileRemoved{Package: manifestKey("team/app", 1), Path: blob(2).String()},
		"removal of a file not there":         takenOut("open", "b"),
		"removal of a longer path":            takenOut("open", "a/a"),
		"seal of an unknown package":          sealed("new", 1, 1),
		"seal of a sealed package":            sealed("sealed", 2, 2),
		"seal of a manifest":                  registry.PackageSealed{Package: manifestKey("team/app", 1), Manifest: blob(1), Revision: 1},
		"seal of a later revision":            sealed("open", 2, 2),
		"seal with an unknown manifest":       sealed("open", 8, 1),
		"seal without a location":             sealed("open", 5, 1),
		"seal without a stored location":      sealed("open", 6, 1),
		"renewal of an unknown package":       renewed(filesKey("new"), "standard"),
		"renewal from another class":          registry.PackageRenewed{Package: filesKey("open"), RetentionClass: "release", Was: "ephemeral"},
		"renewal in another repository":       renewed(manifestKey("team/web", 1), "standard"),
		"deletion of an unknown package":      deleted(filesKey("new")),
		"deletion in another repository":      deleted(manifestKey("team/web", 1)),
		"tag of an unknown blob":              tagged("team/app", "new", 8),
		"tag of a blob that is no manifest":   tagged("team/app", "new", 2),
		"tag of another repository's":         tagged("team/app", "new", 3),
		"tag moved to another repository's":   tagged("team/app", "latest", 3),
		"tag of an unknown repository":        tagged("team", "latest", 1),
		"removal of an unknown tag":           untagged("team/app", "new"),
		"removal of a tag in other letters":   untagged("team/app", "Latest"),
		"removal of another repository's tag": untagged("team/web", "latest"),
	}
}

func testPackageConflicts(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, packageBeginning()...)
	before := whole(t, r)
	fits := by("ci", files("fits", file("a", 1), file("b", 4)), renewed(filesKey("open"), "release"), tagged("team/web", "fits", 3),
		untagged("team/app", "latest"), deleted(manifestKey("team/app", 1)))
	for what, misfit := range packageMisfits() {
		_, err := other.Append(t.Context(), by("ci", misfit)...)
		wantError(t, what, err, registry.ErrConflict)
		_, err = r.Append(t.Context(), by("ci", files("fits", file("a", 1)), tagged("team/web", "fits", 3), untagged("team/app", "latest"), misfit)...)
		wantError(t, what+", behind what fits", err, registry.ErrConflict)
		_, err = r.Append(t.Context(), append(by("ci", misfit), fits...)...)
		wantError(t, what+", before what fits", err, registry.ErrConflict)
	}
	diff(t, "after conflicts", whole(t, r), before)
	agrees(t, other)
	mustAppend(t, r, fits...)
	agrees(t, r)
}

// testPackageConflictsWithinOneAppend appends events that fit, or do not, only
// because of earlier ones of the same call.
func testPackageConflictsWithinOneAppend(t *testing.T, db *database) {
	r := db.open()
	mustAppend(t, r, located(1, 2)...)
	for what, call := range map[string][]registry.Data{
		"created twice":             {files("1"), files("1")},
		"created before it stored":  {manifest("app", 3), stored(3), recorded(3, "local")},
		"created after it failed":   {failed(1, "local"), files("1", file("a", 1))},
		"added before created":      {added("1", "a", 1), files("1")},
		"added after it was sealed": {files("1"), sealed("1", 2, 1), added("1", "a", 1)},
		"sealed as it was before":   {files("1"), added("1", "a", 1), sealed("1", 2, 1)},
		"removed twice":             {files("1", file("a", 1)), takenOut("1", "a"), takenOut("1", "a")},
		"deleted twice":             {files("1"), deleted(filesKey("1")), deleted(filesKey("1"))},
		"renewed after deletion":    {files("1"), deleted(filesKey("1")), renewed(filesKey("1"), "release")},
		"tagged before it is there": {tagged("app", "a", 1), manifest("app", 1)},
		"tagged after deletion":     {manifest("app", 1), deleted(manifestKey("app", 1)), tagged("app", "a", 1)},
		"tag gone with a manifest":  {manifest("app", 1), tagged("app", "a", 1), deleted(manifestKey("app", 1)), untagged("app", "a")},
	} {
		_, err := r.Append(t.Context(), by("ci", call...)...)
		wantError(t, what, err, registry.ErrConflict)
	}
	agrees(t, r)
	mustAppend(t, r, by("ci", stored(3), recorded(3, "local"), manifest("app", 3, 1), tagged("app", "a", 3), deleted(manifestKey("app", 3)),
		manifest("app", 3, 2), tagged("app", "a", 3), untagged("app", "a"), tagged("app", "b", 3),
		files("1", file("a", 1)), added("1", "a", 2), added("1", "b", 2), takenOut("1", "a"), sealed("1", 3, 4), failed(2, "local"))...)
	agrees(t, r)
}

// testPackageChanges changes a package in every way and looks at it each time.
func testPackageChanges(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, located(1, 2, 3)...)
	k := filesKey("1")
	want := registry.Package{PackageKey: k, Format: registry.FormatFiles, State: registry.Open, RetentionClass: "standard"}
	want.CreatedAt = step(t, r, files("1", file("b", 1))).Time
	want.Revision, want.ChangedAt = 1, want.CreatedAt
	change := func(d registry.Data, list ...registry.File) {
		t.Helper()
		want.ChangedAt = step(t, r, d).Time
		want.Revision++
		diff(t, d.Type(), mustPackage(t, other, k), want)
		diff(t, "files after "+d.Type(), filesOf(t, other.Files(t.Context(), k, "")), list)
	}
	change(added("1", "a", 2), file("a", 2), file("b", 1))
	change(added("1", "b", 2), file("a", 2), file("b", 2)) // takes the place
	change(added("1", "b", 2), file("a", 2), file("b", 2)) // the same again is a change too
	change(takenOut("1", "a"), file("b", 2))
	want.RetentionClass = "release"
	change(renewed(k, "release"), file("b", 2))
	change(renewed(k, "release"), file("b", 2))
	_, err := other.Append(t.Context(), by("ci", sealed("1", 3, want.Revision-1))...)
	wantError(t, "seal of an earlier revision", err, registry.ErrConflict)
	want.State, want.Manifest = registry.Sealed, blob(3)
	change(sealed("1", 3, want.Revision), file("b", 2))
	want.RetentionClass = "ephemeral"
	change(registry.PackageRenewed{Package: k, RetentionClass: "ephemeral", Was: "release"}, file("b", 2))

	m := manifest("app", 1, 2)
	created := step(t, r, m).Time
	renewal := step(t, r, renewed(m.Package, "release")).Time
	p := mustPackage(t, other, m.Package)
	if p.RetentionClass != "release" || p.Revision != 2 || !p.CreatedAt.Equal(created) || !p.ChangedAt.Equal(renewal) {
		t.Errorf("a renewed manifest: %+v, created at %s, renewed at %s", p, created, renewal)
	}
	agrees(t, other)
}

func testPackageDeleted(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, located(1, 2, 3)...)
	// 1 is a child of the index 2; both are in another repository too.
	mustAppend(t, r, by("ci", manifest("app", 1, 3), manifest("app", 2, 1), manifest("team/app", 1, 3),
		tagged("app", "child", 1), tagged("app", "child-2", 1), tagged("app", "index", 2), tagged("team/app", "child", 1),
		files("1", file("a", 1)), files("2", file("a", 1)))...)
	mustAppend(t, r, by("ann", deleted(manifestKey("app", 1)))...)
	tags := all(t, "Tags", other.Tags(t.Context(), "app", ""))
	if len(tags) != 1 || tags[0].Name != "index" {
		t.Errorf("tags after their manifest was deleted: %+v", tags)
	}
	if got := mustBlob(t, other, blob(1)).References; got != 4 { // index, team/app, two of files
		t.Errorf("%d references to the child, want 4", got)
	}
	_, _, _, err := other.ManifestByTag(t.Context(), "app", "child")
	wantError(t, "tag of a deleted manifest", err, fs.ErrNotExist)
	_, _, err = other.ManifestByDigest(t.Context(), "app", blob(1))
	wantError(t, "deleted manifest", err, fs.ErrNotExist)
	if _, err := other.BlobIn(t.Context(), "app", blob(1), day(1)); err != nil {
		t.Errorf("the index does not show its child as a blob: %v", err)
	}
	if _, _, _, err := other.ManifestByTag(t.Context(), "team/app", "child"); err != nil {
		t.Errorf("another repository's tag: %v", err)
	}
	agrees(t, other)

	mustAppend(t, r, by("ann", deleted(filesKey("1")), deleted(manifestKey("app", 2)))...)
	_, err = other.Package(t.Context(), filesKey("1"))
	wantError(t, "deleted package", err, fs.ErrNotExist)
	diff(t, "Files of a deleted package", filesOf(t, other.Files(t.Context(), filesKey("1"), "")), []registry.File{})
	diff(t, "Repositories", all(t, "Repositories", other.Repositories(t.Context(), "")), []string{"team/app"})
	at := step(t, r, files("1", file("b", 2))).Time // the name is free again
	if p := mustPackage(t, other, filesKey("1")); p.Revision != 1 || !p.CreatedAt.Equal(at) {
		t.Errorf("a package created again: %+v", p)
	}
	agrees(t, other)
}

// testNew puts files and tags where nothing may be replaced.
func testNew(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, located(1, 2, 3)...)
	mustAppend(t, r, by("ci", files("1", file("a", 1)), manifest("app", 1), manifest("app", 2), tagged("app", "latest", 1))...)
	newFile := func(path string, n int) registry.Data {
		d := added("1", path, n)
		d.New = true
		return d
	}
	newTag := func(tag string, n int) registry.Data {
		d := tagged("app", tag, n)
		d.New = true
		return d
	}
	for what, d := range map[string]registry.Data{
		"a file in the place of another":  newFile("a", 2),
		"a tag that names another":        newTag("latest", 2),
		"a tag of a manifest that is not": newTag("new", 3),
	} {
		_, err := other.Append(t.Context(), by("ci", stored(9), d)...)
		wantError(t, what, err, registry.ErrConflict)
	}
	mustAppend(t, r, by("ci", newFile("a", 1), newFile("b", 2), newTag("latest", 1), newTag("new", 2))...)
	_, err := other.Append(t.Context(), by("ci", newFile("c", 1), newFile("c", 2))...)
	wantError(t, "two files at a path in one append", err, registry.ErrConflict)
	_, err = other.Append(t.Context(), by("ci", newTag("two", 1), newTag("two", 2))...)
	wantError(t, "two manifests of a tag in one append", err, registry.ErrConflict)
	agrees(t, other)

	const n = 16 // over two handles, one of each kind comes first
	handles, firstFile, firstTag := []registry.Registry{r, other}, make([]bool, n), make([]bool, n)
	together(n, func(i int) {
		_, err := handles[i%2].Append(t.Context(), by("ci", newFile("once", 1+i/2%2))...)
		if firstFile[i] = err == nil; err != nil {
			wantError(t, "file beside another", err, registry.ErrConflict)
		}
		_, err = handles[i%2].Append(t.Context(), by("ci", newTag("once", 1+i/2%2))...)
		if firstTag[i] = err == nil; err != nil {
			wantError(t, "tag beside another", err, registry.ErrConflict)
		}
	})
	for what, first := range map[string][]bool{"file": firstFile, "tag": firstTag} {
		var did [2]bool
		for i, ok := range first {
			did[i/2%2] = did[i/2%2] || ok
		}
		if did[0] == did[1] {
			t.Errorf("%s: both were put where nothing may be replaced, or neither: %v", what, first)
		}
	}
	agrees(t, other)
}

// testPackagesAtOnce has many create one package, change it and tag over two handles.
func testPackagesAtOnce(t *testing.T, db *database) {
	handles := []registry.Registry{db.open(), db.open()}
	mustAppend(t, handles[0], append(located(1, 2, 3), by("ci", manifest("app", 1), manifest("app", 2))...)...)
	const n = 12
	won := make([]bool, n)
	together(n, func(i int) {
		version := fmt.Sprint(i % 3)
		_, err := handles[i%2].Append(t.Context(), by("ci", files(version, file("a", 1)), tagged("app", "latest", 1+i%2))...)
		if won[i] = err == nil; !won[i] {
			wantError(t, "created beside another", err, registry.ErrConflict)
		}
		if _, err := handles[i%2].Append(t.Context(), by("ci", added(version, fmt.Sprint(i), 3))...); err != nil {
			t.Errorf("file added beside others: %v", err)
		}
	})
	for v := range 3 {
		winners := 0
		for i := v; i < n; i += 3 {
			if won[i] {
				winners++
			}
		}
		if winners != 1 {
			t.Errorf("package %d was created %d times", v, winners)
		}
		if got := mustPackage(t, handles[0], filesKey(fmt.Sprint(v))).Revision; got != 1+n/3 {
			t.Errorf("revision %d, want %d", got, 1+n/3)
		}
	}
	agrees(t, handles[1])
}
