package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

const (
	selectHolds = `SELECT h.hold, root.producer, root.name, root.version, h.actor, h.held_at
FROM holds h JOIN packages root ON root.position = h.root
WHERE h.package = (SELECT position FROM packages WHERE producer = ?1 AND name = ?2 AND version = ?3)
ORDER BY root.producer, root.name, root.version, h.hold`

	// What refers to a blob is cut before it is looked up: a blob may be in a million packages.
	selectReferences = `SELECT ` + packageColumns + `, used.path,
(SELECT json_group_array(hold) FROM (SELECT DISTINCT hold FROM holds WHERE package = p.position ORDER BY hold))
FROM (
  SELECT * FROM (SELECT position AS package, '' AS path FROM packages WHERE manifest = (SELECT position FROM blobs WHERE sha256 = ?1) LIMIT ?2 + 0)
  UNION ALL
  SELECT * FROM (SELECT package, path FROM package_files WHERE blob = (SELECT position FROM blobs WHERE sha256 = ?1) LIMIT ?2 + 0)) used
CROSS JOIN packages p ON p.position = used.package LEFT JOIN blobs b ON b.position = p.manifest
ORDER BY p.producer, p.name, p.version, used.path LIMIT ?2 + 0`

	selectLeases = `SELECT repository, actor, producer, retention_class, until FROM leases
WHERE blob = (SELECT position FROM blobs WHERE sha256 = ?1) ORDER BY until DESC, repository, actor LIMIT ?2 + 0`

	selectIdleSince = `SELECT ` + idle + ` FROM blobs b WHERE sha256 = ?1`

	selectExpirable = `SELECT ` + packageColumns + ` FROM packages p LEFT JOIN blobs b ON b.position = p.manifest
WHERE p.retention_class = ?1 AND p.changed_at < ?2
AND NOT EXISTS (SELECT 1 FROM holds WHERE package = p.position) AND NOT ` + namedByAnother + `
ORDER BY p.changed_at, p.producer, p.name, p.version LIMIT ?3 + 0`

	selectRemoval = `SELECT sha256, backend_id, cause, since FROM removals WHERE sha256 = ?1 AND backend_id = ?2 AND ended = 0`

	selectRemovalsOf = `SELECT sha256, backend_id, cause, since FROM removals WHERE sha256 = ?1 AND ended = 0 ORDER BY backend_id`

	selectRemovals = `SELECT sha256, backend_id, cause, since FROM removals
WHERE backend_id = ?1 AND sha256 > ?2 AND ended = 0 ORDER BY sha256 LIMIT ?3 + 0`
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

// References implements registry.Retention.
func (r *Registry) References(ctx context.Context, blob digest.Digest, limit int) ([]registry.Reference, error) {
	found, err := all(ctx, r, selectReferences, func(row []driver.Value) (ref registry.Reference, err error) {
		if ref.Package, err = packageOf(row); err != nil {
			return ref, err
		}
		ref.Path = row[16].(string)
		if holds := row[17].(string); holds != "[]" {
			err = json.Unmarshal([]byte(holds), &ref.Holds)
		}
		return ref, err
	}, blob.Sum(), int64(max(limit, 0)))
	if err != nil {
		return nil, fmt.Errorf("references of %s: %w", blob, err)
	}
	return found, nil
}

// LeasesOf implements registry.Retention.
func (r *Registry) LeasesOf(ctx context.Context, blob digest.Digest, limit int) ([]registry.Lease, error) {
	leases, err := all(ctx, r, selectLeases, func(row []driver.Value) (registry.Lease, error) {
		return registry.Lease{
			Repository: row[0].(string), Actor: row[1].(string), Producer: row[2].(string),
			RetentionClass: row[3].(string), Until: moment(row[4]),
		}, nil
	}, blob.Sum(), int64(max(limit, 0)))
	if err != nil {
		return nil, fmt.Errorf("leases of %s: %w", blob, err)
	}
	return leases, nil
}

// IdleSince implements registry.Retention.
func (r *Registry) IdleSince(ctx context.Context, blob digest.Digest) (since time.Time, err error) {
	err = r.find(ctx, selectIdleSince, func(row []driver.Value) error {
		since = moment(row[0])
		return nil
	}, blob.Sum())
	if err != nil {
		return time.Time{}, fmt.Errorf("idle time of %s: %w", blob, err)
	}
	return since, nil
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

// RemovalsOf implements registry.Retention.
func (r *Registry) RemovalsOf(ctx context.Context, blob digest.Digest) ([]registry.Removal, error) {
	removals, err := all(ctx, r, selectRemovalsOf, removalOf, blob.Sum())
	if err != nil {
		return nil, fmt.Errorf("removals of %s: %w", blob, err)
	}
	return removals, nil
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
