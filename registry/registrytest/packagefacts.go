package registrytest

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"testing"

	"artifactstore/registry"
)

// filesKey is the key of the n-th version of a package of files.
func filesKey(version string) registry.PackageKey {
	return registry.PackageKey{Producer: "ci", Name: "tool", Version: version}
}

// manifestKey is the key of a repository's manifest, which is the n-th blob.
func manifestKey(repository string, n int) registry.PackageKey {
	producer, _, _ := strings.Cut(repository, "/")
	return registry.PackageKey{Producer: producer, Name: repository, Version: blob(n).String()}
}

// file is the n-th blob at a path.
func file(path string, n int) registry.File { return registry.File{Path: path, Blob: blob(n)} }

// files creates a package of files.
func files(version string, list ...registry.File) registry.PackageCreated {
	return registry.PackageCreated{
		Package: filesKey(version), Format: registry.FormatFiles, RetentionClass: "standard", Files: list,
	}
}

// manifest creates a manifest, the n-th blob, which names others.
func manifest(repository string, n int, names ...int) registry.PackageCreated {
	d := registry.PackageCreated{
		Package: manifestKey(repository, n), Format: registry.FormatOCI, RetentionClass: "standard",
		OCI: &registry.OCI{MediaType: "application/vnd.oci.image.manifest.v1+json"}, Manifest: blob(n),
	}
	for _, name := range names {
		d.Files = append(d.Files, file(blob(name).String(), name))
	}
	slices.SortFunc(d.Files, func(a, b registry.File) int { return cmp.Compare(a.Path, b.Path) })
	return d
}

// saying changes what a manifest says of itself.
func saying(d registry.PackageCreated, change func(*registry.OCI)) registry.PackageCreated {
	oci := *d.OCI
	change(&oci)
	d.OCI = &oci
	return d
}

func added(version, path string, n int) registry.PackageFileAdded {
	return registry.PackageFileAdded{Package: filesKey(version), Path: path, Blob: blob(n)}
}

func takenOut(version, path string) registry.PackageFileRemoved {
	return registry.PackageFileRemoved{Package: filesKey(version), Path: path}
}

// sealed seals a package of files at a revision with the n-th blob as manifest.
func sealed(version string, n int, revision int64) registry.PackageSealed {
	return registry.PackageSealed{Package: filesKey(version), Manifest: blob(n), Revision: revision}
}

func renewed(k registry.PackageKey, class string) registry.PackageRenewed {
	return registry.PackageRenewed{Package: k, RetentionClass: class}
}

func deleted(k registry.PackageKey) registry.PackageDeleted {
	return registry.PackageDeleted{Package: k}
}

func tagged(repository, tag string, n int) registry.TagSet {
	return registry.TagSet{Repository: repository, Tag: tag, Manifest: blob(n)}
}

func untagged(repository, tag string) registry.TagRemoved {
	return registry.TagRemoved{Repository: repository, Tag: tag}
}

// located returns the events of blobs that are stored, each with its SHA-512, and
// kept by nothing.
func located(ns ...int) []registry.Event {
	var events []registry.Event
	for _, n := range ns {
		events = append(events, by("ci", withSHA512(stored(n)), recorded(n, "local"))...)
	}
	return events
}

// step appends one event and returns its record.
func step(t *testing.T, r registry.Registry, d registry.Data) registry.Record {
	t.Helper()
	last := mustAppend(t, r, by("ci", d)...)
	return records(t, r, last-1)[0]
}

func mustPackage(t *testing.T, r registry.Registry, k registry.PackageKey) registry.Package {
	t.Helper()
	p, err := r.Package(t.Context(), k)
	if err != nil {
		t.Fatalf("Package(%s): %v", k, err)
	}
	return p
}

// reporter is a test or a random one.
type reporter interface {
	Helper()
	Errorf(string, ...any)
	Fatalf(string, ...any)
}

// all walks a list to its end.
func all[T any](t reporter, what string, list iter.Seq2[T, error]) []T {
	t.Helper()
	var found []T
	for entry, err := range list {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		found = append(found, entry)
	}
	return found
}

// paged walks a list n entries at a time, each time from the key of the last.
func paged[T any](t reporter, what string, n int, list func(after string) iter.Seq2[T, error], key func(T) string) []T {
	t.Helper()
	var found []T
	after := ""
	for {
		some := 0
		for entry, err := range list(after) {
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			found, after = append(found, entry), key(entry)
			if some++; some == n {
				break
			}
		}
		if some < n {
			return found
		}
	}
}

// tricky are names whose order is that of their bytes in no language.
var tricky = []string{"A", "B", "Z", "_", "a", "a-b", "a.b", "a/b", "a/b/c", "a0", "aB", "a_b", "aa", "ab", "b", "z"}
