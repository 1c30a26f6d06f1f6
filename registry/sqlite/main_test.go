package sqlite

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// TestMain is also the program of the processes that the tests start.
func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" && os.Getenv(childFails) != "" {
		os.Exit(childThatFails(path))
	} else if path != "" {
		os.Exit(child(path))
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, path string) *Registry {
	t.Helper()
	r, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// blob is the identity of a made-up blob.
func blob(n uint64) digest.Identity {
	sum := func(kind string) []byte {
		s := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(kind), n))
		return s[:]
	}
	return digest.Identity{
		SHA256: digest.New(digest.SHA256, sum("sha256")),
		BLAKE3: digest.New(digest.BLAKE3, sum("blake3")),
		Size:   int64(n % 1000),
	}
}

// put are the events of a new blob's upload.
func put(n uint64) []registry.Event {
	b := blob(n)
	return []registry.Event{
		{Actor: "ci", Data: registry.BlobStored{SHA256: b.SHA256, BLAKE3: b.BLAKE3, Size: b.Size}},
		{Actor: "ci", Data: registry.LocationRecorded{Blob: b.SHA256, BackendID: "local"}},
		{Actor: "ci", Data: registry.BlobLeased{Blob: b.SHA256, Producer: "ci", RetentionClass: "standard", Until: registry.Forever}},
	}
}

// push are the events of a push of manifest n to a repository, which is a
// file of its own too, with a tag. The blob is stored.
func push(repository string, n uint64) []registry.Event {
	manifest := blob(n).SHA256
	return []registry.Event{
		{Actor: "ci", Data: registry.PackageCreated{
			Package: manifestKey(repository, manifest), Format: registry.FormatOCI, RetentionClass: "standard",
			Labels: map[string]string{"channel": "stable"}, Manifest: manifest,
			Files: []registry.File{{Path: blob(n).SHA256.String(), Blob: blob(n).SHA256}},
			OCI: &registry.OCI{
				MediaType: "application/vnd.oci.image.manifest.v1+json", ArtifactType: "application/spdx+json",
				Subject: blob(0).SHA256.String(), Annotations: map[string]string{"created": "today"},
			},
		}},
		{Actor: "ci", Data: registry.TagSet{Repository: repository, Tag: fmt.Sprintf("v%05d", n), Manifest: manifest}},
	}
}

// publish are the events of a package of format files: created, filled with blobs,
// one taken out again, and sealed with the first as its manifest. All are stored.
func publish(version string, blobs ...uint64) []registry.Event {
	k := registry.PackageKey{Producer: "ci", Name: "tool", Version: version}
	events := []registry.Event{{Actor: "ci", Data: registry.PackageCreated{
		Package: k, Format: registry.FormatFiles, RetentionClass: "standard", Labels: map[string]string{"channel": "stable"},
	}}}
	for _, n := range append(blobs, blobs[0]) {
		events = append(events, registry.Event{Actor: "ci", Data: registry.PackageFileAdded{
			Package: k, Path: fmt.Sprintf("bin/%d", n), Blob: blob(n).SHA256,
		}})
	}
	return append(events,
		registry.Event{Actor: "ci", Data: registry.PackageFileRemoved{Package: k, Path: fmt.Sprintf("bin/%d", blobs[0])}},
		registry.Event{Actor: "ci", Data: registry.PackageSealed{Package: k, Manifest: blob(blobs[0]).SHA256, Revision: int64(len(blobs) + 3)}})
}

// rows runs a query on a connection of its own, as any other program would.
func rows(t *testing.T, path, sql string, args ...driver.Value) (all [][]driver.Value) {
	t.Helper()
	c := outside(t, path)
	defer c.close()
	err := c.query(t.Context(), sql, func(row []driver.Value) error {
		all = append(all, append([]driver.Value(nil), row...))
		return nil
	}, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return all
}

// script runs statements on a connection of its own.
func script(t *testing.T, path, sql string) error {
	t.Helper()
	c := outside(t, path)
	defer c.close()
	return c.script(t.Context(), sql)
}

func outside(t *testing.T, path string) *conn {
	t.Helper()
	c, err := dial(path, 0, "busy_timeout(10000)", "foreign_keys(1)")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// check checks a registry and returns the problems.
func check(t *testing.T, r *Registry) registry.Report {
	t.Helper()
	report, err := r.Check(t.Context(), nil)
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	return report
}

// mustAppend appends events that fit.
func mustAppend(t *testing.T, r *Registry, events ...registry.Event) uint64 {
	t.Helper()
	last, err := r.Append(t.Context(), events...)
	if err != nil {
		t.Fatal(err)
	}
	return last
}
