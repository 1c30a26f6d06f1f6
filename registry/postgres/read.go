package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

// read runs queries that change nothing, with a bounded wait. Where the
// connection turns out to be dead, as pooled ones are after a restart of the
// database, it runs them once more on a new one.
func read[T any](ctx context.Context, r *Registry, what string, query func(context.Context, *pgxpool.Conn) (T, error)) (T, error) {
	v, err := once(ctx, r, query)
	if err != nil && ctx.Err() == nil && lost(err) {
		r.pool.Reset()
		v, err = once(ctx, r, query)
	}
	if err != nil {
		var zero T
		return zero, fmt.Errorf("%s: %w", what, translate(ctx, err))
	}
	return v, nil
}

// once runs a query on a connection of the pool. What is written is not
// repeated: it may have been done.
func once[T any](ctx context.Context, r *Registry, query func(context.Context, *pgxpool.Conn) (T, error)) (v T, err error) {
	if r.closed() {
		return v, errClosed
	}
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return v, err
	}
	defer conn.Release()
	return query(ctx, conn)
}

func write[T any](ctx context.Context, r *Registry, what string, query func(context.Context, *pgxpool.Conn) (T, error)) (T, error) {
	v, err := once(ctx, r, query)
	if err != nil {
		return v, fmt.Errorf("%s: %w", what, translate(ctx, err))
	}
	return v, nil
}
