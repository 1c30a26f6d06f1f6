package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// blobSQL is a blob with all that hangs on it, in one row.
const (
	blobSQL = `SELECT ` + blobColumns + ` FROM blobs AS b, ` + blobLocations

	blobColumns = `b.sha256, b.blake3, b.sha512, b.size, b.stored_at, b.refs,
    (SELECT max(until) FROM leases AS e WHERE e.blob = b.sha256), l.backends, l.states, l.reasons, l.times, l.verified`

	blobLocations = `LATERAL (
    SELECT array_agg(backend_id ORDER BY position) AS backends,
           array_agg(state ORDER BY position) AS states,
           array_agg(coalesce(reason, '') ORDER BY position) AS reasons,
           array_agg(recorded_at ORDER BY position) AS times,
           array_agg(verified_at ORDER BY position) AS verified
    FROM locations WHERE blob = b.sha256) AS l `
)

const (
	blobBySHA256SQL = blobSQL + `WHERE b.sha256 = $1`
	blobByBLAKE3SQL = blobSQL + `WHERE b.blake3 = $1`
	blobBySHA512SQL = blobSQL + `WHERE b.sha512 = $1`
	blobsSQL        = blobSQL + `WHERE b.sha256 > $1 ORDER BY b.sha256 LIMIT $2`
	failedOnSQL     = `SELECT blob FROM locations WHERE backend_id = $1 AND state = 'failed' ORDER BY blob LIMIT $2`
)

var blobBy = map[digest.Algorithm]string{
	digest.SHA256: blobBySHA256SQL,
	digest.SHA512: blobBySHA512SQL,
	digest.BLAKE3: blobByBLAKE3SQL,
}

// Blob implements [registry.Views].
func (r *Registry) Blob(ctx context.Context, d digest.Digest) (registry.Blob, error) {
	sql, ok := blobBy[d.Algorithm()]
	if !ok {
		return registry.Blob{}, fmt.Errorf("blob %q: %w", d, fs.ErrNotExist)
	}
	return read(ctx, r, "blob "+d.String(), func(ctx context.Context, conn *pgxpool.Conn) (registry.Blob, error) {
		rows, err := conn.Query(ctx, sql, d.Sum())
		if err != nil {
			return registry.Blob{}, err
		}
		b, err := pgx.CollectExactlyOneRow(rows, scanBlob)
		if errors.Is(err, pgx.ErrNoRows) {
			err = fs.ErrNotExist
		}
		return b, err
	})
}

// Blobs implements [registry.Views].
func (r *Registry) Blobs(ctx context.Context, after digest.Digest) iter.Seq2[registry.Blob, error] {
	return func(yield func(registry.Blob, error) bool) {
		for {
			blobs, err := r.blobs(ctx, after)
			if err != nil {
				yield(registry.Blob{}, err)
				return
			}
			for _, b := range blobs {
				if !yield(b, nil) {
					return
				}
				after = b.SHA256
			}
			if len(blobs) < pageSize {
				return
			}
		}
	}
}

func (r *Registry) blobs(ctx context.Context, after digest.Digest) ([]registry.Blob, error) {
	return read(ctx, r, "read blobs", func(ctx context.Context, conn *pgxpool.Conn) ([]registry.Blob, error) {
		rows, err := conn.Query(ctx, blobsSQL, append([]byte{}, after.Sum()...), pageSize) // not NULL for the zero digest
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, scanBlob)
	})
}

func scanBlob(row pgx.CollectableRow) (registry.Blob, error) {
	var b blobRow
	if err := row.Scan(b.targets()...); err != nil {
		return registry.Blob{}, err
	}
	return b.blob(), nil
}

// blobRow is blobColumns as they are scanned.
type blobRow struct {
	sha256, blake3, sha512    []byte
	size, refs                int64
	storedAt                  time.Time
	until                     *time.Time
	backends, states, reasons []string
	times                     []time.Time
	verified                  []*time.Time
}

func (row *blobRow) targets() []any {
	return []any{&row.sha256, &row.blake3, &row.sha512, &row.size, &row.storedAt, &row.refs, &row.until,
		&row.backends, &row.states, &row.reasons, &row.times, &row.verified}
}

func (row *blobRow) blob() registry.Blob {
	b := registry.Blob{SHA512: digestOf(digest.SHA512, row.sha512), StoredAt: row.storedAt.UTC(), References: row.refs}
	b.SHA256, b.BLAKE3, b.Size = digestOf(digest.SHA256, row.sha256), digestOf(digest.BLAKE3, row.blake3), row.size
	if row.until != nil {
		b.LeasedUntil = row.until.UTC()
	}
	for i := range row.backends {
		l := registry.Location{BackendID: row.backends[i], State: registry.State(row.states[i]),
			Reason: registry.Reason(row.reasons[i]), RecordedAt: row.times[i].UTC()}
		if at := row.verified[i]; at != nil {
			l.VerifiedAt = at.UTC()
		}
		b.Locations = append(b.Locations, l)
	}
	return b
}

// digestOf is the digest in a column, zero where that is NULL.
func digestOf(alg digest.Algorithm, sum []byte) digest.Digest {
	if sum == nil {
		return digest.Digest{}
	}
	return digest.New(alg, sum)
}

// Failed implements [registry.Views].
func (r *Registry) Failed(ctx context.Context, backend string, limit int) ([]digest.Digest, error) {
	if limit <= 0 || !storable(backend) {
		return nil, ctx.Err()
	}
	return read(ctx, r, "read failed locations", func(ctx context.Context, conn *pgxpool.Conn) ([]digest.Digest, error) {
		rows, err := conn.Query(ctx, failedOnSQL, backend, limit)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, func(row pgx.CollectableRow) (digest.Digest, error) {
			var sum []byte
			if err := row.Scan(&sum); err != nil {
				return digest.Digest{}, err
			}
			return digest.New(digest.SHA256, sum), nil
		})
	})
}
