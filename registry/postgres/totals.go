package postgres

import (
	"context"

	"artifactstore/registry"

	"github.com/jackc/pgx/v5/pgxpool"
)

// One statement, so that the counts are of one moment. More bytes than an int64
// holds are shown as the largest one.
const totalsSQL = `
SELECT head.position, totals.blobs, least(totals.blob_bytes, 9223372036854775807)::bigint,
       (SELECT sum(uploads)::bigint FROM upload_totals),
       (SELECT packages FROM package_totals WHERE state = 'open'), (SELECT packages FROM package_totals WHERE state = 'sealed'),
       l.backends, l.states, l.counts
FROM head, totals, (
    SELECT array_agg(backend_id) AS backends, array_agg(state) AS states, array_agg(locations) AS counts
    FROM location_totals WHERE locations > 0) AS l`

// Totals implements [registry.Views].
func (r *Registry) Totals(ctx context.Context) (registry.Totals, error) {
	return read(ctx, r, "read totals", func(ctx context.Context, conn *pgxpool.Conn) (registry.Totals, error) {
		var backends, states []string
		var counts []int64
		var open, sealed int64
		t := registry.Totals{Locations: map[registry.LocationTotal]int64{}, Packages: map[registry.PackageState]int64{}}
		err := conn.QueryRow(ctx, totalsSQL).Scan(&t.Position, &t.Blobs, &t.BlobBytes, &t.Uploads, &open, &sealed, &backends, &states, &counts)
		for i := range counts {
			t.Locations[registry.LocationTotal{BackendID: backends[i], State: registry.State(states[i])}] = counts[i]
		}
		for state, n := range map[registry.PackageState]int64{registry.Open: open, registry.Sealed: sealed} {
			if n > 0 {
				t.Packages[state] = n
			}
		}
		return t, err
	})
}
