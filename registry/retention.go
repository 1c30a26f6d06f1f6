package registry

import (
	"context"
	"time"

	"artifactstore/cas/digest"
)

// Retention answers what keeps what, and what may go.
//
// A blob is needed at a time t while a file or a manifest of a package refers to
// it, or a lease of it ends later than t. It is idle since the latest of: when
// it was stored, when it lost its last reference, when a lease of it was
// released, and the ends of its leases. It is collectable at t after a grace if it
// is not needed at t and has been idle for the grace: idle + grace <= t. Upload
// sessions do not count: a session has no blob before it ends.
type Retention interface {
	// ListPackages returns at most limit packages that pass a filter and whose keys
	// sort after a key (the zero key: from the start), in the order of keys:
	// producer, then name, then version, each in byte order. It reads a bounded
	// number of rows, however many there are: a page may be short, or empty, and
	// yet not be the last. Next is where to go on; zero says that nothing is left.
	ListPackages(ctx context.Context, f PackageFilter, after PackageKey, limit int) (page []Package, next PackageKey, err error)
	// Holds returns the holds on a package, those that cover it too, in the order
	// of their roots and names; none for an unknown one.
	Holds(ctx context.Context, k PackageKey) ([]Hold, error)
	// References returns at most limit of what refers to a blob, in the order of
	// packages, then of paths; none for an unknown one. Of more than limit it is not
	// said which: a blob may have a million, and the cost does not depend on that.
	// Blob has their number.
	References(ctx context.Context, blob digest.Digest, limit int) ([]Reference, error)
	// LeasesOf returns at most limit leases of a blob, those that have ended too: the
	// latest end first, then by repository, then by actor; none for an unknown blob.
	LeasesOf(ctx context.Context, blob digest.Digest, limit int) ([]Lease, error)
	// Shown returns a page of what shows a blob, found by any of its digests, to
	// whom, at a time: nothing of an unknown one, for which it does the same work as for
	// one that little shows. A page reads at most limit rows in each of four places,
	// however often the blob is needed; it may hold more resources than limit, or none.
	Shown(ctx context.Context, d digest.Digest, actor string, now time.Time, after ShownAfter, limit int) (Shown, error)
	// IdleSince returns since when a blob is idle, or would be if nothing referred to
	// it: the end of its last lease may be to come. An unknown one is fs.ErrNotExist.
	IdleSince(ctx context.Context, blob digest.Digest) (time.Time, error)

	// Expirable returns at most limit packages of a class that changed last before a
	// time and for which a [PackageExpired] would fit: not held, and not named by
	// another manifest of the repository. Longest unchanged first, then by key.
	Expirable(ctx context.Context, class string, before time.Time, limit int) ([]Package, error)
	// Collectable returns at most limit blobs that are collectable at a time after a
	// grace, with or without locations, and whose SHA-256 sorts after a digest, in
	// ascending order. Pages are as in ListPackages: the zero digest begins, and ends.
	Collectable(ctx context.Context, t time.Time, grace time.Duration, after digest.Digest, limit int) (page []Idle, next digest.Digest, err error)
	// Removal returns the removal of a blob from a backend that is under way, and
	// fs.ErrNotExist where there is none. The blob need not be known.
	Removal(ctx context.Context, blob digest.Digest, backendID string) (Removal, error)
	// RemovalsOf returns the removals of a blob that are under way, by backend in byte
	// order. The blob need not be known.
	RemovalsOf(ctx context.Context, blob digest.Digest) ([]Removal, error)
	// Removals returns at most limit removals under way on a backend whose blobs'
	// SHA-256 sort after a digest, in ascending order.
	Removals(ctx context.Context, backendID string, after digest.Digest, limit int) ([]Removal, error)
}

// PackageFilter says which packages are asked for: those that agree in all that
// is not zero.
type PackageFilter struct {
	Producer       string
	Name           string
	Format         Format
	State          PackageState
	RetentionClass string
	Labels         map[string]string // which the package must have, all of them
}

// Lease is a promise to keep a blob.
type Lease struct {
	Repository     string // whose it is, "" for the actor's
	Actor          string // whose it is without a repository, "" otherwise
	Producer       string
	RetentionClass string
	Until          time.Time
}

// Matches reports whether a package passes the filter.
func (f PackageFilter) Matches(p Package) bool {
	for k, v := range f.Labels {
		if has, ok := p.Labels[k]; !ok || has != v {
			return false
		}
	}
	return (f.Producer == "" || f.Producer == p.Producer) && (f.Name == "" || f.Name == p.Name) &&
		(f.Format == "" || f.Format == p.Format) && (f.State == "" || f.State == p.State) &&
		(f.RetentionClass == "" || f.RetentionClass == p.RetentionClass)
}
