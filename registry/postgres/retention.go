package postgres

import (
	"context"
	"fmt"
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

	// What refers to a blob is cut before it is looked up: a blob may be in a million
	// packages. The inner orders are those of the indexes, and make the planner take them.
	referencesSQL = `
SELECT ` + packageColumns + `, u.path, ARRAY(SELECT DISTINCT h.hold FROM holds AS h WHERE h.package = p.id ORDER BY h.hold)
FROM ((SELECT id, '' FROM packages WHERE manifest = $1 ORDER BY name LIMIT $2)
      UNION ALL (SELECT package, path FROM package_files WHERE blob = $1 ORDER BY repository, package LIMIT $2)) AS u (id, path),
LATERAL (SELECT * FROM packages WHERE id = u.id LIMIT 1) AS p
ORDER BY p.producer, p.name, p.version, u.path COLLATE "C" LIMIT $2`

	leasesSQL = `
SELECT repository, actor, producer, retention_class, until FROM leases
WHERE blob = $1 ORDER BY until DESC, repository COLLATE "C", actor COLLATE "C" LIMIT $2`

	idleSinceSQL = `SELECT ` + idleSQL + ` FROM blobs AS b WHERE b.sha256 = $1`

	// A hold is asked for row by row: the planner would rather join all of them.
	expirableSQL = `
SELECT ` + packageColumns + ` FROM packages AS p
WHERE p.retention_class = $1 AND p.changed_at < $2
  AND (SELECT h.package FROM holds AS h WHERE h.package = p.id LIMIT 1) IS NULL
  AND NOT ` + namedByAnotherSQL + `
ORDER BY p.changed_at, p.producer, p.name, p.version LIMIT $3`

	removalColumns = `sha256, backend_id, cause, since`
	removalSQL     = `SELECT ` + removalColumns + ` FROM removals WHERE sha256 = $1 AND backend_id = $2 AND NOT ended`
	removalsOfSQL  = `SELECT ` + removalColumns + ` FROM removals WHERE sha256 = $1 AND NOT ended ORDER BY backend_id COLLATE "C"`
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

// References implements [registry.Retention].
func (r *Registry) References(ctx context.Context, blob digest.Digest, limit int) ([]registry.Reference, error) {
	scan := func(row pgx.CollectableRow) (ref registry.Reference, err error) {
		var p packageRow
		if err := row.Scan(append(p.targets(), &ref.Path, &ref.Holds)...); err != nil {
			return ref, err
		}
		if len(ref.Holds) == 0 {
			ref.Holds = nil
		}
		ref.Package, err = p.value()
		return ref, err
	}
	return some(ctx, r, "references of "+blob.String(), scan, referencesSQL, blob.Sum(), max(limit, 0))
}

// LeasesOf implements [registry.Retention].
func (r *Registry) LeasesOf(ctx context.Context, blob digest.Digest, limit int) ([]registry.Lease, error) {
	scan := func(row pgx.CollectableRow) (l registry.Lease, err error) {
		err = row.Scan(&l.Repository, &l.Actor, &l.Producer, &l.RetentionClass, &l.Until)
		l.Until = l.Until.UTC()
		return l, err
	}
	return some(ctx, r, "leases of "+blob.String(), scan, leasesSQL, blob.Sum(), max(limit, 0))
}

// IdleSince implements [registry.Retention].
func (r *Registry) IdleSince(ctx context.Context, blob digest.Digest) (time.Time, error) {
	since, err := one(ctx, r, "idle time of "+blob.String(), pgx.RowTo[time.Time], idleSinceSQL, blob.Sum())
	return since.UTC(), err
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

// RemovalsOf implements [registry.Retention].
func (r *Registry) RemovalsOf(ctx context.Context, blob digest.Digest) ([]registry.Removal, error) {
	return some(ctx, r, "removals of "+blob.String(), scanRemoval, removalsOfSQL, blob.Sum())
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
