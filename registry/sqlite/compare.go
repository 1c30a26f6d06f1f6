package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"
)

// view is a table that must equal its replay.
type view struct {
	name    string
	columns []string
	keys    int // the first columns are the key
}

var views = []view{
	{"blobs", []string{"position", "sha256", "blake3", "sha512", "size", "stored_at", "refs", "dropped"}, 1},
	{"locations", []string{"blob", "backend_id", "state", "reason", "failed", "recorded_at", "position", "verified_at"}, 2},
	{"leases", []string{"blob", "repository", "actor", "until", "producer", "retention_class"}, 3},
	{"packages", []string{
		"position", "producer", "name", "version", "format", "state", "retention_class", "manifest", "media_type",
		"artifact_type", "subject", "named", "annotations", "revision", "created_at", "changed_at",
	}, 1},
	{"package_files", []string{"package", "path", "blob", "repository"}, 2},
	{"package_labels", []string{"key", "value", "producer", "name", "version", "package"}, 5},
	{"tags", []string{"repository", "tag", "package", "named", "set_at"}, 2},
	{"holds", []string{"package", "root", "hold", "actor", "held_at"}, 3},
	{"removals", []string{"sha256", "backend_id", "cause", "since", "position", "ended"}, 2},
	{"tokens", []string{"id", "principal", "sha256", "grants", "created_by", "created_at", "expires_at", "revoked_at"}, 1},
}

// derivedViews are those that migration 4 finds: no log that was there before it has
// a token.
var derivedViews = slices.DeleteFunc(slices.Clone(views), func(v view) bool { return v.name == "tokens" })

// absent is the condition that a row of table a is not in a schema's view, found
// by key: nothing is sorted or kept.
func (v view) absent(schema string) string {
	same := make([]string, len(v.columns))
	for i, c := range v.columns {
		operator := "IS"
		if i < v.keys {
			operator = "="
		}
		same[i] = fmt.Sprintf("b.%s %s a.%s", c, operator, c)
	}
	return fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s.%s AS b WHERE %s)", schema, v.name, strings.Join(same, " AND "))
}

// only selects the rows that one schema's view has and another's has not.
func (v view) only(in, notIn string) string {
	return fmt.Sprintf("SELECT %s FROM %s.%s AS a WHERE %s LIMIT %d",
		strings.Join(v.columns, ", "), in, v.name, v.absent(notIn), maxProblems)
}

// clean removes the rows that the replay has not.
func (v view) clean() string {
	return fmt.Sprintf("DELETE FROM registry.%s AS a WHERE %s", v.name, v.absent("main"))
}

// fill adds the rows that only the replay has.
func (v view) fill() string {
	columns := strings.Join(v.columns, ", ")
	return fmt.Sprintf("INSERT INTO registry.%s (%s) SELECT %s FROM main.%s AS a WHERE %s",
		v.name, columns, columns, v.name, v.absent("registry"))
}

// compareViews notes the rows in which views and replay differ.
func (p *replay) compareViews(ctx context.Context) error {
	for _, v := range p.views {
		err := p.conn.query(ctx, v.only("main", "registry"), func(row []driver.Value) error {
			p.problem("%s lacks a row that the log implies: %s", v.name, v.show(row))
			return nil
		})
		if err != nil {
			return err
		}
		err = p.conn.query(ctx, v.only("registry", "main"), func(row []driver.Value) error {
			p.problem("%s has a row that the log does not imply: %s", v.name, v.show(row))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (v view) show(row []driver.Value) string {
	parts := make([]string, len(row))
	for i, value := range row {
		format := "%s %v"
		if _, ok := value.([]byte); ok {
			format = "%s %x"
		}
		parts[i] = fmt.Sprintf(format, v.columns[i], value)
	}
	return strings.Join(parts, ", ")
}

// counts pairs what is kept with what it must be, each as (what, count).
const (
	keptCounts = `
SELECT 'blobs' AS what, blobs AS n FROM registry.totals
UNION ALL SELECT 'blob_bytes', blob_bytes FROM registry.totals
UNION ALL SELECT 'uploads', uploads FROM registry.totals
UNION ALL SELECT 'open packages', open_packages FROM registry.totals
UNION ALL SELECT 'sealed packages', sealed_packages FROM registry.totals
UNION ALL SELECT 'manifests of ' || name, manifests FROM registry.repositories
UNION ALL SELECT 'locations ' || state || ' on ' || backend_id, locations FROM registry.location_totals WHERE locations <> 0`

	realCounts = `
SELECT 'blobs' AS what, count(*) AS n FROM registry.blobs
UNION ALL SELECT 'blob_bytes', coalesce(sum(size), 0) FROM registry.blobs
UNION ALL SELECT 'uploads', count(*) FROM registry.uploads WHERE finished IS NULL
UNION ALL SELECT 'open packages', count(*) FROM registry.packages WHERE state = 'open'
UNION ALL SELECT 'sealed packages', count(*) FROM registry.packages WHERE state = 'sealed'
UNION ALL SELECT 'manifests of ' || name, count(*) FROM registry.packages WHERE format = 'oci' GROUP BY name
UNION ALL SELECT 'locations ' || state || ' on ' || backend_id, count(*) FROM registry.locations GROUP BY state, backend_id
UNION ALL SELECT 'locations removing on ' || backend_id, count(*) FROM registry.removals WHERE ended = 0 GROUP BY backend_id`

	compareCounts = `SELECT what, kept.n, counted.n
FROM (` + keptCounts + `) kept FULL JOIN (` + realCounts + `) counted USING (what)
WHERE kept.n IS NOT counted.n ORDER BY what`
)

// compareTotals notes the totals that differ from the count.
func (p *replay) compareTotals(ctx context.Context) error {
	return p.conn.query(ctx, compareCounts, func(row []driver.Value) error {
		p.problem("total %v is kept as %v, counted it is %v", row[0], number(row[1]), number(row[2]))
		return nil
	})
}

func number(v driver.Value) driver.Value {
	if v == nil {
		return 0
	}
	return v
}

// compareHead notes a head that is not the end of the log.
func (p *replay) compareHead(ctx context.Context) error {
	seen := false
	err := p.conn.query(ctx, replayHead, func(row []driver.Value) error {
		seen = true
		if row[0] != p.position || row[1] != p.time {
			p.problem("the head says that the last event is %v at %v, the log ends with %d at %d", row[0], row[1], p.position, p.time)
		}
		return nil
	})
	if err == nil && !seen {
		p.problem("the head of the log is missing")
	}
	return err
}
