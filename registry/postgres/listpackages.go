package postgres

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

// $3, $4, $5 are the key that the window begins after.
const (
	afterKey        = `(producer, name, version) > ($3, $4, $5)`
	afterInProducer = `producer = $3 AND (name, version) > ($4, $5)`
	afterInName     = `producer = $3 AND name = $4 AND version > $5`

	// onlyOpen lets a walk read the index packages_open, where the state is no parameter.
	onlyOpen = `state = 'open' AND `

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
	if f.State == registry.Open {
		sql = packagesSQL(onlyOpen + within)
	}
	if len(f.Labels) > 0 {
		key := slices.Min(slices.Collect(maps.Keys(f.Labels)))
		sql, label = labelledSQL(within), []any{key, f.Labels[key]}
	}
	page, last, err := walk(limit, walkRows, func(last *registry.Package, size, most int) ([]walked[registry.Package], error) {
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

// storableKey returns the last key not after another that PostgreSQL takes.
func storableKey(k registry.PackageKey) registry.PackageKey {
	switch {
	case !storable(k.Producer):
		return registry.PackageKey{Producer: storablePart(k.Producer)}
	case !storable(k.Name):
		return registry.PackageKey{Producer: k.Producer, Name: storablePart(k.Name)}
	}
	k.Version = storablePart(k.Version)
	return k
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

func scanPackageBehind(row pgx.CollectableRow, before ...any) (registry.Package, error) {
	var p packageRow
	if err := row.Scan(append(before, p.targets()...)...); err != nil {
		return registry.Package{}, err
	}
	return p.value()
}
