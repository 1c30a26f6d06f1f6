package postgres

import (
	"context"
	"fmt"
	"iter"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	holdsSQL = `
SELECT h.hold, root.producer, root.name, root.version, h.actor, h.held_at
FROM holds AS h JOIN packages AS root ON root.id = h.root
WHERE h.package = (SELECT id FROM packages WHERE ` + keySQL + `)
ORDER BY root.producer, root.name, root.version, h.hold`

	// The packages of a blob are looked up one by one (the limit says so to the
	// planner) and sorted: few blobs have many. What has it as a file and as its
	// manifest comes once.
	packagesUsingSQL = `
SELECT p.producer, p.name, p.version
FROM (SELECT package FROM package_files WHERE blob = $1 UNION SELECT id FROM packages WHERE manifest = $1) AS u (id),
LATERAL (SELECT * FROM packages WHERE id = u.id LIMIT 1) AS p
WHERE (p.producer, p.name, p.version) > ($2, $3, $4) ORDER BY p.producer, p.name, p.version LIMIT $5`

	leasesSQL = `
SELECT repository, actor, producer, retention_class, until FROM leases
WHERE blob = $1 ORDER BY repository COLLATE "C", actor COLLATE "C"`

	// A hold is asked for row by row: the planner would rather join all of them.
	expirableSQL = `
SELECT ` + packageColumns + ` FROM packages AS p
WHERE p.retention_class = $1 AND p.changed_at < $2
  AND (SELECT h.package FROM holds AS h WHERE h.package = p.id LIMIT 1) IS NULL
  AND NOT ` + namedByAnotherSQL + `
ORDER BY p.changed_at, p.producer, p.name, p.version LIMIT $3`

	removalColumns = `sha256, backend_id, cause, since`
	removalSQL     = `SELECT ` + removalColumns + ` FROM removals WHERE sha256 = $1 AND backend_id = $2 AND NOT ended`
	removalsSQL    = `SELECT ` + removalColumns + ` FROM removals
WHERE backend_id = $1 AND sha256 > $2 AND NOT ended ORDER BY sha256 LIMIT $3`
)

// some runs a query for rows, of which there are none with a text that PostgreSQL
// does not take.
func some[T any](ctx context.Context, r *Registry, what string, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	for _, arg := range args {
		if s, ok := arg.(string); ok && !storable(s) {
			return nil, ctx.Err()
		}
	}
	return read(ctx, r, what, func(ctx context.Context, conn *pgxpool.Conn) ([]T, error) {
		rows, err := conn.Query(ctx, sql, args...)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, scan)
	})
}

// Holds implements [registry.Retention].
func (r *Registry) Holds(ctx context.Context, k registry.PackageKey) ([]registry.Hold, error) {
	scan := func(row pgx.CollectableRow) (h registry.Hold, err error) {
		err = row.Scan(&h.Name, &h.Root.Producer, &h.Root.Name, &h.Root.Version, &h.By, &h.At)
		h.At = h.At.UTC()
		return h, err
	}
	return some(ctx, r, "holds of "+k.String(), scan, holdsSQL, k.Producer, k.Name, k.Version)
}

// PackagesUsing implements [registry.Retention].
func (r *Registry) PackagesUsing(ctx context.Context, blob digest.Digest, after registry.PackageKey) iter.Seq2[registry.PackageKey, error] {
	return func(yield func(registry.PackageKey, error) bool) {
		from := storableKey(after)
		for size := firstPage; ; size = pageSize {
			keys, err := some(ctx, r, "packages using "+blob.String(), pgx.RowToStructByPos[registry.PackageKey],
				packagesUsingSQL, blob.Sum(), from.Producer, from.Name, from.Version, size)
			if err != nil {
				yield(registry.PackageKey{}, err)
				return
			}
			for _, k := range keys {
				if k.Compare(after) > 0 && !yield(k, nil) {
					return
				}
			}
			if len(keys) < size {
				return
			}
			from = keys[len(keys)-1]
		}
	}
}

// storableKey returns the last key not after another that PostgreSQL takes.
func storableKey(k registry.PackageKey) registry.PackageKey {
	switch {
	case !storable(k.Producer):
		return registry.PackageKey{Producer: storablePart(k.Producer)}
	case !storable(k.Name):
		return registry.PackageKey{Producer: k.Producer, Name: storablePart(k.Name)}
	}
	k.Version = storablePart(k.Version)
	return k
}

// LeasesOf implements [registry.Retention].
func (r *Registry) LeasesOf(ctx context.Context, blob digest.Digest) ([]registry.Lease, error) {
	scan := func(row pgx.CollectableRow) (l registry.Lease, err error) {
		err = row.Scan(&l.Repository, &l.Actor, &l.Producer, &l.RetentionClass, &l.Until)
		l.Until = l.Until.UTC()
		return l, err
	}
	return some(ctx, r, "leases of "+blob.String(), scan, leasesSQL, blob.Sum())
}

// Expirable implements [registry.Retention].
func (r *Registry) Expirable(ctx context.Context, class string, before time.Time, limit int) ([]registry.Package, error) {
	before = before.Add(time.Microsecond - 1).Truncate(time.Microsecond) // the database drops nanoseconds
	return some(ctx, r, "expirable packages of class "+class, scanPackage, expirableSQL, class, before, max(limit, 0))
}

// Removal implements [registry.Retention].
func (r *Registry) Removal(ctx context.Context, blob digest.Digest, backendID string) (registry.Removal, error) {
	return one(ctx, r, fmt.Sprintf("removal of %s from %s", blob, backendID), scanRemoval, removalSQL, blob.Sum(), backendID)
}

// Removals implements [registry.Retention].
func (r *Registry) Removals(ctx context.Context, backendID string, after digest.Digest, limit int) ([]registry.Removal, error) {
	return some(ctx, r, "removals from "+backendID, scanRemoval, removalsSQL, backendID, sumAfter(after), max(limit, 0))
}

func scanRemoval(row pgx.CollectableRow) (registry.Removal, error) {
	var removal registry.Removal
	var sum []byte
	err := row.Scan(&sum, &removal.BackendID, &removal.Cause, &removal.Since)
	removal.Blob, removal.Since = digestOf(digest.SHA256, sum), removal.Since.UTC()
	return removal, err
}

// sumAfter is the digest that a list goes on after: before all where it is zero.
func sumAfter(d digest.Digest) []byte { return append([]byte{}, d.Sum()...) }
