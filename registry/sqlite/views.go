package sqlite

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"io/fs"
	"iter"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

var errAbsent = fs.ErrNotExist

// blobColumns are a blob, joined with one of its locations or none.
const blobColumns = `b.sha256, b.blake3, b.sha512, b.size, b.stored_at,
(SELECT max(until) FROM leases WHERE blob = b.position), b.refs,
l.backend_id, l.state, l.reason, l.recorded_at, l.verified_at`

const (
	selectBySHA256 = `SELECT ` + blobColumns + ` FROM blobs b LEFT JOIN locations l ON l.blob = b.position WHERE b.sha256 = ?1 ORDER BY l.position`
	selectByBLAKE3 = `SELECT ` + blobColumns + ` FROM blobs b LEFT JOIN locations l ON l.blob = b.position WHERE b.blake3 = ?1 ORDER BY l.position`
	selectBySHA512 = `SELECT ` + blobColumns + ` FROM blobs b LEFT JOIN locations l ON l.blob = b.position WHERE b.sha512 = ?1 ORDER BY l.position`

	// The page is cut before the join, so that a blob comes with all its locations.
	selectBlobs = `SELECT ` + blobColumns + `
FROM (SELECT * FROM blobs WHERE sha256 > ?1 ORDER BY sha256 LIMIT ?2 + 0) b
LEFT JOIN locations l ON l.blob = b.position ORDER BY b.sha256, l.position`

	selectFailed = `SELECT failed FROM locations WHERE state = 'failed' AND backend_id = ?1 ORDER BY failed LIMIT ?2 + 0`

	selectTotals = `SELECT head.position, blobs, blob_bytes, uploads, open_packages, sealed_packages, backend_id, state, locations
FROM head, totals LEFT JOIN location_totals ON true`
)

var selectBlob = map[digest.Algorithm]string{
	digest.SHA256: selectBySHA256,
	digest.BLAKE3: selectByBLAKE3,
	digest.SHA512: selectBySHA512,
}

// page is how many rows a list reads at once: what it holds in memory.
const page = 500

// read calls do with a reader, if the registry is open.
func (r *Registry) read(ctx context.Context, do func(*conn) error) error {
	if err := r.gate.enter(); err != nil {
		return err
	}
	defer r.gate.leave()
	return r.readers.use(ctx, do)
}

// Blob implements registry.Views.
func (r *Registry) Blob(ctx context.Context, d digest.Digest) (registry.Blob, error) {
	sql, ok := selectBlob[d.Algorithm()]
	if !ok {
		return registry.Blob{}, fmt.Errorf("blob %q: %w", d, errAbsent)
	}
	if err := r.gate.enter(); err != nil {
		return registry.Blob{}, fmt.Errorf("blob %s: %w", d, err)
	}
	defer r.gate.leave()
	b, since, ok := r.memory.recall(d)
	if ok {
		return b, nil
	}
	b, err := r.blob(ctx, sql, d)
	if err != nil {
		return registry.Blob{}, fmt.Errorf("blob %s: %w", d, err)
	}
	r.memory.keep(d, b, since)
	return b, nil
}

// blob looks a blob up in the database.
func (r *Registry) blob(ctx context.Context, sql string, d digest.Digest) (registry.Blob, error) {
	var found blobs
	err := r.readers.use(ctx, func(c *conn) error {
		return c.query(context.Background(), sql, found.add, d.Sum())
	})
	if err == nil && len(found) == 0 {
		err = errAbsent
	}
	if err != nil {
		return registry.Blob{}, err
	}
	return found[0], nil
}

// Blobs implements registry.Views.
func (r *Registry) Blobs(ctx context.Context, after digest.Digest) iter.Seq2[registry.Blob, error] {
	return func(yield func(registry.Blob, error) bool) {
		key := []byte{}
		if !after.IsZero() {
			key = after.Sum()
		}
		for {
			var found blobs
			err := r.read(ctx, func(c *conn) error {
				return c.query(context.Background(), selectBlobs, found.add, key, int64(page))
			})
			if err != nil {
				yield(registry.Blob{}, fmt.Errorf("blobs after %q: %w", after, err))
				return
			}
			for _, b := range found {
				if !yield(b, nil) {
					return
				}
			}
			if len(found) < page {
				return
			}
			key = found[len(found)-1].SHA256.Sum()
		}
	}
}

// blobs gathers rows of blobColumns, ordered by blob.
type blobs []registry.Blob

func (s *blobs) add(row []driver.Value) error {
	if n := len(*s); n == 0 || !bytes.Equal((*s)[n-1].SHA256.Sum(), row[0].([]byte)) {
		*s = append(*s, blobOf(row))
	}
	addLocation(&(*s)[len(*s)-1], row)
	return nil
}

// addLocation adds the location of a row, which may have none.
func addLocation(b *registry.Blob, row []driver.Value) {
	if row[7] == nil {
		return
	}
	b.Locations = append(b.Locations, registry.Location{
		BackendID:  row[7].(string),
		State:      registry.State(row[8].(string)),
		Reason:     registry.Reason(text(row[9])),
		RecordedAt: moment(row[10]),
		VerifiedAt: momentOf(row[11]),
	})
}

func blobOf(row []driver.Value) registry.Blob {
	return registry.Blob{
		Identity: digest.Identity{
			SHA256: digestOf(digest.SHA256, row[0]),
			BLAKE3: digestOf(digest.BLAKE3, row[1]),
			Size:   row[3].(int64),
		},
		SHA512:      digestOf(digest.SHA512, row[2]),
		StoredAt:    moment(row[4]),
		LeasedUntil: momentOf(row[5]),
		References:  row[6].(int64),
	}
}

// Failed implements registry.Views.
func (r *Registry) Failed(ctx context.Context, backend string, limit int) ([]digest.Digest, error) {
	var failed []digest.Digest
	err := r.read(ctx, func(c *conn) error {
		return c.query(ctx, selectFailed, func(row []driver.Value) error {
			failed = append(failed, digestOf(digest.SHA256, row[0]))
			return nil
		}, backend, int64(max(limit, 0)))
	})
	if err != nil {
		return nil, fmt.Errorf("failed locations on %s: %w", backend, err)
	}
	return failed, nil
}

// Totals implements registry.Views.
func (r *Registry) Totals(ctx context.Context) (registry.Totals, error) {
	t := registry.Totals{Locations: map[registry.LocationTotal]int64{}, Packages: map[registry.PackageState]int64{}}
	err := r.read(ctx, func(c *conn) error {
		return c.query(context.Background(), selectTotals, func(row []driver.Value) error {
			t.Position = uint64(row[0].(int64))
			t.Blobs, t.BlobBytes, t.Uploads = row[1].(int64), row[2].(int64), row[3].(int64)
			for i, state := range []registry.PackageState{registry.Open, registry.Sealed} {
				if n := row[4+i].(int64); n > 0 {
					t.Packages[state] = n
				}
			}
			if n, ok := row[8].(int64); ok && n > 0 {
				t.Locations[registry.LocationTotal{BackendID: row[6].(string), State: registry.State(row[7].(string))}] = n
			}
			return nil
		})
	})
	if err != nil {
		return registry.Totals{}, fmt.Errorf("totals: %w", err)
	}
	return t, nil
}
