package postgres

import (
	"context"
	"slices"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

// shownSQL reads a page of each place that says what shows a blob to actor $2 at $3, a
// row a step: its leases, the packages whose manifest it is, the repositories and the
// packages of files that name it. A repository is found from the one before it by the
// index, however many manifests of it name the blob. The columns are the place, where
// the step has come to, whether the row counts, and the package it is of.
const shownSQL = `, step AS (
    SELECT (SELECT f.repository FROM package_files AS f WHERE f.blob = this.blob AND f.repository > $7
            ORDER BY f.repository LIMIT 1) AS repository, 1 AS n FROM this
    UNION ALL
    SELECT (SELECT f.repository FROM package_files AS f WHERE f.blob = (SELECT blob FROM this) AND f.repository > step.repository
            ORDER BY f.repository LIMIT 1), n + 1
    FROM step WHERE step.repository IS NOT NULL AND n < $9)
(SELECT 0, '', 0::bigint, until > $3, '', '', '' FROM leases
 WHERE blob = (SELECT blob FROM this) AND repository = '' AND actor = $2)
UNION ALL
(SELECT 1, repository, 0, until > $3, 'oci', '', repository FROM leases
 WHERE blob = (SELECT blob FROM this) AND repository > $4 ORDER BY repository LIMIT $9)
UNION ALL
(SELECT 2, name, id, true, format, producer, name FROM packages
 WHERE manifest = (SELECT blob FROM this) AND name >= $5 AND (name, id) > ($5, $6) ORDER BY name, id LIMIT $9)
UNION ALL
SELECT 3, repository, 0, true, 'oci', '', repository FROM step WHERE repository IS NOT NULL
UNION ALL
SELECT 4, '', p.id, true, p.format, p.producer, p.name
FROM (SELECT package FROM package_files
      WHERE blob = (SELECT blob FROM this) AND repository IS NULL AND package > $8 ORDER BY package LIMIT $9) AS f,
LATERAL (SELECT * FROM packages WHERE id = f.package LIMIT 1) AS p`

var shownBy = map[digest.Algorithm]string{
	digest.SHA256: `WITH RECURSIVE this AS (SELECT sha256 AS blob FROM blobs WHERE sha256 = $1)` + shownSQL,
	digest.SHA512: `WITH RECURSIVE this AS (SELECT sha256 AS blob FROM blobs WHERE sha512 = $1)` + shownSQL,
	digest.BLAKE3: `WITH RECURSIVE this AS (SELECT sha256 AS blob FROM blobs WHERE blake3 = $1)` + shownSQL,
}

// Shown implements [registry.Retention].
func (r *Registry) Shown(ctx context.Context, d digest.Digest, actor string, now time.Time, after registry.ShownAfter, limit int) (registry.Shown, error) {
	sql, ok := shownBy[d.Algorithm()]
	if !ok || limit <= 0 {
		return registry.Shown{}, ctx.Err()
	}
	if !storable(actor) {
		actor = "" // who has no lease
	}
	rows, err := some(ctx, r, "what shows "+d.String(), pgx.RowToStructByPos[shownRow], sql, d.Sum(), actor, now,
		after.Leases, after.Manifests, after.Manifest, after.Files, after.Packages, limit)
	if err != nil {
		return registry.Shown{}, err
	}
	return pageOf(rows, after, limit), nil
}

type shownRow struct {
	Place    int
	At       string
	Position int64
	Counts   bool
	Format   registry.Format
	Producer string
	Name     string
}

// pageOf is what was found, with where to go on if a place had as much as was asked for.
func pageOf(rows []shownRow, next registry.ShownAfter, limit int) (found registry.Shown) {
	var places [5]int
	for _, row := range rows {
		places[row.Place]++
		switch row.Place {
		case 0:
			found.Leased = row.Counts
			continue
		case 1:
			next.Leases = row.At
		case 2:
			next.Manifests, next.Manifest = row.At, row.Position
		case 3:
			next.Files = row.At
		case 4:
			next.Packages = max(next.Packages, row.Position)
		}
		if row.Counts {
			p := registry.Package{PackageKey: registry.PackageKey{Producer: row.Producer, Name: row.Name}, Format: row.Format}
			found.Resources = append(found.Resources, p.Resource())
		}
	}
	slices.Sort(found.Resources)
	found.Resources = slices.Compact(found.Resources)
	if slices.Max(places[1:]) >= limit {
		found.Next = next
	}
	return found
}
