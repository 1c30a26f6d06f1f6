package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

const (
	applyTokenCreated = `
INSERT INTO tokens (id, principal, sha256, grants, created_by, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`
	applyTokenRevoked = `UPDATE tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL`

	tokenColumns      = `id, principal, sha256, grants, created_by, created_at, expires_at, revoked_at`
	selectTokenByID   = `SELECT ` + tokenColumns + ` FROM tokens WHERE id = ?1`
	selectTokenByHash = `SELECT ` + tokenColumns + ` FROM tokens WHERE sha256 = ?1`
	selectTokens      = `SELECT ` + tokenColumns + ` FROM tokens WHERE id > ?1 ORDER BY id LIMIT ?2 + 0`
)

// applyAuth applies an event of a token.
func applyAuth(c *conn, at int64, e registry.Event) error {
	switch d := e.Data.(type) {
	case registry.TokenCreated:
		grants, err := json.Marshal(d.Grants)
		if err != nil {
			return err
		}
		return one(c, d, applyTokenCreated, d.ID, d.Principal, d.SHA256.Sum(), string(grants), e.Actor, at, written(d.ExpiresAt))
	case registry.TokenRevoked:
		return one(c, d, applyTokenRevoked, d.ID, at)
	}
	return fmt.Errorf("%w: %T has no meaning for the views", registry.ErrRecord, e.Data)
}

// Token implements registry.Auth.
func (r *Registry) Token(ctx context.Context, id string) (registry.Token, error) {
	t, err := r.token(ctx, selectTokenByID, id)
	if err != nil {
		return registry.Token{}, fmt.Errorf("token %.80q: %w", id, err)
	}
	return t, nil
}

// TokenByHash implements registry.Auth. It is asked with every request, and answers
// from memory while nothing was committed.
func (r *Registry) TokenByHash(ctx context.Context, hash digest.Digest) (registry.Token, error) {
	if hash.Algorithm() != digest.SHA256 {
		return registry.Token{}, fmt.Errorf("token with hash %q: %w", hash, errAbsent)
	}
	if err := r.gate.enter(); err != nil {
		return registry.Token{}, fmt.Errorf("token by its hash: %w", err)
	}
	defer r.gate.leave()
	t, since, ok := r.tokens.recall(hash)
	if ok {
		return t, nil
	}
	t, err := r.token(ctx, selectTokenByHash, hash.Sum())
	if err != nil {
		return registry.Token{}, fmt.Errorf("token by its hash: %w", err)
	}
	r.tokens.keep(hash, t, since)
	return t, nil
}

// token runs a query for one row of tokenColumns.
func (r *Registry) token(ctx context.Context, sql string, key driver.Value) (t registry.Token, err error) {
	err = r.find(ctx, sql, func(row []driver.Value) (err error) {
		t, err = tokenOf(row)
		return err
	}, key)
	return t, err
}

// Tokens implements registry.Auth.
func (r *Registry) Tokens(ctx context.Context, after string, limit int) ([]registry.Token, error) {
	var found []registry.Token
	err := r.read(ctx, func(c *conn) error {
		return c.query(context.Background(), selectTokens, func(row []driver.Value) error {
			t, err := tokenOf(row)
			found = append(found, t)
			return err
		}, after, int64(max(limit, 0)))
	})
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	return found, nil
}

// tokenOf reads a row of tokenColumns.
func tokenOf(row []driver.Value) (registry.Token, error) {
	t := registry.Token{
		ID: row[0].(string), Principal: row[1].(string), Hash: digestOf(digest.SHA256, row[2]),
		CreatedBy: row[4].(string), CreatedAt: moment(row[5]), ExpiresAt: momentOf(row[6]), RevokedAt: momentOf(row[7]),
	}
	err := json.Unmarshal([]byte(row[3].(string)), &t.Grants)
	return t, err
}

func copyToken(t registry.Token) registry.Token {
	t.Grants = slices.Clone(t.Grants)
	return t
}
