package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"

	"artifactstore/registry"
)

// What the events of holds, expiry, verification and removal do to the views.
const (
	applyHold = `
INSERT INTO holds (package, root, hold, actor, held_at)
SELECT position, ?4, ?5, ?6, ?7 FROM packages WHERE producer = ?1 AND name = ?2 AND version = ?3`

	// Every row of a hold has the root, and the root's own is the first.
	applyPackageReleased = `DELETE FROM holds WHERE root = ?1 AND hold = ?2`

	applyPackageExpired = `DELETE FROM packages AS p WHERE position = ?1 AND revision = ?2 AND NOT ` + namedByAnother

	// namedByAnother is the condition that another package of its repository has the
	// manifest of package p as a file.
	namedByAnother = `(p.format = 'oci' AND EXISTS (SELECT 1 FROM package_files
WHERE blob = p.manifest AND repository = p.name AND package <> p.position))`

	applyLocationVerified = `
UPDATE locations SET verified_at = ?3
WHERE blob = (SELECT position FROM blobs WHERE sha256 = ?1) AND backend_id = ?2 AND state = 'stored' AND recorded_at = ?4`

	// idle is since when nothing but a reference keeps blob b, or until when a lease does.
	idle = `max(b.stored_at, coalesce(b.dropped, 0), coalesce((SELECT max(until) FROM leases WHERE blob = b.position), 0))`

	// here is the location that is to be removed.
	here = `locations l JOIN blobs b ON b.position = l.blob WHERE b.sha256 = ?1 AND l.backend_id = ?2`

	beginRemoval = `
INSERT INTO removals (sha256, backend_id, cause, since, position, ended)
SELECT ?1, ?2, ?3, ?4, ?5, 0 WHERE %s
ON CONFLICT (sha256, backend_id) DO UPDATE SET cause = excluded.cause, since = excluded.since,
  position = excluded.position, ended = 0 WHERE ended = 1`

	applyMovedAway = `DELETE FROM locations WHERE blob = (SELECT position FROM blobs WHERE sha256 = ?1) AND backend_id = ?2`

	applyLocationRemoved = `UPDATE removals SET ended = 1, position = ?3 WHERE sha256 = ?1 AND backend_id = ?2 AND ended = 0`

	// taken is the condition that a removal from backend ?2 may have taken what
	// was written after ?4 was seen.
	taken = `EXISTS (SELECT 1 FROM removals WHERE sha256 = ?1 AND backend_id = ?2 AND (ended = 0 OR position > ?4))`

	selectCollectableBlob = `SELECT position FROM blobs b WHERE sha256 = ?1 AND refs = 0 AND ` + idle + ` <= ?2
AND NOT EXISTS (SELECT 1 FROM removals WHERE sha256 = ?1 AND ended = 0)`
	applyLeasesEnded   = `DELETE FROM leases WHERE blob = ?1`
	applyBlobCollected = `DELETE FROM blobs WHERE position = ?1`
)

// applyRemoving has a statement for each cause: what it demands, in the words of
// registry.Cause. ?6 is when the blob must have been idle.
var applyRemoving = map[registry.Cause]string{
	registry.Unneeded: fmt.Sprintf(beginRemoval, `EXISTS (SELECT 1 FROM `+here+` AND b.refs = 0 AND `+idle+` <= ?6)`),
	registry.Moved: fmt.Sprintf(beginRemoval, `EXISTS (SELECT 1 FROM `+here+`
  AND EXISTS (SELECT 1 FROM locations WHERE blob = b.position AND backend_id <> ?2 AND state = 'stored'))`),
	registry.Orphan: fmt.Sprintf(beginRemoval, `NOT EXISTS (SELECT 1 FROM `+here+`)`),
}

// applyRetention applies an event of a hold, of expiry or of a removal.
func applyRetention(c *conn, position, at int64, e registry.Event) error {
	switch d := e.Data.(type) {
	case registry.PackageHeld:
		return onPackage(c, d, d.Package, func(p int64) error { return packageHeld(c, p, at, e.Actor, d) })
	case registry.PackageReleased:
		return onPackage(c, d, d.Package, func(p int64) error { return most(c, d, applyPackageReleased, p, d.Hold) })
	case registry.PackageExpired:
		return onPackage(c, d, d.Package, func(p int64) error {
			return steps(
				func() error { return some(c, d, uncountNamed, p, at) },
				func() error { return one(c, d, applyPackageExpired, p, d.Revision) },
			)
		})
	case registry.LocationVerified:
		return one(c, d, applyLocationVerified, d.Blob.Sum(), d.BackendID, at, micros(d.RecordedAt))
	case registry.LocationRemoving:
		return locationRemoving(c, position, at, d)
	case registry.LocationRemoved:
		return one(c, d, applyLocationRemoved, d.Blob.Sum(), d.BackendID, position)
	case registry.BlobCollected:
		return blobCollected(c, at, d)
	}
	return applyAuth(c, at, e)
}

func packageHeld(c *conn, root, at int64, actor string, d registry.PackageHeld) error {
	for _, k := range append([]registry.PackageKey{d.Package}, d.Covers...) {
		if err := one(c, d, applyHold, k.Producer, k.Name, k.Version, root, d.Hold, actor, at); err != nil {
			return err
		}
	}
	return nil
}

func locationRemoving(c *conn, position, at int64, d registry.LocationRemoving) error {
	args := []driver.Value{d.Blob.Sum(), d.BackendID, string(d.Cause), at, position}
	if d.Cause == registry.Unneeded {
		args = append(args, at-graceMicros(d.GraceSeconds))
	}
	if err := one(c, d, applyRemoving[d.Cause], args...); err != nil || d.Cause == registry.Orphan {
		return err
	}
	return one(c, d, applyMovedAway, d.Blob.Sum(), d.BackendID)
}

// blobCollected leaves it to the foreign keys that no location is left.
func blobCollected(c *conn, at int64, d registry.BlobCollected) error {
	blob := int64(0)
	err := c.query(context.Background(), selectCollectableBlob, func(row []driver.Value) error {
		blob = row[0].(int64)
		return nil
	}, d.Blob.Sum(), at-graceMicros(d.GraceSeconds))
	if err != nil {
		return fmt.Errorf("%s %s: %w", d.Type(), d.Subject(), err)
	}
	return steps(
		func() error { return some(c, d, applyLeasesEnded, blob) },
		func() error { return one(c, d, applyBlobCollected, blob) },
	)
}

// most runs a statement that must change a row, or more.
func most(c *conn, d registry.Data, sql string, args ...driver.Value) error {
	changed, err := c.exec(context.Background(), sql, args...)
	if err == nil && changed == 0 {
		err = fmt.Errorf("%w: it does not fit the views", registry.ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", d.Type(), d.Subject(), err)
	}
	return nil
}

func graceMicros(seconds int64) int64 { return seconds * 1_000_000 }

// seen is the position after which a removal must not have ended: the end of time
// where none was read.
func seen(position uint64) int64 {
	if position == 0 || position > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(position)
}
