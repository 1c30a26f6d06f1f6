package postgres_test

import (
	"context"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
	"artifactstore/registry/postgres"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

const repository = "team/app"

func tool(version string) registry.PackageKey {
	return registry.PackageKey{Producer: "ci", Name: "tool", Version: version}
}

func drawnBlob(t *rapid.T) digest.Digest {
	return identity(7, rapid.IntRange(1, 3).Draw(t, "blob")).SHA256
}

// drawKey draws one of two packages of files, or one of three manifests.
func drawKey(t *rapid.T) registry.PackageKey {
	if rapid.Bool().Draw(t, "manifest") {
		return registry.PackageKey{Producer: "team", Name: repository, Version: drawnBlob(t).String()}
	}
	return tool(rapid.SampledFrom([]string{"1", "2"}).Draw(t, "version"))
}

// drawPackageEvent draws an event that a group applies by itself. Times are left out
// of what it demands: the model that decides has another clock.
func drawPackageEvent(t *rapid.T) registry.Data {
	k, file := drawKey(t), drawnBlob(t)
	version := tool(rapid.SampledFrom([]string{"1", "2"}).Draw(t, "version"))
	revision := rapid.Int64Range(1, 3).Draw(t, "revision")
	switch rapid.IntRange(0, 12).Draw(t, "kind of package event") {
	case 0, 1:
		return drawCreated(k, file)
	case 2:
		return registry.PackageFileAdded{Package: version, Path: "b", Blob: file}
	case 3:
		return registry.PackageFileRemoved{Package: version, Path: "b"}
	case 4:
		return registry.PackageSealed{Package: version, Manifest: file, Revision: revision}
	case 5:
		return registry.PackageRenewed{Package: k, RetentionClass: "release"}
	case 6:
		return registry.PackageDeleted{Package: k}
	case 7:
		return registry.PackageExpired{Package: k, Revision: revision, RetentionClass: "standard"}
	case 8:
		return registry.PackageHeld{Package: k, Hold: "case", Covers: others(k)}
	case 9:
		return registry.PackageReleased{Package: k, Hold: "case"}
	case 10, 11:
		return registry.TagSet{Repository: repository, Tag: "latest", Manifest: file}
	}
	return registry.TagRemoved{Repository: repository, Tag: "latest"}
}

func drawCreated(k registry.PackageKey, file digest.Digest) registry.PackageCreated {
	d := registry.PackageCreated{Package: k, Format: registry.FormatFiles, RetentionClass: "standard", Labels: map[string]string{"a": "b"},
		Files: []registry.File{{Path: "a", Blob: file}, {Path: "b", Blob: file}}}
	if manifest, err := digest.Parse(k.Version); err == nil {
		d.Format, d.Manifest, d.OCI = registry.FormatOCI, manifest, &registry.OCI{MediaType: "application/json"}
	}
	return d
}

// others are what a hold on a package covers.
func others(k registry.PackageKey) []registry.PackageKey {
	if k == tool("1") {
		return []registry.PackageKey{tool("2")}
	}
	return nil
}

// drawRemovalEvent draws an event of a removal, or one that a removal may forbid.
func drawRemovalEvent(t *rapid.T, backend string) registry.Data {
	blob := drawnBlob(t)
	seen := rapid.SampledFrom([]uint64{0, 1, 5, 10, 20, 40}).Draw(t, "seen")
	switch rapid.IntRange(0, 7).Draw(t, "kind of removal event") {
	case 0, 1:
		cause := rapid.SampledFrom([]registry.Cause{registry.Unneeded, registry.Moved, registry.Orphan}).Draw(t, "cause")
		return registry.LocationRemoving{Blob: blob, BackendID: backend, Cause: cause}
	case 2:
		return registry.LocationRemoved{Blob: blob, BackendID: backend}
	case 3:
		return registry.BlobCollected{Blob: blob, IdleSince: time.Unix(0, 0).UTC()}
	case 4, 5:
		return registry.LocationRecorded{Blob: blob, BackendID: backend, Seen: seen}
	case 6:
		return registry.LocationRepaired{Blob: blob, BackendID: backend, Source: "push", Seen: seen}
	}
	return registry.LocationVerified{Blob: blob, BackendID: backend, RecordedAt: time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)} // of no write here
}

// drawTokenEvent draws an event of a token, of which ids and hashes are few.
func drawTokenEvent(t *rapid.T) registry.Data {
	id := rapid.SampledFrom([]string{"t1", "t2"}).Draw(t, "token")
	if rapid.Bool().Draw(t, "revoke") {
		return registry.TokenRevoked{ID: id}
	}
	return registry.TokenCreated{ID: id, Principal: "ci", SHA256: drawnBlob(t), Grants: []string{"pull:*"}}
}

// compareKeeping compares what keeps what, and tokens, with the model of the log.
func compareKeeping(t fataler, ctx context.Context, r *postgres.Registry, m *registry.Model) {
	same := func(what string, got, want any, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmp.Comparer(sameDigest), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-model +views):\n%s", what, d)
		}
	}
	packages, _, err := r.ListPackages(ctx, registry.PackageFilter{}, registry.PackageKey{}, 100)
	same("packages", packages, m.ListPackages(registry.PackageFilter{}, registry.PackageKey{}), err)
	for _, p := range packages {
		holds, err := r.Holds(ctx, p.PackageKey)
		same("holds", holds, m.Holds(p.PackageKey), err)
		var files []registry.PackageFile
		for f, err := range r.Files(ctx, p.PackageKey, "") {
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		same("files", files, m.Files(p.PackageKey, ""), nil)
	}
	var tags []registry.Tag
	for tag, err := range r.Tags(ctx, repository, "") {
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag)
	}
	same("tags", tags, m.Tags(repository, ""), nil)
	for _, backend := range []string{"local", "far"} {
		removals, err := r.Removals(ctx, backend, digest.Digest{}, 100)
		same("removals", removals, m.Removals(backend, digest.Digest{}, 100), err)
	}
	tokens, err := r.Tokens(ctx, "", 100)
	same("tokens", tokens, m.Tokens("", 100), err)
	idle, _, err := r.Collectable(ctx, registry.Forever, 0, digest.Digest{}, 100)
	same("collectable", idle, m.Collectable(registry.Forever, 0, digest.Digest{}), err)
}
