package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"artifactstore/registry"
)

// The processes on a database are on one machine: its clock is the database's.
const (
	claim = `
INSERT INTO claims (name, token, holder, ends) VALUES (?1, 1, ?2, ?4)
ON CONFLICT (name) DO UPDATE SET token = token + 1, holder = excluded.holder, ends = excluded.ends
WHERE ends IS NULL OR ends <= ?3`
	selectToken  = `SELECT token FROM claims WHERE name = ?1`
	renewClaim   = `UPDATE claims SET ends = ?3 WHERE name = ?1 AND token = ?2 AND ends IS NOT NULL`
	releaseClaim = `UPDATE claims SET ends = NULL WHERE name = ?1 AND token = ?2`
	selectState  = `SELECT state FROM claims WHERE name = ?1 AND state IS NOT NULL`
	setState     = `UPDATE claims SET state = ?3 WHERE name = ?1 AND token = ?2 AND ends IS NOT NULL`
)

// Claim implements registry.Claims.
func (r *Registry) Claim(ctx context.Context, name, holder string, lasting time.Duration) (token uint64, ok bool, err error) {
	var got int64
	err = r.write(ctx, func(t *transaction) error {
		got = 0
		now := t.now()
		changed, err := t.conn.exec(context.Background(), claim, name, holder, micros(now), micros(now.Add(lasting)))
		if err != nil || changed == 0 {
			return err
		}
		return t.conn.query(context.Background(), selectToken, func(row []driver.Value) error {
			got = row[0].(int64)
			return nil
		}, name)
	})
	if err != nil {
		return 0, false, fmt.Errorf("claim %s: %w", name, err)
	}
	return uint64(got), got != 0, nil
}

// Renew implements registry.Claims.
func (r *Registry) Renew(ctx context.Context, name string, token uint64, lasting time.Duration) error {
	err := r.write(ctx, func(t *transaction) error {
		return claimed(t, renewClaim, name, int64(token), micros(t.now().Add(lasting)))
	})
	if err != nil {
		return fmt.Errorf("renew claim %s: %w", name, err)
	}
	return nil
}

// Release implements registry.Claims.
func (r *Registry) Release(ctx context.Context, name string, token uint64) error {
	err := r.write(ctx, func(t *transaction) error {
		_, err := t.conn.exec(context.Background(), releaseClaim, name, int64(token))
		return err
	})
	if err != nil {
		return fmt.Errorf("release claim %s: %w", name, err)
	}
	return nil
}

// State implements registry.Claims.
func (r *Registry) State(ctx context.Context, name string) (value []byte, err error) {
	err = r.find(ctx, selectState, func(row []driver.Value) error {
		value = bytesOf(row[0])
		return nil
	}, name)
	if err != nil {
		return nil, fmt.Errorf("state %s: %w", name, err)
	}
	return value, nil
}

// SetState implements registry.Claims.
func (r *Registry) SetState(ctx context.Context, name string, token uint64, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	err := r.write(ctx, func(t *transaction) error { return claimed(t, setState, name, int64(token), value) })
	if err != nil {
		return fmt.Errorf("set state %s: %w", name, err)
	}
	return nil
}

// claimed runs a statement that a claim guards.
func claimed(t *transaction, sql string, args ...driver.Value) error {
	changed, err := t.conn.exec(context.Background(), sql, args...)
	if err == nil && changed == 0 {
		err = fmt.Errorf("%w: it is not the last claim, or released", registry.ErrConflict)
	}
	return err
}
