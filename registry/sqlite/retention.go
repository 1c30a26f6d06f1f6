package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"iter"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

const (
	selectHolds = `SELECT h.hold, root.producer, root.name, root.version, h.actor, h.held_at
FROM holds h JOIN packages root ON root.position = h.root
WHERE h.package = (SELECT position FROM packages WHERE producer = ?1 AND name = ?2 AND version = ?3)
ORDER BY root.producer, root.name, root.version, h.hold`

	// The packages of a blob are sorted: few blobs have many. What has it as a file and as
	// its manifest comes once.
	selectPackagesUsing = `SELECT p.producer, p.name, p.version FROM (
  SELECT package FROM package_files WHERE blob = (SELECT position FROM blobs WHERE sha256 = ?1)
  UNION SELECT position FROM packages WHERE manifest = (SELECT position FROM blobs WHERE sha256 = ?1)) used
CROSS JOIN packages p ON p.position = used.package
WHERE (p.producer, p.name, p.version) > (?2, ?3, ?4) ORDER BY p.producer, p.name, p.version LIMIT ?5`

	selectLeases = `SELECT repository, actor, producer, retention_class, until FROM leases
WHERE blob = (SELECT position FROM blobs WHERE sha256 = ?1) ORDER BY repository, actor`

	selectExpirable = `SELECT ` + packageColumns + ` FROM packages p LEFT JOIN blobs b ON b.position = p.manifest
WHERE p.retention_class = ?1 AND p.changed_at < ?2
AND NOT EXISTS (SELECT 1 FROM holds WHERE package = p.position) AND NOT ` + namedByAnother + `
ORDER BY p.changed_at, p.producer, p.name, p.version LIMIT ?3`

	selectRemoval = `SELECT sha256, backend_id, cause, since FROM removals WHERE sha256 = ?1 AND backend_id = ?2 AND ended = 0`

	selectRemovals = `SELECT sha256, backend_id, cause, since FROM removals
WHERE backend_id = ?1 AND sha256 > ?2 AND ended = 0 ORDER BY sha256 LIMIT ?3`
)

// all reads the rows of a query, which may have none.
func all[T any](ctx context.Context, r *Registry, sql string, of func(row []driver.Value) (T, error), args ...driver.Value) (found []T, err error) {
	err = r.read(ctx, func(c *conn) error {
		return c.query(context.Background(), sql, func(row []driver.Value) error {
			t, err := of(row)
			found = append(found, t)
			return err
		}, args...)
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Holds implements registry.Retention.
func (r *Registry) Holds(ctx context.Context, k registry.PackageKey) ([]registry.Hold, error) {
	holds, err := all(ctx, r, selectHolds, func(row []driver.Value) (registry.Hold, error) {
		return registry.Hold{Name: row[0].(string), Root: keyOf(row[1:]), By: row[4].(string), At: moment(row[5])}, nil
	}, k.Producer, k.Name, k.Version)
	if err != nil {
		return nil, fmt.Errorf("holds of %s: %w", k, err)
	}
	return holds, nil
}

// PackagesUsing implements registry.Retention.
func (r *Registry) PackagesUsing(ctx context.Context, blob digest.Digest, after registry.PackageKey) iter.Seq2[registry.PackageKey, error] {
	keys := list[registry.PackageKey]{
		sql:  selectPackagesUsing,
		args: []driver.Value{blob.Sum()},
		of:   func(row []driver.Value) (registry.PackageKey, error) { return keyOf(row), nil },
		key:  keyColumns,
	}
	return keys.walk(ctx, r, keyColumns(after), func(err error) error { return fmt.Errorf("packages using %s: %w", blob, err) })
}

func keyColumns(k registry.PackageKey) []driver.Value {
	return []driver.Value{k.Producer, k.Name, k.Version}
}

// LeasesOf implements registry.Retention.
func (r *Registry) LeasesOf(ctx context.Context, blob digest.Digest) ([]registry.Lease, error) {
	leases, err := all(ctx, r, selectLeases, func(row []driver.Value) (registry.Lease, error) {
		return registry.Lease{
			Repository: row[0].(string), Actor: row[1].(string), Producer: row[2].(string),
			RetentionClass: row[3].(string), Until: moment(row[4]),
		}, nil
	}, blob.Sum())
	if err != nil {
		return nil, fmt.Errorf("leases of %s: %w", blob, err)
	}
	return leases, nil
}

// Expirable implements registry.Retention.
func (r *Registry) Expirable(ctx context.Context, class string, before time.Time, limit int) ([]registry.Package, error) {
	packages, err := all(ctx, r, selectExpirable, packageOf, class, microsUp(before), int64(max(limit, 0)))
	if err != nil {
		return nil, fmt.Errorf("expirable packages of class %s: %w", class, err)
	}
	return packages, nil
}

// Removal implements registry.Retention.
func (r *Registry) Removal(ctx context.Context, blob digest.Digest, backendID string) (removal registry.Removal, err error) {
	err = r.find(ctx, selectRemoval, func(row []driver.Value) error {
		removal, err = removalOf(row)
		return err
	}, blob.Sum(), backendID)
	if err != nil {
		return registry.Removal{}, fmt.Errorf("removal of %s from %s: %w", blob, backendID, err)
	}
	return removal, nil
}

// Removals implements registry.Retention.
func (r *Registry) Removals(ctx context.Context, backendID string, after digest.Digest, limit int) ([]registry.Removal, error) {
	removals, err := all(ctx, r, selectRemovals, removalOf, backendID, sumAfter(after), int64(max(limit, 0)))
	if err != nil {
		return nil, fmt.Errorf("removals from %s: %w", backendID, err)
	}
	return removals, nil
}

func removalOf(row []driver.Value) (registry.Removal, error) {
	return registry.Removal{
		Blob: digestOf(digest.SHA256, row[0]), BackendID: row[1].(string),
		Cause: registry.Cause(row[2].(string)), Since: moment(row[3]),
	}, nil
}
