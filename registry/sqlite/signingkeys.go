package sqlite

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"artifactstore/registry"
)

const (
	selectSigningKeys = `SELECT id, secret, created_at, expires_at FROM signing_keys ORDER BY created_at, id`
	insertSigningKey  = `INSERT INTO signing_keys (id, secret, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)`
	dropSigningKeys   = `DELETE FROM signing_keys WHERE expires_at < ?1`
)

// SigningKeys implements registry.Auth.
func (r *Registry) SigningKeys(ctx context.Context) ([]registry.SigningKey, error) {
	var found []registry.SigningKey
	err := r.read(ctx, func(c *conn) error {
		return c.query(context.Background(), selectSigningKeys, func(row []driver.Value) error {
			found = append(found, registry.SigningKey{
				ID: row[0].(string), Secret: bytes.Clone(bytesOf(row[1])), CreatedAt: moment(row[2]), ExpiresAt: moment(row[3]),
			})
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	return found, nil
}

// AddSigningKey implements registry.Auth.
func (r *Registry) AddSigningKey(ctx context.Context, k registry.SigningKey) error {
	err := r.write(ctx, func(t *transaction) error {
		_, err := t.conn.exec(context.Background(), insertSigningKey, k.ID, k.Secret, micros(k.CreatedAt), micros(k.ExpiresAt))
		return err
	})
	if err != nil {
		return fmt.Errorf("add signing key %.80q: %w", k.ID, err)
	}
	return nil
}

// DropSigningKeys implements registry.Auth.
func (r *Registry) DropSigningKeys(ctx context.Context, expiredBefore time.Time) error {
	err := r.write(ctx, func(t *transaction) error {
		_, err := t.conn.exec(context.Background(), dropSigningKeys, microsUp(expiredBefore))
		return err
	})
	if err != nil {
		return fmt.Errorf("drop signing keys: %w", err)
	}
	return nil
}
