package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"artifactstore/registry"
)

// What the events of blobs do to the views. Each statement changes exactly one row or is
// refused: by a constraint, or by changing none. A blob that does not exist makes
// the key NULL, which no key may be.
const (
	applyBlobStored = `
INSERT INTO blobs (position, sha256, blake3, sha512, size, stored_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (sha256) DO UPDATE SET sha512 = excluded.sha512
WHERE sha512 IS NULL AND excluded.sha512 IS NOT NULL AND blake3 = excluded.blake3 AND size = excluded.size`

	applyLocationRecorded = `
INSERT INTO locations (blob, backend_id, state, recorded_at, position)
SELECT position, ?2, 'stored', ?3, ?5 FROM blobs WHERE sha256 = ?1 AND NOT ` + taken

	applyLocationFailed = `
UPDATE locations SET state = 'failed', reason = ?3, failed = ?1
WHERE blob = (SELECT position FROM blobs WHERE sha256 = ?1) AND backend_id = ?2 AND state = 'stored'
AND (?4 IS NULL OR recorded_at = ?4)`

	applyLocationRepaired = `
UPDATE locations SET state = 'stored', reason = NULL, failed = NULL, recorded_at = ?3, verified_at = NULL
WHERE blob = (SELECT position FROM blobs WHERE sha256 = ?1) AND backend_id = ?2 AND state = 'failed' AND NOT ` + taken

	// An earlier end writes the row as it was: it must not look like a refusal.
	applyBlobLeased = `
INSERT INTO leases (blob, repository, actor, until, producer, retention_class)
SELECT position, ?2, ?3, ?4, ?5, ?6 FROM blobs WHERE sha256 = ?1
AND EXISTS (SELECT 1 FROM locations WHERE blob = blobs.position AND state = 'stored')
ON CONFLICT (blob, repository, actor) DO UPDATE SET
  until = max(until, excluded.until),
  producer = iif(excluded.until > until, excluded.producer, producer),
  retention_class = iif(excluded.until > until, excluded.retention_class, retention_class)`

	applyBlobReleased = `
DELETE FROM leases WHERE blob = (SELECT position FROM blobs WHERE sha256 = ?1) AND repository = ?2 AND actor = ?3`

	applyLeaseDropped = `UPDATE blobs SET dropped = ?2 WHERE sha256 = ?1`

	blobExists = `SELECT 1 FROM blobs WHERE sha256 = ?1`
)

// apply applies one event of the log to the views on a connection.
func apply(c *conn, position, at int64, e registry.Event) error {
	switch d := e.Data.(type) {
	case registry.BlobStored:
		return one(c, d, applyBlobStored, position, d.SHA256.Sum(), d.BLAKE3.Sum(), sum(d.SHA512), d.Size, at)
	case registry.LocationRecorded:
		return one(c, d, applyLocationRecorded, d.Blob.Sum(), d.BackendID, at, seen(d.Seen), position)
	case registry.LocationFailed:
		return one(c, d, applyLocationFailed, d.Blob.Sum(), d.BackendID, string(d.Reason), written(d.RecordedAt))
	case registry.LocationRepaired:
		return one(c, d, applyLocationRepaired, d.Blob.Sum(), d.BackendID, at, seen(d.Seen))
	case registry.BlobLeased:
		repository, actor := holder(d.Repository, e.Actor)
		return one(c, d, applyBlobLeased, d.Blob.Sum(), repository, actor, micros(d.Until), d.Producer, d.RetentionClass)
	case registry.BlobReleased:
		repository, actor := holder(d.Repository, e.Actor)
		return release(c, at, d, repository, actor)
	}
	return applyPackage(c, position, at, e)
}

// one runs a statement that must change one row.
func one(c *conn, d registry.Data, sql string, args ...driver.Value) error {
	changed, err := c.exec(context.Background(), sql, args...)
	if err == nil && changed != 1 {
		err = fmt.Errorf("%w: it does not fit the views", registry.ErrConflict)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", d.Type(), d.Subject(), err)
	}
	return nil
}

// holder is the key of a lease: the repository's where one is named, else the
// actor's.
func holder(repository, actor string) (string, string) {
	if repository != "" {
		return repository, ""
	}
	return "", actor
}

// release ends a lease, which need not be there; the blob must.
func release(c *conn, at int64, d registry.BlobReleased, repository, actor string) error {
	exists := false
	err := c.query(context.Background(), blobExists, func([]driver.Value) error { exists = true; return nil }, d.Blob.Sum())
	if err == nil && !exists {
		err = fmt.Errorf("%w: no such blob", registry.ErrConflict)
	}
	released := int64(0)
	if err == nil {
		released, err = c.exec(context.Background(), applyBlobReleased, d.Blob.Sum(), repository, actor)
	}
	if err == nil && released > 0 {
		_, err = c.exec(context.Background(), applyLeaseDropped, d.Blob.Sum(), at)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", d.Type(), d.Subject(), err)
	}
	return nil
}
