package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net/url"
	"strconv"
	"time"

	"modernc.org/sqlite"
)

// conn is one connection with its prepared statements. It belongs to one
// goroutine at a time. It speaks to the driver itself: a look-up by
// database/sql costs about as much as the query.
type conn struct {
	raw        driver.Conn
	statements map[string]driver.Stmt
	args       []driver.NamedValue // of the call under way, reused
}

// dial opens a connection. The pragmas run in order, the busy time-out first:
// what follows may already meet a lock. Each connection needs all of them, for
// none but journal_mode is kept in the file.
func dial(path string, busy time.Duration, pragmas ...string) (*conn, error) {
	connector, err := sqlite.NewConnector(dsn(path, busy, pragmas...))
	if err != nil {
		return nil, err
	}
	raw, err := connector.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	return &conn{raw: raw, statements: map[string]driver.Stmt{}}, nil
}

// dsn names a database for the driver. A path is escaped, so that it may hold
// any character; "" is a private database in an unnamed temporary file.
func dsn(path string, busy time.Duration, pragmas ...string) string {
	query := url.Values{"_txlock": {"immediate"}}
	query.Add("_pragma", "busy_timeout("+strconv.FormatInt(busy.Milliseconds(), 10)+")")
	for _, p := range pragmas {
		query.Add("_pragma", p)
	}
	return fileURI(path) + "?" + query.Encode()
}

func fileURI(path string) string {
	if path == "" {
		return "file:"
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// exec runs a statement and returns how many rows it changed. The driver
// starts a goroutine for a context that can end: pass one only to what may take
// long.
func (c *conn) exec(ctx context.Context, sql string, args ...driver.Value) (changed int64, err error) {
	s, err := c.prepare(ctx, sql)
	if err != nil {
		return 0, err
	}
	result, err := s.(driver.StmtExecContext).ExecContext(ctx, c.name(args))
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query runs a statement and calls each for every row. The slice is reused; the
// values in it may be kept.
func (c *conn) query(ctx context.Context, sql string, each func(row []driver.Value) error, args ...driver.Value) (err error) {
	s, err := c.prepare(ctx, sql)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(ctx, c.name(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(row); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if err := each(row); err != nil {
			return err
		}
	}
}

// script runs statements that are used once, and may be several.
func (c *conn) script(ctx context.Context, sql string) error {
	_, err := c.raw.(driver.ExecerContext).ExecContext(ctx, sql, nil)
	return err
}

// prepare keeps every statement it makes. SQLite makes a statement anew at every call
// when it plans by the value of a parameter, which it does for one that stands alone as
// a LIMIT: a sixth of what a list costs. So a LIMIT here is "?1 + 0".
func (c *conn) prepare(ctx context.Context, sql string) (driver.Stmt, error) {
	if s, ok := c.statements[sql]; ok {
		return s, nil
	}
	s, err := c.raw.(driver.ConnPrepareContext).PrepareContext(ctx, sql)
	if err != nil {
		return nil, err
	}
	c.statements[sql] = s
	return s, nil
}

func (c *conn) name(args []driver.Value) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// idle returns an error if a transaction is open.
func (c *conn) idle() error {
	ctx := context.Background()
	if _, err := c.exec(ctx, "BEGIN"); err != nil {
		return err
	}
	_, err := c.exec(ctx, "ROLLBACK")
	return err
}

// beginImmediate begins a transaction with the write lock as soon as no other
// connection has it. It asks more often than SQLite's busy time-out would, to
// find the pause that a busy writer makes; the connection's own must be nought.
func beginImmediate(c *conn, busy time.Duration) error {
	ctx := context.Background()
	for deadline := time.Now().Add(busy); ; time.Sleep(poll) {
		_, err := c.exec(ctx, "BEGIN IMMEDIATE")
		if err == nil || !isBusy(err) || time.Now().After(deadline) {
			return err
		}
	}
}
