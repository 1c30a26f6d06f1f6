package registrytest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"testing"

	"artifactstore/registry"
)

// listed compares a list of tricky names, in one go, after every name, and in pages.
func listed[T any](t *testing.T, what string, list func(ctx context.Context, after string) iter.Seq2[T, error], key func(T) string, want []T) {
	t.Helper()
	from := func(after string) iter.Seq2[T, error] { return list(t.Context(), after) }
	diff(t, what, all(t, what, from("")), want)
	for i, entry := range want {
		diff(t, what+" after "+key(entry), all(t, what, from(key(entry))), want[i+1:])
		diff(t, what+" after what is none", all(t, what, from(key(entry)+"!")), want[i+1:])
	}
	for _, n := range []int{1, 3, len(want)} {
		diff(t, what+" in pages", paged(t, what, n, from, key), want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var err error
	for _, e := range list(ctx, "") {
		if err != nil {
			t.Errorf("%s goes on after an error", what)
		}
		err = e
	}
	wantError(t, what+" with a cancelled context", err, context.Canceled)
}

// shuffled is tricky in another order, always the same.
func shuffled() []string {
	mixed := slices.Clone(tricky)
	slices.Reverse(mixed[3:])
	slices.Reverse(mixed[:9])
	return mixed
}

// filesOf returns what a list of files names, without what is known of the blobs.
func filesOf(t *testing.T, seq iter.Seq2[registry.PackageFile, error]) []registry.File {
	t.Helper()
	files := []registry.File{}
	for _, f := range all(t, "Files", seq) {
		files = append(files, registry.File{Path: f.Path, Blob: f.SHA256})
	}
	return files
}

func testFiles(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, located(1, 2)...)
	mustAppend(t, r, by("ci", files("1"), files("10", file("a", 1)), files("2", file("a", 2)))...)
	for i, path := range shuffled() {
		mustAppend(t, r, by("ci", added("1", path, 1+i%2))...)
	}
	var want []registry.File
	for _, path := range tricky {
		want = append(want, file(path, 1+slices.Index(shuffled(), path)%2))
	}
	mustAppend(t, r, by("ci", recorded(1, "far"), leased(2, day(3)), of("app", leased(2, day(2))), failed(2, "local"))...)
	withBlobs := make([]registry.PackageFile, len(want))
	for i, f := range want {
		withBlobs[i] = registry.PackageFile{Path: f.Path, Blob: mustBlob(t, r, f.Blob)}
	}
	listed(t, "Files", func(ctx context.Context, after string) iter.Seq2[registry.PackageFile, error] {
		return other.Files(ctx, filesKey("1"), after)
	}, func(f registry.PackageFile) string { return f.Path }, withBlobs)
	for _, f := range want {
		got, err := other.File(t.Context(), filesKey("1"), f.Path)
		if err != nil || got != f {
			t.Errorf("File %q: %v %v", f.Path, got, err)
		}
	}
	for k, path := range map[registry.PackageKey]string{filesKey("1"): "nowhere", filesKey("3"): want[0].Path} {
		if _, err := other.File(t.Context(), k, path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("File %q of %s: %v", path, k, err)
		}
	}
	diff(t, "Files of an unknown package", filesOf(t, r.Files(t.Context(), filesKey("3"), "")), []registry.File{})
}

func testTags(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, append(located(1, 2), by("ci", manifest("app", 1), manifest("app", 2), manifest("app-2", 1), tagged("app-2", "other", 1))...)...)
	want := make([]registry.Tag, len(tricky))
	for i, name := range shuffled() {
		d := tagged("app", name, 1+i%2)
		want[slices.Index(tricky, name)] = registry.Tag{Name: name, Manifest: d.Manifest, SetAt: step(t, r, d).Time}
	}
	listed(t, "Tags", func(ctx context.Context, after string) iter.Seq2[registry.Tag, error] {
		return other.Tags(ctx, "app", after)
	}, func(tag registry.Tag) string { return tag.Name }, want)
	diff(t, "Tags of an unknown repository", all(t, "Tags", r.Tags(t.Context(), "ap", "")), []registry.Tag{})
}

func testRepositories(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, located(1, 2)...)
	for _, name := range shuffled() {
		mustAppend(t, r, by("ci", manifest(name, 1), manifest(name, 2), deleted(manifestKey(name, 1)))...)
	}
	// Neither a lease nor a package of files makes one, nor do manifests that are gone.
	mustAppend(t, r, by("ci", files("1", file("a", 1)), of("leased", leased(1, day(9))), manifest("gone", 1), deleted(manifestKey("gone", 1)))...)
	listed(t, "Repositories", other.Repositories, func(name string) string { return name }, tricky)
}

// testAppendWhileListing appends within the loops, and looks elsewhere.
func testAppendWhileListing(t *testing.T, db *database) {
	r := db.open()
	mustAppend(t, r, append(located(1), by("ci", files("1", file("b", 1), file("d", 1)), manifest("b", 1), manifest("d", 1),
		tagged("b", "b", 1), tagged("b", "d", 1))...)...)
	n := 0
	more := func(d ...registry.Data) {
		t.Helper()
		if n++; n > 50 {
			t.Fatal("a list does not end")
		}
		mustAppend(t, r, by("ci", d...)...)
	}
	for f, err := range r.Files(t.Context(), filesKey("1"), "") {
		if err != nil {
			t.Fatalf("Files: %v", err)
		}
		more(added("1", "a"+f.Path, 1))
		mustBlob(t, r, f.SHA256)
	}
	for tag, err := range r.Tags(t.Context(), "b", "") {
		if err != nil {
			t.Fatalf("Tags: %v", err)
		}
		more(tagged("b", "a"+tag.Name, 1))
	}
	for name, err := range r.Repositories(t.Context(), "") {
		if err != nil {
			t.Fatalf("Repositories: %v", err)
		}
		more(manifest("a"+name, 1))
	}
	agrees(t, r)
}

func testPackageTotals(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, located(1, 2)...)
	step := func(open, sealed int64, d registry.Data) {
		t.Helper()
		mustAppend(t, r, by("ci", d)...)
		got := totals(t, other).Packages
		diff(t, fmt.Sprintf("Totals.Packages after %s", d.Type()), got,
			withoutZeros(registry.Totals{Packages: map[registry.PackageState]int64{registry.Open: open, registry.Sealed: sealed}}).Packages)
	}
	step(1, 0, files("1"))
	step(2, 0, files("2"))
	step(2, 1, manifest("app", 1))
	step(1, 2, sealed("1", 1, 1))
	step(1, 2, renewed(filesKey("1"), "release"))
	step(1, 1, deleted(filesKey("1")))
	step(0, 1, deleted(filesKey("2")))
	step(0, 0, deleted(manifestKey("app", 1)))
}

// packageHistory fills a registry with something of everything.
func packageHistory(t *testing.T, r registry.Registry) {
	t.Helper()
	mustAppend(t, r, packageBeginning()...)
	for n := range 20 {
		version := fmt.Sprint(n)
		mustAppend(t, r, by("ci", files(version, file("a", 1), file("b", 2)), added(version, "a", 3), takenOut(version, "b"))...)
		mustAppend(t, r, by("ci", sealed(version, 4, 3), renewed(filesKey(version), "release"), tagged("team/app", version, 1))...)
	}
	mustAppend(t, r, by("ci", deleted(filesKey("1")), untagged("team/app", "2"), of("team/app", leased(1, day(9))))...)
}

func testCheckPackages(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	packageHistory(t, r)
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
	mustAppend(t, r, by("ci", added("open", "b", 2), deleted(manifestKey("team/app", 1)), tagged("team/web", "a", 3))...)
	agrees(t, other)
}
