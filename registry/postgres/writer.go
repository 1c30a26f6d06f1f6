package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"artifactstore/registry"

	"github.com/jackc/pgx/v5/pgxpool"
)

// maxGroup bounds the events of one group, so that its transaction stays short
// and its memory small. One append that is larger is a group of its own.
const maxGroup = 4096

// call is one Append that waits.
type call struct {
	events []encoded
	done   chan struct{} // closed when last and err are set
	last   uint64
	err    error
}

// encoded is an event with its data in the canonical encoding.
type encoded struct {
	registry.Event
	cbor []byte
}

func (c *call) answer(last uint64, err error) {
	c.last, c.err = last, err
	close(c.done)
}

// writer commits the appends of this process, those that wait together as one
// group. It has a pool of one connection, so that no reader can starve it.
type writer struct {
	pool      *pgxpool.Pool
	timeout   time.Duration
	committed func(last uint64)
	calls     chan *call    // unbuffered: a call that is not in a group stands with its caller
	stop      chan struct{} // closed by close
	stopped   chan struct{} // closed when the last group is answered
	stopOnce  sync.Once
}

func newWriter(pool *pgxpool.Pool, timeout time.Duration, committed func(last uint64)) *writer {
	w := &writer{pool: pool, timeout: timeout, committed: committed,
		calls: make(chan *call), stop: make(chan struct{}), stopped: make(chan struct{})}
	go w.run()
	return w
}

// Append implements [registry.Log].
func (r *Registry) Append(ctx context.Context, events ...registry.Event) (uint64, error) {
	if len(events) == 0 {
		return r.Last(ctx)
	}
	c, err := newCall(events)
	if err != nil {
		return 0, err
	}
	return r.writer.append(ctx, c)
}

// newCall checks and encodes events, while it is still their caller's own time.
func newCall(events []registry.Event) (*call, error) {
	c := &call{events: make([]encoded, len(events)), done: make(chan struct{})}
	for i, e := range events {
		if err := registry.Validate(e); err != nil {
			return nil, err
		}
		if !meaningful(e.Data) {
			return nil, fmt.Errorf("%w: %s has no meaning for the views", registry.ErrRecord, e.Data.Type())
		}
		cbor, err := registry.EncodeData(e.Data)
		if err != nil {
			return nil, err
		}
		c.events[i] = encoded{e, cbor}
	}
	return c, nil
}

func (w *writer) append(ctx context.Context, c *call) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	select {
	case w.calls <- c:
	case <-w.stop:
		return 0, translate(ctx, errClosed)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case <-c.done:
		return c.last, c.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// close waits for the group under way.
func (w *writer) close() {
	w.stopOnce.Do(func() { close(w.stop) })
	<-w.stopped
	w.pool.Close()
}

func (w *writer) run() {
	defer close(w.stopped)
	for {
		select {
		case first := <-w.calls:
			w.commit(w.gather(first))
		case <-w.stop:
			return
		}
	}
}

// gather takes what waits now. While a group is being committed the next one
// gathers itself: nobody waits for company.
func (w *writer) gather(first *call) group {
	g := group{first}
	for events := len(first.events); events < maxGroup; {
		select {
		case c := <-w.calls:
			g = append(g, c)
			events += len(c.events)
		default:
			return g
		}
	}
	return g
}

// commit commits a group and answers its calls.
func (w *writer) commit(g group) {
	// No caller's context: the group is of many.
	ctx, cancel := context.WithTimeout(context.Background(), w.timeout)
	conn, err := w.pool.Acquire(ctx)
	cancel()
	if err != nil {
		w.failAll(g, translate(context.Background(), err))
		return
	}
	defer conn.Release()
	ctx, cancel = context.WithTimeout(context.Background(), 2*w.timeout)
	defer cancel()
	last, err := g.commit(ctx, conn.Conn())
	if err != nil && conn.Conn().IsClosed() && !refused(err) {
		err = fmt.Errorf("%w: the outcome may be unknown: %v", registry.ErrUnavailable, err)
	}
	if err != nil {
		g.answer(translate(context.Background(), err))
		return
	}
	w.committed(last)
	g.answer(nil)
}

// failAll fails a group, and whoever waits besides: the next try would take as
// long to fail.
func (w *writer) failAll(g group, err error) {
	g.answer(err)
	for {
		select {
		case c := <-w.calls:
			c.answer(0, err)
		default:
			return
		}
	}
}
