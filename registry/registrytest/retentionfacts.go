package registrytest

import (
	"slices"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// over is when a lease ended that never kept anything: an end in the past.
var over = time.Unix(0, 0).UTC()

// long is a grace, in seconds, that no test lives through.
const long = 1_000_000_000

func held(k registry.PackageKey, hold string, covers ...registry.PackageKey) registry.PackageHeld {
	slices.SortFunc(covers, registry.PackageKey.Compare)
	return registry.PackageHeld{Package: k, Hold: hold, Covers: covers}
}

func letGo(k registry.PackageKey, hold string) registry.PackageReleased {
	return registry.PackageReleased{Package: k, Hold: hold}
}

func expired(k registry.PackageKey, revision int64) registry.PackageExpired {
	return registry.PackageExpired{Package: k, Revision: revision, RetentionClass: "standard"}
}

// unneeded begins the removal of a location after a grace in seconds.
func unneeded(n int, backend string, grace int64) registry.LocationRemoving {
	return registry.LocationRemoving{Blob: blob(n), BackendID: backend, Cause: registry.Unneeded, GraceSeconds: grace}
}

func removing(n int, backend string, cause registry.Cause) registry.LocationRemoving {
	return registry.LocationRemoving{Blob: blob(n), BackendID: backend, Cause: cause}
}

func removed(n int, backend string) registry.LocationRemoved {
	return registry.LocationRemoved{Blob: blob(n), BackendID: backend}
}

func collected(n int, grace int64) registry.BlobCollected {
	return registry.BlobCollected{Blob: blob(n), Size: stored(n).Size, IdleSince: over, GraceSeconds: grace}
}

// refused appends what must be a conflict and change nothing.
func refused(t *testing.T, r registry.Registry, what string, d registry.Data) {
	t.Helper()
	before, err := r.Last(t.Context())
	if err != nil {
		t.Fatalf("Last: %v", err)
	}
	_, err = r.Append(t.Context(), by("ci", d)...)
	wantError(t, what, err, registry.ErrConflict)
	if after, err := r.Last(t.Context()); err != nil || after != before {
		t.Errorf("%s: the log went from %d to %d, %v", what, before, after, err)
	}
}

func holds(t *testing.T, r Keeping, k registry.PackageKey) []registry.Hold {
	t.Helper()
	found, err := r.Holds(t.Context(), k)
	if err != nil {
		t.Fatalf("Holds(%s): %v", k, err)
	}
	return found
}

// listPackages walks a list of packages to its end, limit at a time.
func listPackages(t reporter, c keeper, f registry.PackageFilter, after registry.PackageKey, limit int) []registry.Package {
	t.Helper()
	var found []registry.Package
	for {
		page, next, err := c.reg.ListPackages(c.ctx, f, after, limit)
		if err != nil || len(page) > limit {
			t.Fatalf("ListPackages: %d packages, want %d at most; %v", len(page), limit, err)
		}
		found = append(found, page...)
		if next == (registry.PackageKey{}) {
			return found
		}
		if next.Compare(after) <= 0 || len(page) > 0 && page[len(page)-1].Compare(next) > 0 {
			t.Fatalf("ListPackages after %s goes on after %s", after, next)
		}
		after = next
	}
}

// collectable walks the collectable blobs to their end, limit at a time.
func collectable(t reporter, c keeper, at time.Time, grace time.Duration, after digest.Digest, limit int) []registry.Idle {
	t.Helper()
	var found []registry.Idle
	for {
		page, next, err := c.reg.Collectable(c.ctx, at, grace, after, limit)
		if err != nil || len(page) > limit {
			t.Fatalf("Collectable: %d blobs, want %d at most; %v", len(page), limit, err)
		}
		found = append(found, page...)
		if next.IsZero() {
			return found
		}
		if next.Hex() <= after.Hex() || len(page) > 0 && page[len(page)-1].SHA256.Hex() > next.Hex() {
			t.Fatalf("Collectable after %s goes on after %s", after, next)
		}
		after = next
	}
}
