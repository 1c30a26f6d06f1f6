package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The time of a claim is that of the moment, not of the statement: it may have
// waited for the row.
const (
	claimSQL = `
INSERT INTO claims AS c (name, token, holder, ends) VALUES ($1, 1, $2, clock_timestamp() + $3::bigint * interval '1 microsecond')
ON CONFLICT (name) DO UPDATE
    SET token = c.token + 1, holder = excluded.holder, ends = clock_timestamp() + $3::bigint * interval '1 microsecond'
    WHERE c.ends IS NULL OR c.ends <= clock_timestamp()
RETURNING token`

	renewSQL = `
UPDATE claims SET ends = clock_timestamp() + $3::bigint * interval '1 microsecond'
WHERE name = $1 AND token = $2 AND ends IS NOT NULL`

	releaseSQL  = `UPDATE claims SET ends = NULL WHERE name = $1 AND token = $2`
	stateSQL    = `SELECT state FROM claims WHERE name = $1 AND state IS NOT NULL`
	setStateSQL = `UPDATE claims SET state = $3 WHERE name = $1 AND token = $2 AND ends IS NOT NULL`
)

// Claim implements [registry.Claims].
func (r *Registry) Claim(ctx context.Context, name, holder string, lasting time.Duration) (token uint64, ok bool, err error) {
	holder = strings.ReplaceAll(strings.ToValidUTF8(holder, "?"), "\x00", "?")
	tokens, err := write(ctx, r, "claim "+name, func(ctx context.Context, conn *pgxpool.Conn) ([]int64, error) {
		rows, err := conn.Query(ctx, claimSQL, name, holder, lastingMicros(lasting))
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowTo[int64])
	})
	if err != nil || len(tokens) == 0 {
		return 0, false, err
	}
	return uint64(tokens[0]), true, nil
}

// Renew implements [registry.Claims].
func (r *Registry) Renew(ctx context.Context, name string, token uint64, lasting time.Duration) error {
	return r.claimed(ctx, "renew claim "+name, renewSQL, name, int64(token), lastingMicros(lasting))
}

// Release implements [registry.Claims].
func (r *Registry) Release(ctx context.Context, name string, token uint64) error {
	_, err := r.change(ctx, "release claim "+name, releaseSQL, name, int64(token))
	return err
}

// State implements [registry.Claims].
func (r *Registry) State(ctx context.Context, name string) ([]byte, error) {
	return one(ctx, r, "state "+name, pgx.RowTo[[]byte], stateSQL, name)
}

// SetState implements [registry.Claims].
func (r *Registry) SetState(ctx context.Context, name string, token uint64, value []byte) error {
	return r.claimed(ctx, "set state "+name, setStateSQL, name, int64(token), append([]byte{}, value...))
}

// claimed runs a statement that a claim guards.
func (r *Registry) claimed(ctx context.Context, what, sql string, args ...any) error {
	changed, err := r.change(ctx, what, sql, args...)
	if err == nil && changed == 0 {
		err = fmt.Errorf("%s: %w: it is not the last claim, or released", what, registry.ErrConflict)
	}
	return err
}

// change runs a statement and returns how many rows it changed.
func (r *Registry) change(ctx context.Context, what, sql string, args ...any) (int64, error) {
	return write(ctx, r, what, func(ctx context.Context, conn *pgxpool.Conn) (int64, error) {
		tag, err := conn.Exec(ctx, sql, args...)
		return tag.RowsAffected(), err
	})
}

// lastingMicros rounds a time up: a claim that lasts at all has an end ahead.
func lastingMicros(d time.Duration) int64 {
	return int64(d/time.Microsecond) + int64(min(d%time.Microsecond, 1))
}
