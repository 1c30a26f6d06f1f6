// Package postgres keeps the registry in a PostgreSQL database (14 or newer),
// which any number of gateways share.
//
// The schema (migrations/*.sql, with comments) argues for the invariants by
// FOREIGN KEY, UNIQUE and CHECK. How an append goes, in order:
//
//  1. Appends of one process wait for its one writer, which takes all that wait
//     as a group ([Registry.Append]).
//  2. The group goes to the database as one batch: one round trip, one
//     transaction. Its first statement advances the row of table head, which
//     stays locked until the commit: groups of all processes follow one another,
//     so positions have no gap and are in commit order, a reader that has seen a
//     position has seen all before it, and no two writers deadlock.
//  3. The events become rows of the log and, set-wise, of the views. A constraint
//     that refuses one of them undoes the whole batch; then the group is halved,
//     again and again, within one transaction, each half under a savepoint, until
//     what is refused stands alone ([Registry.commit]).
//  4. The commit is durable when the database says so; each caller gets its answer.
//
// There is no NOTIFY: it would serialise commits by a lock of its own. Who waits
// for the log is woken by this process's writer, or by one shared poll of head.
//
// The program reconnects by itself. Every wait is bounded by [Options.Timeout]:
// with the database away a call fails with registry.ErrUnavailable, soon.
//
// # Schema changes
//
// Open brings the schema up under a session lock, so that gateways may start
// together. Gateways of the version before go on running beside the new schema,
// therefore a migration only expands: it adds tables, columns with defaults,
// indexes, wider constraints. What became superfluous is contracted by a later
// version, whose gateways no longer use it and are the only ones left. A program
// never opens a schema newer than itself: registry.ErrSchema.
package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"artifactstore/registry"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Options say which database to open, and how.
type Options struct {
	// URL is a connection string as libpq reads it: postgres://user@host/database?….
	URL string
	// URLFunc, where it is set, is asked for the URL whenever a connection is made,
	// so that a rotated secret is used without a restart.
	URLFunc func(context.Context) (string, error)
	// Connections bounds this process's connections besides the writer's one and
	// one for a Check or Rebuild under way; 8 when zero.
	Connections int
	// Timeout bounds every wait: for a connection, for a lock, and for the answer
	// to a request; 5 s when zero. It must be larger than the time for which a
	// fail-over of the database may be ridden out, and smaller than the patience
	// of an HTTP client.
	Timeout time.Duration
	// Poll is how often the log's end is asked for while somebody waits for it;
	// 200 ms when zero, at most a second.
	Poll time.Duration
}

func (o Options) withDefaults() Options {
	if o.Connections <= 0 {
		o.Connections = 8
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Poll <= 0 || o.Poll > time.Second {
		o.Poll = 200 * time.Millisecond
	}
	return o
}

// Registry is an opened database.
type Registry struct {
	options Options
	pool    *pgxpool.Pool // for everything but appends
	writer  *writer
	tail    *tail
	close   sync.Once
	ended   chan struct{} // closed when Close begins
}

var (
	_ registry.Registry  = (*Registry)(nil)
	_ registry.Retention = (*Registry)(nil)
	_ registry.Claims    = (*Registry)(nil)
)

// Open connects to a database, brings its schema up, and returns it as a
// registry. A schema that a newer program has made is registry.ErrSchema; a
// database that does not answer is registry.ErrUnavailable.
func Open(ctx context.Context, o Options) (*Registry, error) {
	o = o.withDefaults()
	if err := migrate(ctx, o); err != nil {
		return nil, err
	}
	pool, err := o.newPool(ctx, o.Connections, settings{"jit": "off"}) // rows are found by keys: compiling takes longer
	if err != nil {
		return nil, err
	}
	appends, err := o.newPool(ctx, 1, o.writerSettings())
	if err != nil {
		pool.Close()
		return nil, err
	}
	r := &Registry{options: o, pool: pool, ended: make(chan struct{})}
	r.tail = newTail(r.Last, o.Poll)
	r.writer = newWriter(appends, o.Timeout, r.tail.advance)
	return r, nil
}

// Close implements [registry.Registry]. Appends that begin later, and waits that
// have not ended, are registry.ErrUnavailable.
func (r *Registry) Close() error {
	r.close.Do(func() {
		close(r.ended)
		r.writer.close()
		r.tail.close()
		r.pool.Close()
	})
	return nil
}

func (r *Registry) closed() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

var errClosed = errors.New("the registry is closed")
