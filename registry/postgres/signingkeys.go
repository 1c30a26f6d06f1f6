package postgres

import (
	"context"
	"time"

	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

const (
	signingKeysSQL     = `SELECT id, secret, created_at, expires_at FROM signing_keys ORDER BY created_at, id`
	addSigningKeySQL   = `INSERT INTO signing_keys (id, secret, created_at, expires_at) VALUES ($1, $2, $3, $4)`
	dropSigningKeysSQL = `DELETE FROM signing_keys WHERE expires_at < $1`
)

// SigningKeys implements [registry.Auth].
func (r *Registry) SigningKeys(ctx context.Context) ([]registry.SigningKey, error) {
	scan := func(row pgx.CollectableRow) (k registry.SigningKey, err error) {
		err = row.Scan(&k.ID, &k.Secret, &k.CreatedAt, &k.ExpiresAt)
		k.CreatedAt, k.ExpiresAt = k.CreatedAt.UTC(), k.ExpiresAt.UTC()
		return k, err
	}
	return some(ctx, r, "signing keys", scan, signingKeysSQL)
}

// AddSigningKey implements [registry.Auth].
func (r *Registry) AddSigningKey(ctx context.Context, k registry.SigningKey) error {
	_, err := r.change(ctx, "add a signing key", addSigningKeySQL, k.ID, k.Secret, microseconds(k.CreatedAt), microseconds(k.ExpiresAt))
	return err
}

// DropSigningKeys implements [registry.Auth].
func (r *Registry) DropSigningKeys(ctx context.Context, expiredBefore time.Time) error {
	before := expiredBefore.Add(time.Microsecond - 1) // what is before a time is so in whole microseconds
	_, err := r.change(ctx, "drop signing keys", dropSigningKeysSQL, microseconds(before))
	return err
}
