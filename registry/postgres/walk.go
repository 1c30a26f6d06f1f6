package postgres

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

// A walk reads rows in the order of a key, a window at a time, and answers with
// those that pass a filter, until it has as many as it was asked for or has read a
// bounded number: its page may be short. The query of a window yields what passes,
// and its last row in any case, so that the walk knows where it ended.

// walkRows is how many rows a walk reads at most.
const walkRows = 10_000

// walked is a row that a window yields.
type walked[T any] struct {
	passes bool
	rows   int // how many the window has
	value  T
}

// walk returns at most limit values that pass. window returns one that begins
// after a value, nil at the start, has at most size rows, and yields at most most
// that pass. last is nil when nothing is left.
func walk[T any](limit int, window func(after *T, size, most int) ([]walked[T], error)) (page []T, last *T, err error) {
	if limit <= 0 {
		return nil, nil, nil
	}
	for read, size := 0, min(limit, walkRows); size > 0; size = min(10*size, walkRows-read) {
		rows, err := window(last, size, limit-len(page))
		if err != nil {
			return nil, nil, err
		}
		n := 0
		for _, row := range rows {
			n, last = row.rows, &row.value
			if !row.passes {
				continue
			}
			page = append(page, row.value)
			if len(page) == limit {
				return page, last, nil
			}
		}
		if n < size {
			return page, nil, nil
		}
		read += n
	}
	return page, last, nil
}

// windowSQL makes the query of a window: rows are what it reads, in an order,
// passes the condition on a row w. What follows are columns and further tables of
// row p. $1 is the size, $2 how many may pass.
func windowSQL(rows, order, passes, columns, more string) string {
	return `
SELECT p.passes, p.n, ` + columns + `
FROM (SELECT w.*, count(*) OVER () AS n, row_number() OVER o AS i, count(*) FILTER (WHERE w.passes) OVER o AS passed
      FROM (SELECT w.*, coalesce(` + passes + `, false) AS passes FROM (` + rows + ` ORDER BY ` + order + ` LIMIT $1) AS w) AS w
      WINDOW o AS (ORDER BY ` + order + `)) AS p` + more + `
WHERE (p.passes AND p.passed <= $2) OR p.i = p.n ORDER BY p.i`
}

// $3, $4, $5 are the key that the window begins after.
const (
	afterKey        = `(producer, name, version) > ($3, $4, $5)`
	afterInProducer = `producer = $3 AND (name, version) > ($4, $5)`
	afterInName     = `producer = $3 AND name = $4 AND version > $5`

	keyOrder = `producer, name, version`

	packagePasses = `(($6::text = '' OR w.name = $6) AND ($7::text = '' OR w.format = $7) AND ($8::text = '' OR w.state = $8)
        AND ($9::text = '' OR w.retention_class = $9) AND ($10::jsonb IS NULL OR w.labels @> $10))`
)

// packagesSQL is a window through all packages.
func packagesSQL(within string) string {
	return windowSQL(`SELECT * FROM packages WHERE `+within, keyOrder, packagePasses, packageColumns, "")
}

// labelledSQL is a window through the packages with label $11 of value $12. The inner
// limits keep the planner from anything but a look-up for each row.
func labelledSQL(within string) string {
	return windowSQL(`
SELECT p.* FROM (SELECT * FROM package_labels WHERE key = $11 AND value = $12 AND `+within+` ORDER BY `+keyOrder+` LIMIT $1) AS l,
LATERAL (SELECT * FROM packages WHERE id = l.package LIMIT 1) AS p`, keyOrder, packagePasses, packageColumns, "")
}

// ListPackages implements [registry.Retention].
func (r *Registry) ListPackages(ctx context.Context, f registry.PackageFilter, after registry.PackageKey, limit int) ([]registry.Package, registry.PackageKey, error) {
	within, from, left := rangeOf(f, storableKey(after))
	if !left || !storableLabels(f.Labels) {
		return nil, registry.PackageKey{}, ctx.Err()
	}
	sql, label := packagesSQL(within), []any(nil)
	if len(f.Labels) > 0 {
		key := slices.Min(slices.Collect(maps.Keys(f.Labels)))
		sql, label = labelledSQL(within), []any{key, f.Labels[key]}
	}
	page, last, err := walk(limit, func(last *registry.Package, size, most int) ([]walked[registry.Package], error) {
		begin := from
		if last != nil {
			begin = last.PackageKey
		}
		args := []any{size, most, begin.Producer, begin.Name, begin.Version, f.Name, string(f.Format), string(f.State), f.RetentionClass, texts(f.Labels)}
		rows, err := some(ctx, r, "list packages", scanWalked(scanPackageBehind), sql, append(args, label...)...)
		for i := range rows {
			rows[i].passes = rows[i].passes && rows[i].value.Compare(after) > 0 // see storableKey
		}
		return rows, err
	})
	if err != nil || last == nil {
		return page, registry.PackageKey{}, err
	}
	return page, last.PackageKey, nil
}

// storableLabels reports whether PostgreSQL can hold labels. In JSON, as a filter has
// them, other texts would stand for what they are not.
func storableLabels(labels map[string]string) bool {
	for k, v := range labels {
		if !storable(k) || !storable(v) {
			return false
		}
	}
	return true
}

// rangeOf returns where a filter lets a walk go, and the key it begins after; left is
// false if there is nothing.
func rangeOf(f registry.PackageFilter, after registry.PackageKey) (within string, from registry.PackageKey, left bool) {
	from = after
	if f.Producer == "" {
		return afterKey, from, true
	}
	switch c := cmp.Compare(after.Producer, f.Producer); {
	case c > 0:
		return "", from, false
	case c < 0:
		from = registry.PackageKey{Producer: f.Producer}
	}
	if f.Name == "" {
		return afterInProducer, from, true
	}
	switch c := cmp.Compare(from.Name, f.Name); {
	case c > 0:
		return "", from, false
	case c < 0:
		from = registry.PackageKey{Producer: f.Producer, Name: f.Name}
	}
	return afterInName, from, true
}

// collectableSQL is a window through the blobs after $3 that are collectable where
// they have been idle since $4.
var collectableSQL = windowSQL(`SELECT b.*, `+idleSQL+` AS since FROM blobs AS b WHERE sha256 > $3`, `sha256`,
	`(w.refs = 0 AND w.since <= $4)`, `p.since, `+blobColumns, `, LATERAL (SELECT p.*) AS b, `+blobLocations)

// Collectable implements [registry.Retention].
func (r *Registry) Collectable(ctx context.Context, t time.Time, grace time.Duration, after digest.Digest, limit int) ([]registry.Idle, digest.Digest, error) {
	page, last, err := walk(limit, func(last *registry.Idle, size, most int) ([]walked[registry.Idle], error) {
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

// scanWalked scans what a window yields; behind scans the value, behind other columns.
func scanWalked[T any](behind func(row pgx.CollectableRow, before ...any) (T, error)) pgx.RowToFunc[walked[T]] {
	return func(row pgx.CollectableRow) (w walked[T], err error) {
		w.value, err = behind(row, &w.passes, &w.rows)
		return w, err
	}
}

func scanPackageBehind(row pgx.CollectableRow, before ...any) (registry.Package, error) {
	var p packageRow
	if err := row.Scan(append(before, p.targets()...)...); err != nil {
		return registry.Package{}, err
	}
	return p.value()
}

func scanIdleBehind(row pgx.CollectableRow, before ...any) (registry.Idle, error) {
	var b blobRow
	var since time.Time
	if err := row.Scan(append(append(before, &since), b.targets()...)...); err != nil {
		return registry.Idle{}, err
	}
	return registry.Idle{Blob: b.blob(), Since: since.UTC()}, nil
}
