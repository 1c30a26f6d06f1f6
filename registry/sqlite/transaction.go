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
}

func newTransaction(c *conn, now func() time.Time) (*transaction, error) {
	t := &transaction{conn: c, now: now}
	var err error
	t.position, t.time, err = readHead(c)
	return t, err
}

// makeTogether makes changes without savepoints: what one keeps of the pages that it
// changed is walked at the end of every statement, so that a change of many events
// would be slow by the square. When one fails, it has its error, all are undone and
// the transaction is over. An error is that of a transaction in doubt.
func (t *transaction) makeTogether(group []*change) (undone bool, err error) {
	for _, c := range group {
		if c.err = c.ctx.Err(); c.err != nil {
			continue
		}
		if c.err = translate(c.make(t)); c.err == nil {
			continue
		}
		t.broken = broken(c.err)
		if _, err := t.conn.exec(context.Background(), "ROLLBACK"); err != nil {
			return false, c.err
		}
		return true, nil
	}
	return false, nil
}

// make makes one change in a savepoint. A change that fails has its own error and
// leaves the transaction as it was; make returns an error when SQLite has given
// up the whole transaction, as it may when there is no room or memory.
func (t *transaction) make(c *change) error {
	if c.err = c.ctx.Err(); c.err != nil {
		return nil
	}
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

// broken reports whether an error speaks against the database, not the change.
func broken(err error) bool {
	return errors.Is(err, registry.ErrUnavailable) || errors.Is(err, registry.ErrFull)
}

// clock is the time for the next event: never before the last one.
func (t *transaction) clock() int64 {
	return max(t.now().UnixMicro(), t.time)
}
