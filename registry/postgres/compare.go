package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// view is a table that equals its shadow after a replay, with an expression that
// names a row in a report.
type view struct {
	table string
	key   string
}

// viewTables are in the order in which rows may be inserted, and in which rows that
// go take others with them.
var viewTables = []view{
	{"blobs", `'blob sha256:' || encode(sha256, 'hex')`},
	{"locations", `'the location of sha256:' || encode(blob, 'hex') || ' on ' || backend_id`},
	{"leases", `'the lease of ' || repository || actor || ' on sha256:' || encode(blob, 'hex')`},
	{"packages", `'package ' || producer || '/' || name || '/' || version`},
	{"package_files", `'file ' || path || ' of the package made at ' || package`},
	{"package_labels", `'label ' || key || ' of package ' || producer || '/' || name || '/' || version`},
	{"holds", `'hold ' || hold || ' on the package made at ' || package || ' of that made at ' || root`},
	{"removals", `'the removal of sha256:' || encode(sha256, 'hex') || ' from ' || backend_id`},
	{"tags", `'tag ' || repository || ':' || tag`},
	{"tokens", `'token ' || id`},
	{"package_totals", `'the total of ' || state || ' packages'`},
	{"totals", `'the total of blobs'`},
	{"location_totals", `'the total of locations ' || state || ' on ' || backend_id`},
}

// derivedViews are those that migration 4 finds: no log that was there before it has
// a token.
var derivedViews = slices.DeleteFunc(slices.Clone(viewTables), func(v view) bool { return v.table == "tokens" })

// differSQL yields the names of rows that are only in the view, only in the
// replay, or differ.
const differSQL = `
WITH extra AS (SELECT %[2]s AS key FROM (SELECT * FROM %[3]s.%[1]s EXCEPT SELECT * FROM pg_temp.%[1]s) AS v),
missing AS (SELECT %[2]s AS key FROM (SELECT * FROM pg_temp.%[1]s EXCEPT SELECT * FROM %[3]s.%[1]s) AS v)
SELECT coalesce(extra.key, missing.key), extra.key IS NOT NULL, missing.key IS NOT NULL
FROM extra FULL JOIN missing ON extra.key = missing.key ORDER BY 1 LIMIT $1`

// Whole tables are compared: what the replay switched off comes back.
const wholeTablesSQL = `
SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on;
SET LOCAL plan_cache_mode = auto;
SET LOCAL work_mem = '64MB'; ANALYZE pg_temp.blobs, pg_temp.locations, pg_temp.leases, pg_temp.packages, pg_temp.package_files, pg_temp.package_labels, pg_temp.tags, pg_temp.holds, pg_temp.removals`

// compare compares the views with their shadows.
func (p *replay) compare(ctx context.Context) error {
	if _, err := p.conn.Exec(ctx, wholeTablesSQL); err != nil {
		return err
	}
	for _, v := range p.views {
		if err := p.compareView(ctx, v); err != nil {
			return fmt.Errorf("compare %s: %w", v.table, err)
		}
	}
	return p.compareUploads(ctx)
}

func (p *replay) compareView(ctx context.Context, v view) error {
	rows, err := p.conn.Query(ctx, fmt.Sprintf(differSQL, v.table, v.key, p.schema), maxProblems)
	if err != nil {
		return err
	}
	var key string
	var inView, inReplay bool
	_, err = pgx.ForEachRow(rows, []any{&key, &inView, &inReplay}, func() error {
		switch {
		case inView && inReplay:
			p.problem("%s differs from the replay of the log", key)
		case inView:
			p.problem("%s does not follow from the log", key)
		default:
			p.problem("%s is missing", key)
		}
		return nil
	})
	return err
}

const countUploadsSQL = `
SELECT t.shard, t.uploads, c.uploads
FROM upload_totals AS t, LATERAL (SELECT count(*) AS uploads FROM uploads WHERE finished IS NULL AND upload_shard(id) = t.shard) AS c
WHERE t.uploads <> c.uploads`

func (p *replay) compareUploads(ctx context.Context) error {
	rows, err := p.conn.Query(ctx, countUploadsSQL)
	if err != nil {
		return err
	}
	var shard, kept, counted int64
	_, err = pgx.ForEachRow(rows, []any{&shard, &kept, &counted}, func() error {
		p.problem("the total of upload sessions, shard %d, is %d and should be %d", shard, kept, counted)
		return nil
	})
	return err
}
