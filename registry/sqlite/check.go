package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"artifactstore/registry"
)

// Check implements registry.Keeper. Besides what the interface says it has SQLite
// check the file's own structure. It holds a snapshot only while it compares.
func (r *Registry) Check(ctx context.Context, progress func(position, last uint64)) (registry.Report, error) {
	report, err := r.replay(ctx, progress, (*replay).check)
	if err != nil {
		return registry.Report{}, fmt.Errorf("check registry: %w", err)
	}
	return report, nil
}

// Rebuild implements registry.Keeper. It replays the log beside other writers and
// takes the write lock only to read the rest, compare, and write what differs;
// meanwhile they wait.
func (r *Registry) Rebuild(ctx context.Context, progress func(position, last uint64)) (registry.Report, error) {
	report, err := r.replay(ctx, progress, func(p *replay, ctx context.Context) error {
		return p.rebuild(ctx, r.options.Busy)
	})
	if err != nil {
		return registry.Report{}, fmt.Errorf("rebuild registry: %w", err)
	}
	return report, nil
}

// replay replays the log and has do finish the work.
func (r *Registry) replay(ctx context.Context, progress func(position, last uint64), do func(*replay, context.Context) error) (_ registry.Report, err error) {
	if err := r.gate.enter(); err != nil {
		return registry.Report{}, err
	}
	defer r.gate.leave()
	c, err := openReplay(ctx, r.options.Path, r.options.Busy)
	if err != nil {
		return registry.Report{}, translate(err)
	}
	defer func() { err = translate(errors.Join(err, c.close())) }()
	p := &replay{conn: c, views: views, gate: r.gate, progress: progress}
	if err := p.catchUp(ctx); err != nil {
		return registry.Report{}, err
	}
	if err := do(p, ctx); err != nil {
		return registry.Report{}, err
	}
	p.report.Position = uint64(p.position)
	return p.report, nil
}

func (p *replay) check(ctx context.Context) error {
	return inOrder(ctx,
		p.run("BEGIN"), p.rest, p.compare, p.integrity, p.run("ROLLBACK"))
}

func (p *replay) rebuild(ctx context.Context, busy time.Duration) error {
	return inOrder(ctx,
		p.run("PRAGMA busy_timeout = 0"),
		func(context.Context) error { return beginImmediate(p.conn, busy) },
		p.rest, p.compare, p.mend, p.run("COMMIT"))
}

// compare notes everything that differs.
func (p *replay) compare(ctx context.Context) error {
	return inOrder(ctx, p.compareHead, p.compareViews, p.compareTotals, p.countBlobs)
}

func (p *replay) countBlobs(ctx context.Context) error {
	return p.conn.query(ctx, "SELECT count(*) FROM main.blobs", func(row []driver.Value) error {
		p.report.Blobs = row[0].(int64)
		return nil
	})
}

// integrity has SQLite check the registry's file: its pages, indexes and
// constraints.
func (p *replay) integrity(ctx context.Context) error {
	err := p.conn.query(ctx, fmt.Sprintf("PRAGMA registry.integrity_check(%d)", maxProblems), func(row []driver.Value) error {
		if row[0] != "ok" {
			p.problem("the file is damaged: %v", row[0])
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.conn.query(ctx, "PRAGMA registry.foreign_key_check", func(row []driver.Value) error {
		p.problem("a row of %v refers to a row of %v that is not there", row[0], row[2])
		return nil
	})
}

// mend makes the views equal the replay. The counts are made true first, for the
// triggers go on from them, and a count below nought would be refused. All wrong rows
// leave before one comes: those that hang on them leave with them, and come again.
func (p *replay) mend(ctx context.Context) error {
	steps := []string{
		"PRAGMA defer_foreign_keys = ON", // the tables agree again when all are done
		"INSERT OR REPLACE INTO registry.totals (only, blobs, blob_bytes, uploads, open_packages, sealed_packages) SELECT 1, (SELECT count(*) FROM registry.blobs), " +
			"(SELECT coalesce(sum(size), 0) FROM registry.blobs), (SELECT count(*) FROM registry.uploads WHERE finished IS NULL), " +
			"(SELECT count(*) FROM registry.packages WHERE state = 'open'), (SELECT count(*) FROM registry.packages WHERE state = 'sealed')",
		"DELETE FROM registry.repositories",
		"INSERT INTO registry.repositories SELECT name, count(*) FROM registry.packages WHERE format = 'oci' GROUP BY name",
		"DELETE FROM registry.location_totals",
		"INSERT INTO registry.location_totals SELECT backend_id, state, count(*) FROM registry.locations GROUP BY backend_id, state " +
			"UNION ALL SELECT backend_id, 'removing', count(*) FROM registry.removals WHERE ended = 0 GROUP BY backend_id",
		fmt.Sprintf("INSERT OR REPLACE INTO registry.head VALUES (1, %d, %d)", p.position, p.time),
	}
	for _, v := range p.views {
		steps = append(steps, v.clean())
	}
	for _, v := range p.views {
		steps = append(steps, v.fill())
	}
	for _, s := range steps {
		if err := p.conn.script(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// run is the step that runs a statement.
func (p *replay) run(sql string) func(context.Context) error {
	return func(ctx context.Context) error { return p.conn.script(ctx, sql) }
}

func inOrder(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}
