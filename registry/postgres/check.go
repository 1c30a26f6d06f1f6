package postgres

import (
	"context"
	"fmt"

	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

// Check implements [registry.Keeper]. It sees one moment: a repeatable read. Its
// shadows of the views are temporary tables, so it needs the right to make such,
// and disk for as much as the views take.
func (r *Registry) Check(ctx context.Context, progress func(position, last uint64)) (registry.Report, error) {
	return r.replay(ctx, viewTables, progress, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(p *replay) error {
		if err := p.begin(ctx); err != nil {
			return err
		}
		if err := p.readLog(ctx); err != nil {
			return err
		}
		return p.compare(ctx)
	})
}

// Rebuild implements [registry.Keeper]. It holds the head's row until its
// commit: appends wait, and are registry.ErrUnavailable where it takes longer
// than [Options.Timeout]; readers see the old views until then. Where the log
// itself is damaged it changes nothing and returns the report with
// registry.ErrRecord.
func (r *Registry) Rebuild(ctx context.Context, progress func(position, last uint64)) (registry.Report, error) {
	return r.rebuild(ctx, viewTables, progress)
}

func (r *Registry) rebuild(ctx context.Context, views []view, progress func(position, last uint64)) (registry.Report, error) {
	return r.replay(ctx, views, progress, pgx.TxOptions{}, func(p *replay) error {
		if _, err := p.conn.Exec(ctx, `SELECT FROM head FOR UPDATE`); err != nil {
			return err
		}
		if err := p.begin(ctx); err != nil {
			return err
		}
		if err := p.readLog(ctx); err != nil {
			return err
		}
		if n := len(p.report.Problems); n > 0 {
			return fmt.Errorf("%w: the log is damaged, nothing was changed: %s", registry.ErrRecord, p.report.Problems[0])
		}
		if _, err := p.conn.Exec(ctx, lockUploadsSQL); err != nil {
			return err
		}
		if err := p.compare(ctx); err != nil {
			return err
		}
		return p.replace(ctx)
	})
}

// replay opens a connection for one replay and does it in one transaction.
func (r *Registry) replay(ctx context.Context, views []view, progress func(position, last uint64), o pgx.TxOptions, do func(*replay) error) (registry.Report, error) {
	if r.closed() {
		return registry.Report{}, translate(ctx, errClosed)
	}
	conn, err := r.options.connect(ctx)
	if err != nil {
		return registry.Report{}, translate(ctx, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	p := &replay{conn: conn, views: views, progress: progress}
	if _, err := conn.Exec(ctx, `SET temp_buffers = '64MB'`); err != nil {
		return registry.Report{}, translate(ctx, err)
	}
	err = pgx.BeginTxFunc(ctx, conn, o, func(pgx.Tx) error { return do(p) })
	if err != nil {
		return p.report, fmt.Errorf("replay the log: %w", translate(ctx, err))
	}
	return p.report, nil
}

// Sessions are opened and closed without the head's lock: while they are counted
// anew they wait. The order is that of their own statements.
const lockUploadsSQL = `
LOCK TABLE uploads IN SHARE ROW EXCLUSIVE MODE; LOCK TABLE upload_totals IN SHARE ROW EXCLUSIVE MODE`

// replaceSQL makes a view equal its shadow by changing only what differs.
const (
	deleteExtraSQL   = `DELETE FROM %[2]s.%[1]s AS v USING (SELECT * FROM %[2]s.%[1]s EXCEPT SELECT * FROM pg_temp.%[1]s) AS extra WHERE v = extra`
	insertMissingSQL = `INSERT INTO %[2]s.%[1]s SELECT * FROM pg_temp.%[1]s EXCEPT SELECT * FROM %[2]s.%[1]s`
	recountSQL       = `UPDATE upload_totals AS t SET uploads = (SELECT count(*) FROM uploads WHERE finished IS NULL AND upload_shard(id) = t.shard)`
)

// replace replaces the views by their shadows. Foreign keys are checked at the
// commit, because a row that is replaced is away for a moment.
func (p *replay) replace(ctx context.Context) error {
	b := &pgx.Batch{}
	b.Queue(`SET CONSTRAINTS ALL DEFERRED`)
	for _, v := range p.views {
		b.Queue(fmt.Sprintf(deleteExtraSQL, v.table, p.schema))
		b.Queue(fmt.Sprintf(insertMissingSQL, v.table, p.schema))
	}
	b.Queue(recountSQL)
	return p.conn.SendBatch(ctx, b).Close()
}
