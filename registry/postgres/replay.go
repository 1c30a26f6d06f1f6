package postgres

import (
	"context"
	"fmt"
	"time"

	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

// shadows makes empty temporary tables with the names of the views. They come
// first in the search path, so the views' statements fill them on this
// connection; the views themselves are reached by their schema.
const shadowsSQL = `
CREATE TEMPORARY TABLE blobs (LIKE %[1]s.blobs INCLUDING ALL) ON COMMIT DROP;
CREATE TEMPORARY TABLE locations (LIKE %[1]s.locations INCLUDING ALL, FOREIGN KEY (blob) REFERENCES pg_temp.blobs) ON COMMIT DROP;
CREATE TEMPORARY TABLE leases (LIKE %[1]s.leases INCLUDING ALL, FOREIGN KEY (blob) REFERENCES pg_temp.blobs) ON COMMIT DROP;
CREATE TEMPORARY TABLE packages (LIKE %[1]s.packages INCLUDING ALL, FOREIGN KEY (manifest) REFERENCES pg_temp.blobs) ON COMMIT DROP;
CREATE TEMPORARY TABLE package_files (LIKE %[1]s.package_files INCLUDING ALL, FOREIGN KEY (blob) REFERENCES pg_temp.blobs,
    FOREIGN KEY (package) REFERENCES pg_temp.packages ON DELETE CASCADE) ON COMMIT DROP;
CREATE TEMPORARY TABLE tags (LIKE %[1]s.tags INCLUDING ALL, FOREIGN KEY (package) REFERENCES pg_temp.packages ON DELETE CASCADE) ON COMMIT DROP;
CREATE TEMPORARY TABLE package_labels (LIKE %[1]s.package_labels INCLUDING ALL, FOREIGN KEY (package) REFERENCES pg_temp.packages ON DELETE CASCADE) ON COMMIT DROP;
CREATE TEMPORARY TABLE holds (LIKE %[1]s.holds INCLUDING ALL, FOREIGN KEY (package) REFERENCES pg_temp.packages,
    FOREIGN KEY (root) REFERENCES pg_temp.packages) ON COMMIT DROP;
CREATE TEMPORARY TABLE removals (LIKE %[1]s.removals INCLUDING ALL) ON COMMIT DROP;
CREATE TEMPORARY TABLE package_totals (LIKE %[1]s.package_totals INCLUDING ALL) ON COMMIT DROP;
INSERT INTO pg_temp.package_totals VALUES ('open', 0), ('sealed', 0);
CREATE TEMPORARY TABLE totals (LIKE %[1]s.totals INCLUDING ALL) ON COMMIT DROP;
CREATE TEMPORARY TABLE location_totals (LIKE %[1]s.location_totals INCLUDING ALL) ON COMMIT DROP;
INSERT INTO pg_temp.totals (blobs, blob_bytes) VALUES (0, 0);
SET LOCAL enable_seqscan = off; -- tables that grow have no statistics; see writerSettings
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL plan_cache_mode = force_generic_plan;
SET LOCAL jit = off`

// tokensShadowSQL is apart because migration 4 finds no tokens.
const tokensShadowSQL = `CREATE TEMPORARY TABLE tokens (LIKE %s.tokens INCLUDING ALL) ON COMMIT DROP`

// replay is a reading of the whole log into shadows of the views, in one
// transaction.
type replay struct {
	conn     *pgx.Conn
	schema   string // of the views, quoted
	views    []view
	progress func(position, last uint64)
	last     int64 // position of the head
	read     int64 // position of the last record read
	at       time.Time
	report   registry.Report
}

// problem notes what is wrong. The first hundred are kept.
func (p *replay) problem(format string, args ...any) {
	if len(p.report.Problems) < maxProblems {
		p.report.Problems = append(p.report.Problems, fmt.Sprintf(format, args...))
	}
}

const maxProblems = 100

// begin makes the shadows, on a connection of its own.
func (p *replay) begin(ctx context.Context) error {
	var schema string
	err := p.conn.QueryRow(ctx, `SELECT relnamespace::regnamespace::text, position FROM pg_class, head WHERE oid = 'head'::regclass`).Scan(&schema, &p.last)
	if err != nil {
		return err
	}
	p.schema = schema // a regnamespace's text is quoted where it must be
	if _, err = p.conn.Exec(ctx, fmt.Sprintf(shadowsSQL, schema)); err != nil || len(p.views) < len(viewTables) {
		return err
	}
	_, err = p.conn.Exec(ctx, fmt.Sprintf(tokensShadowSQL, schema))
	return err
}

// readLog fills the shadows.
func (p *replay) readLog(ctx context.Context) error {
	for {
		rows, err := p.conn.Query(ctx, sinceSQL, p.read, pageSize)
		if err != nil {
			return err
		}
		page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[logRow])
		if err != nil {
			return err
		}
		if err := p.apply(ctx, page); err != nil {
			return err
		}
		if p.progress != nil {
			p.progress(uint64(p.read), uint64(p.last))
		}
		if len(page) < pageSize {
			break
		}
	}
	if p.read != p.last {
		p.problem("the log ends at position %d, its head says %d", p.read, p.last)
	}
	p.report.Position = uint64(p.read)
	return p.conn.QueryRow(ctx, `SELECT count(*) FROM pg_temp.blobs`).Scan(&p.report.Blobs)
}

// apply applies a page of the log, in stretches without a gap.
func (p *replay) apply(ctx context.Context, page []logRow) error {
	var facts []fact
	base := p.read
	flush := func(next int64) error {
		err := p.stretch(ctx, base, facts)
		base, facts = next, nil
		return err
	}
	for _, row := range page {
		rec, ok := p.examine(row)
		if row.Position != base+int64(len(facts))+1 {
			if err := flush(row.Position - 1); err != nil {
				return err
			}
		}
		if ok {
			at := rec.Time
			facts = append(facts, fact{at: &at, actor: rec.Actor, data: rec.Data})
		}
	}
	return flush(p.read)
}

// examine reports whether a row is a record that stands where it should.
func (p *replay) examine(row logRow) (registry.Record, bool) {
	if row.Position != p.read+1 {
		p.problem("the log has a gap: position %d follows %d", row.Position, p.read)
	}
	if row.RecordedAt.Before(p.at) {
		p.problem("record %d is earlier than the one before it", row.Position)
	}
	p.read, p.at = row.Position, row.RecordedAt
	rec, err := row.record()
	if err == nil {
		_, err = registry.Encode(rec)
	}
	if err == nil && !meaningful(rec.Data) {
		err = fmt.Errorf("%w: %s has no meaning for the views", registry.ErrRecord, row.Type)
	}
	if err != nil {
		p.problem("record %d: %v", row.Position, err)
	}
	return rec, err == nil
}

// stretch applies events that follow a position. What does not fit is found by
// halving, as for an append.
func (p *replay) stretch(ctx context.Context, base int64, facts []fact) error {
	if len(facts) == 0 {
		return nil
	}
	b := &pgx.Batch{}
	b.Queue("SAVEPOINT stretch")
	queueViews(b, &base, facts)
	b.Queue("RELEASE SAVEPOINT stretch")
	err := p.conn.SendBatch(ctx, b).Close()
	if err == nil || !refused(err) {
		return err
	}
	if _, undo := p.conn.Exec(ctx, "ROLLBACK TO SAVEPOINT stretch"); undo != nil {
		return undo
	}
	if len(facts) == 1 {
		p.problem("record %d (%s) does not fit what came before: %v", base+1, facts[0].data.Type(), err)
		return nil
	}
	half := len(facts) / 2
	if err := p.stretch(ctx, base, facts[:half]); err != nil {
		return err
	}
	return p.stretch(ctx, base+int64(half), facts[half:])
}
