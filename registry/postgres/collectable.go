package postgres

import (
	"context"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

// collectableSQL is a window through the blobs after $3 that are collectable where
// they have been idle since $4.
var collectableSQL = windowSQL(`SELECT b.*, `+idleSQL+` AS since FROM blobs AS b WHERE sha256 > $3`, `sha256`,
	`(w.refs = 0 AND w.since <= $4)`, `p.since, `+blobColumns, `, LATERAL (SELECT p.*) AS b, `+blobLocations)

// Collectable implements [registry.Retention].
func (r *Registry) Collectable(ctx context.Context, t time.Time, grace time.Duration, after digest.Digest, limit int) ([]registry.Idle, digest.Digest, error) {
	page, last, err := walk(limit, collectRows, func(last *registry.Idle, size, most int) ([]walked[registry.Idle], error) {
		begin := after
		if last != nil {
			begin = last.SHA256
		}
		return some(ctx, r, "collectable blobs", scanWalked(scanIdleBehind), collectableSQL, size, most, sumAfter(begin), t.Add(-grace))
	})
	if err != nil || last == nil {
		return page, digest.Digest{}, err
	}
	return page, last.SHA256, nil
}

func scanIdleBehind(row pgx.CollectableRow, before ...any) (registry.Idle, error) {
	var b blobRow
	var since time.Time
	if err := row.Scan(append(append(before, &since), b.targets()...)...); err != nil {
		return registry.Idle{}, err
	}
	return registry.Idle{Blob: b.blob(), Since: since.UTC()}, nil
}
