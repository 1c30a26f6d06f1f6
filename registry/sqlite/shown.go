package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// selectShown reads a page of each place that says what shows blob ?1 to actor ?2 at
// ?3, a row a step: its leases, the packages whose manifest it is, the repositories and
// the packages of files that name it. A repository is found from the one before it by
// the index, however many manifests of it name the blob. The columns are the place,
// where the step has come to, whether the row counts, and the package it is of.
const selectShown = `WITH RECURSIVE this (blob) AS (SELECT position FROM blobs WHERE %s = ?1),
step (repository) AS (
  SELECT (SELECT f.repository FROM package_files f WHERE f.blob = this.blob AND f.repository > ?7 ORDER BY f.repository LIMIT 1) FROM this
  UNION ALL
  SELECT (SELECT f.repository FROM package_files f WHERE f.blob = this.blob AND f.repository > step.repository ORDER BY f.repository LIMIT 1)
  FROM step, this WHERE step.repository IS NOT NULL LIMIT ?9 + 0)
SELECT * FROM (SELECT 0, '', 0, until > ?3, '', '', '' FROM leases WHERE blob = (SELECT blob FROM this) AND repository = '' AND actor = ?2)
UNION ALL
SELECT * FROM (SELECT 1, repository, 0, until > ?3, 'oci', '', repository FROM leases
  WHERE blob = (SELECT blob FROM this) AND repository > ?4 ORDER BY repository LIMIT ?9 + 0)
UNION ALL
SELECT * FROM (SELECT 2, name, position, 1, format, producer, name FROM packages
  WHERE manifest = (SELECT blob FROM this) AND (name, position) > (?5, ?6) ORDER BY name, position LIMIT ?9 + 0)
UNION ALL
SELECT 3, repository, 0, 1, 'oci', '', repository FROM step WHERE repository IS NOT NULL
UNION ALL
SELECT 4, '', p.position, 1, p.format, p.producer, p.name
FROM (SELECT package FROM package_files
  WHERE blob = (SELECT blob FROM this) AND repository IS NULL AND package > ?8 ORDER BY package LIMIT ?9 + 0) f
CROSS JOIN packages p ON p.position = f.package`

var selectShownBy = byDigest(selectShown)

// Shown implements registry.Retention.
func (r *Registry) Shown(ctx context.Context, d digest.Digest, actor string, now time.Time, after registry.ShownAfter, limit int) (registry.Shown, error) {
	sql := selectShownBy[d.Algorithm()]
	if sql == "" || limit <= 0 {
		return registry.Shown{}, ctx.Err()
	}
	w := shownWalk{next: after, limit: limit}
	err := r.read(ctx, func(c *conn) error {
		return c.query(context.Background(), sql, w.add, d.Sum(), actor, micros(now),
			after.Leases, after.Manifests, after.Manifest, after.Files, after.Packages, int64(limit))
	})
	if err != nil {
		return registry.Shown{}, fmt.Errorf("what shows %s: %w", d, err)
	}
	return w.page(), nil
}

// shownWalk collects the rows of a page.
type shownWalk struct {
	found registry.Shown
	next  registry.ShownAfter
	rows  [5]int // of each place
	limit int
}

func (w *shownWalk) add(row []driver.Value) error {
	place, name, position, counts := row[0].(int64), row[1].(string), row[2].(int64), row[3].(int64) != 0
	w.rows[place]++
	switch place {
	case 0:
		w.found.Leased = counts
		return nil
	case 1:
		w.next.Leases = name
	case 2:
		w.next.Manifests, w.next.Manifest = name, position
	case 3:
		w.next.Files = name
	case 4:
		w.next.Packages = position
	}
	if counts {
		p := registry.Package{Format: registry.Format(row[4].(string))}
		p.Producer, p.Name = row[5].(string), row[6].(string)
		w.found.Resources = append(w.found.Resources, p.Resource())
	}
	return nil
}

// page is what was found, with where to go on if a place had as much as was asked for.
func (w *shownWalk) page() registry.Shown {
	slices.Sort(w.found.Resources)
	w.found.Resources = slices.Compact(w.found.Resources)
	if slices.Max(w.rows[1:]) >= w.limit {
		w.found.Next = w.next
	}
	return w.found
}
