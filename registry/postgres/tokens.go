package postgres

import (
	"context"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

const (
	tokenCreatedSQL = `
INSERT INTO tokens (id, principal, sha256, grants, created_by, created_at, expires_at)
SELECT $1::text, $2::text, $3::bytea, $4::text[], $5::text, coalesce($6::timestamptz, head.recorded_at), $7::timestamptz FROM head`

	tokenRevokedSQL = `
WITH done AS (
    UPDATE tokens SET revoked_at = coalesce($2::timestamptz, head.recorded_at) FROM head
    WHERE id = $1 AND revoked_at IS NULL RETURNING 1)
SELECT must(EXISTS (SELECT FROM done), 'no such token, or it is revoked')`

	tokenColumns   = `id, principal, sha256, grants, created_by, created_at, expires_at, revoked_at`
	tokenSQL       = `SELECT ` + tokenColumns + ` FROM tokens WHERE id = $1`
	tokenByHashSQL = `SELECT ` + tokenColumns + ` FROM tokens WHERE sha256 = $1`
	tokensSQL      = `SELECT ` + tokenColumns + ` FROM tokens WHERE id > $1 ORDER BY id LIMIT $2`
)

// Token implements [registry.Auth].
func (r *Registry) Token(ctx context.Context, id string) (registry.Token, error) {
	return one(ctx, r, "token", scanToken, tokenSQL, id)
}

// TokenByHash implements [registry.Auth].
func (r *Registry) TokenByHash(ctx context.Context, hash digest.Digest) (registry.Token, error) {
	return one(ctx, r, "token by its hash", scanToken, tokenByHashSQL, sumOf(hash, digest.SHA256))
}

// sumOf is a digest's column, NULL, which no row has, for one of another algorithm.
func sumOf(d digest.Digest, alg digest.Algorithm) []byte {
	if d.Algorithm() != alg {
		return nil
	}
	return d.Sum()
}

// Tokens implements [registry.Auth].
func (r *Registry) Tokens(ctx context.Context, after string, limit int) ([]registry.Token, error) {
	return some(ctx, r, "tokens", scanToken, tokensSQL, after, max(limit, 0))
}

func scanToken(row pgx.CollectableRow) (t registry.Token, err error) {
	var hash []byte
	var expires, revoked *time.Time
	err = row.Scan(&t.ID, &t.Principal, &hash, &t.Grants, &t.CreatedBy, &t.CreatedAt, &expires, &revoked)
	t.Hash = digestOf(digest.SHA256, hash)
	t.CreatedAt, t.ExpiresAt, t.RevokedAt = t.CreatedAt.UTC(), utcOrZero(expires), utcOrZero(revoked)
	return t, err
}

// utcOrZero is a time that may be NULL: zero then.
func utcOrZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
