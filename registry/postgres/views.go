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
const blobSQL = `
SELECT b.sha256, b.blake3, b.sha512, b.size, b.stored_at,
       (SELECT max(until) FROM leases AS e WHERE e.blob = b.sha256),
       l.backends, l.states, l.reasons, l.times
FROM blobs AS b, LATERAL (
    SELECT array_agg(backend_id ORDER BY position) AS backends,
           array_agg(state ORDER BY position) AS states,
           array_agg(coalesce(reason, '') ORDER BY position) AS reasons,
           array_agg(recorded_at ORDER BY position) AS times
    FROM locations WHERE blob = b.sha256) AS l `

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
	var b registry.Blob
	var sha256, blake3, sha512 []byte
	var until *time.Time
	var backends, states, reasons []string
	var times []time.Time
	err := row.Scan(&sha256, &blake3, &sha512, &b.Size, &b.StoredAt, &until, &backends, &states, &reasons, &times)
	if err != nil {
		return registry.Blob{}, err
	}
	b.SHA256, b.BLAKE3 = digest.New(digest.SHA256, sha256), digest.New(digest.BLAKE3, blake3)
	if sha512 != nil {
		b.SHA512 = digest.New(digest.SHA512, sha512)
	}
	b.StoredAt = b.StoredAt.UTC()
	if until != nil {
		b.LeasedUntil = until.UTC()
	}
	for i := range backends {
		b.Locations = append(b.Locations, registry.Location{BackendID: backends[i],
			State: registry.State(states[i]), Reason: registry.Reason(reasons[i]), RecordedAt: times[i].UTC()})
	}
	return b, nil
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
