package sqlite

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"artifactstore/registry"
)

// maxGroup bounds the changes of one transaction, and so how long it takes:
// another process may be waiting for the lock.
const maxGroup = 256

// change is one caller's change: it is made whole or not at all.
type change struct {
	ctx  context.Context
	make func(*transaction) error // may be called twice: only the last call counts
	err  error
	done chan struct{} // closed when err is final
}

// writer is the goroutine that makes all changes of this process.
type writer struct {
	busy  time.Duration
	now   func() time.Time
	tell  func(position uint64) // is told the end of the log after each commit
	dial  func() (*conn, error)
	queue chan *change
	ended sync.WaitGroup

	conn   *conn // nil after a failure that leaves its state in doubt
	pace   pace
	failed atomic.Bool // the database failed a change of the last group
}

func newWriter(busy time.Duration, now func() time.Time, tell func(uint64), dial func() (*conn, error)) *writer {
	return &writer{busy: busy, now: now, tell: tell, dial: dial, queue: make(chan *change, maxGroup)}
}

// start opens the connection and lets the goroutine run.
func (w *writer) start() (err error) {
	if w.conn, err = w.dial(); err != nil {
		return err
	}
	w.ended.Go(w.run)
	return nil
}

// stop ends the goroutine after what was submitted. Nobody may submit any more.
func (w *writer) stop() error {
	close(w.queue)
	w.ended.Wait()
	if w.conn == nil {
		return nil
	}
	return w.conn.close()
}

// submit makes a change and waits until it is committed or refused, or the
// context ends: then it may still be made.
func (w *writer) submit(ctx context.Context, do func(*transaction) error) error {
	c := &change{ctx: ctx, make: do, done: make(chan struct{})}
	select {
	case w.queue <- c:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *writer) run() {
	group := make([]*change, 0, maxGroup)
	for c := range w.queue {
		group = w.gather(append(group[:0], c))
		time.Sleep(w.pace.rest(time.Now()))
		err := w.commit(group)
		w.pace.wrote = time.Now()
		for _, c := range group {
			if c.err == nil {
				c.err = err
			}
			close(c.done)
		}
		clear(group)
	}
}

// gather adds what waits, without waiting for more.
func (w *writer) gather(group []*change) []*change {
	for len(group) < maxGroup {
		select {
		case c, ok := <-w.queue:
			if !ok {
				return group
			}
			group = append(group, c)
		default:
			return group
		}
	}
	return group
}

// commit makes a group's changes in one transaction. A change that is refused
// gets its error; an error that commit returns is that of all others, and of a
// transaction that was rolled back.
func (w *writer) commit(group []*change) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: panic: %v", registry.ErrUnavailable, p)
		}
		if err = translate(err); err != nil {
			w.failed.Store(!isBusy(err))
			w.abort()
		}
	}()
	t, err := w.begin()
	if err != nil {
		return err
	}
	undone, err := t.makeTogether(group)
	switch {
	case err != nil:
		return err
	case undone && len(group) == 1: // its error is known
		w.failed.Store(t.broken)
		return nil
	case undone:
		if t, err = w.makeApart(group); err != nil {
			return err
		}
	}
	if _, err := t.conn.exec(context.Background(), "COMMIT"); err != nil {
		return err
	}
	w.failed.Store(t.broken)
	w.tell(uint64(t.position))
	return nil
}

// makeApart makes changes, of which one at least is refused, so that those that are
// disturb no other.
func (w *writer) makeApart(group []*change) (*transaction, error) {
	t, err := w.begin()
	if err != nil {
		return nil, err
	}
	for _, c := range group {
		if err := t.make(c); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// begin starts a transaction as soon as no other process has one.
func (w *writer) begin() (*transaction, error) {
	if w.conn == nil {
		c, err := w.dial()
		if err != nil {
			return nil, err
		}
		w.conn = c
	}
	if err := beginImmediate(w.conn, w.busy); err != nil {
		return nil, err
	}
	return newTransaction(w.conn, w.now)
}

// abort leaves the connection without a transaction, or leaves the connection.
func (w *writer) abort() {
	if w.conn == nil {
		return
	}
	// SQLite has already rolled back after some errors: then this one fails,
	// and so it does when no transaction was begun.
	_, _ = w.conn.exec(context.Background(), "ROLLBACK")
	if err := w.conn.idle(); err != nil {
		w.conn.close()
		w.conn = nil
	}
}
