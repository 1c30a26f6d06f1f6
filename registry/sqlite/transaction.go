package sqlite

import (
	"context"
	"errors"
	"time"

	"artifactstore/registry"
)

// transaction is what a change is made in.
type transaction struct {
	conn     *conn
	now      func() time.Time
	position int64 // of the last event
	time     int64 // of the last event
	broken   bool  // the database failed one of the changes
	undone   bool  // it was rolled back
}

func newTransaction(c *conn, now func() time.Time) (*transaction, error) {
	t := &transaction{conn: c, now: now}
	var err error
	t.position, t.time, err = readHead(c)
	return t, err
}

// make makes one change in a savepoint. A change that fails has its own error and
// leaves the transaction as it was; make returns an error when SQLite has given
// up the whole transaction, as it may when there is no room or memory.
func (t *transaction) make(c *change) error {
	ctx := context.Background()
	position, time := t.position, t.time
	if _, err := t.conn.exec(ctx, "SAVEPOINT change"); err != nil {
		return err
	}
	if c.err = translate(c.make(t)); c.err != nil {
		t.broken = t.broken || broken(c.err)
		t.position, t.time = position, time
		if _, err := t.conn.exec(ctx, "ROLLBACK TO change"); err != nil {
			return c.err
		}
	}
	_, err := t.conn.exec(ctx, "RELEASE change")
	return err
}

// makeAlone makes the only change of a transaction, as make does, without a
// savepoint: what one keeps of the pages that it changed is walked at the end of
// every statement, which makes a change of many events slow by the square.
func (t *transaction) makeAlone(c *change) error {
	position, time := t.position, t.time
	if c.err = translate(c.make(t)); c.err == nil {
		return nil
	}
	t.broken = t.broken || broken(c.err)
	t.position, t.time = position, time
	if _, err := t.conn.exec(context.Background(), "ROLLBACK"); err != nil {
		return c.err
	}
	t.undone = true
	return nil
}

// end commits what was made.
func (t *transaction) end() error {
	if t.undone {
		return nil
	}
	_, err := t.conn.exec(context.Background(), "COMMIT")
	return err
}

// broken reports whether an error speaks against the database, not the change.
func broken(err error) bool {
	return errors.Is(err, registry.ErrUnavailable) || errors.Is(err, registry.ErrFull)
}

// clock is the time for the next event: never before the last one.
func (t *transaction) clock() int64 {
	return max(t.now().UnixMicro(), t.time)
}
