package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"artifactstore/registry"
)

// maxProblems is how many problems a report names.
const maxProblems = 100

// replay is the log applied anew: a database of the same schema in an unnamed
// temporary file, which SQLite removes by itself whatever happens, with
// the registry's file attached as "registry". Memory is bounded by the page cache.
type replay struct {
	conn     *conn
	views    []view // those of the registry's file
	gate     *gate
	progress func(position, last uint64)
	position int64 // of the last event read
	time     int64 // of the last event read
	report   registry.Report
}

// openReplay makes an empty replay.
func openReplay(ctx context.Context, path string, busy time.Duration) (*conn, error) {
	c, err := dial("", busy, "foreign_keys(1)", "journal_mode(MEMORY)", "synchronous(OFF)", "cache_size(-16000)")
	if err != nil {
		return nil, err
	}
	err = createSchema(ctx, c)
	if err == nil {
		_, err = c.exec(ctx, "ATTACH ?1 AS registry", fileURI(path))
	}
	if err == nil {
		err = c.script(ctx, "PRAGMA registry.synchronous = FULL")
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// createSchema runs the migrations, whose annotations are comments to SQLite.
func createSchema(ctx context.Context, c *conn) error {
	names, err := fs.Glob(migrations(), "*.sql")
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		text, err := fs.ReadFile(migrations(), name)
		if err != nil {
			return err
		}
		if err := c.script(ctx, string(text)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// catchUp reads the log to its present end, a page and a short transaction at a
// time: a long one would keep the registry's write-ahead log from being reused.
func (p *replay) catchUp(ctx context.Context) error {
	for {
		if err := p.conn.script(ctx, "BEGIN"); err != nil {
			return err
		}
		n, err := p.page(ctx)
		if err != nil {
			return err // the connection is not used again
		}
		if err := p.conn.script(ctx, "COMMIT"); err != nil {
			return err
		}
		if n < page {
			return nil
		}
	}
}

// rest reads what the log has to its end in the transaction under way.
func (p *replay) rest(ctx context.Context) error {
	for {
		if n, err := p.page(ctx); err != nil || n < page {
			return err
		}
	}
}

const (
	replayEvents = `SELECT position, time, type, actor, subject, data FROM registry.events
WHERE position > ?1 ORDER BY position LIMIT ?2 + 0`
	replayHead = `SELECT position, time FROM registry.head`
)

// page replays the next events and returns how many there were.
func (p *replay) page(ctx context.Context) (int, error) {
	if p.gate.closed() {
		return 0, errClosed
	}
	var rows [][]driver.Value
	err := p.conn.query(ctx, replayEvents, func(row []driver.Value) error {
		rows = append(rows, slices.Clone(row))
		return nil
	}, p.position, int64(page))
	if err != nil {
		return 0, err
	}
	for _, row := range rows {
		if err := p.event(row); err != nil {
			return 0, err
		}
	}
	return len(rows), p.show(ctx)
}

// event replays one event and notes what is wrong with it.
func (p *replay) event(row []driver.Value) error {
	position, time := row[0].(int64), row[1].(int64)
	if position != p.position+1 {
		p.problem("the log has a gap: event %d comes after event %d", position, p.position)
	}
	if time < p.time {
		p.problem("event %d: its time is before that of the event before it", position)
	}
	p.position, p.time = position, max(time, p.time)
	record, err := recordOf(row)
	if err != nil {
		p.problem("%v", err)
		return nil
	}
	return p.apply(position, time, record.Event)
}

// apply applies one event. One that does not fit leaves the views as they were.
func (p *replay) apply(position, time int64, e registry.Event) error {
	ctx := context.Background()
	if _, err := p.conn.exec(ctx, "SAVEPOINT event"); err != nil {
		return err
	}
	if err := translate(apply(p.conn, position, time, e)); err != nil {
		if !errors.Is(err, registry.ErrConflict) {
			return err
		}
		p.problem("event %d does not fit what came before: %v", position, err)
		if _, err := p.conn.exec(ctx, "ROLLBACK TO event"); err != nil {
			return err
		}
	}
	_, err := p.conn.exec(ctx, "RELEASE event")
	return err
}

func (p *replay) show(ctx context.Context) error {
	if p.progress == nil {
		return nil
	}
	return p.conn.query(ctx, replayHead, func(row []driver.Value) error {
		p.progress(uint64(p.position), uint64(max(p.position, row[0].(int64))))
		return nil
	})
}

func (p *replay) problem(format string, args ...any) {
	if len(p.report.Problems) < maxProblems {
		p.report.Problems = append(p.report.Problems, fmt.Sprintf(format, args...))
	}
}
