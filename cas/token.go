package cas

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// CreateToken makes a token known by its ID, Principal, Hash, Grants and ExpiresAt,
// which is cut to the microsecond, and returns it whole. Where the id or the hash is
// taken, it is [registry.ErrConflict].
func (s *Store) CreateToken(ctx context.Context, t Token, actor string) (Token, error) {
	verb := "create token " + t.ID
	err := s.append(ctx, event(actor, registry.TokenCreated{
		ID: t.ID, Principal: t.Principal, SHA256: t.Hash, Grants: t.Grants, ExpiresAt: t.ExpiresAt.UTC().Truncate(time.Microsecond),
	}))
	if err != nil {
		return Token{}, registryError(verb, err)
	}
	made, err := s.reg.Token(ctx, t.ID)
	return made, registryError(verb, err)
}

// RevokeToken ends a token, and does nothing where it is revoked. An unknown one is
// ErrTokenUnknown. Who asks for it later than this returns, on any gateway, finds it
// revoked.
func (s *Store) RevokeToken(ctx context.Context, id, actor string) error {
	verb := fmt.Sprintf("revoke token %.80q", id)
	t, err := s.reg.Token(ctx, id)
	if err != nil || !t.RevokedAt.IsZero() {
		return tokenError(verb, err)
	}
	err = s.append(ctx, event(actor, registry.TokenRevoked{ID: id}))
	if errors.Is(err, registry.ErrConflict) { // a token never leaves: somebody else has revoked it
		return nil
	}
	return registryError(verb, err)
}

// Tokens returns at most limit tokens whose ids sort after a given one, in the byte
// order of ids: also those that have expired or are revoked.
func (s *Store) Tokens(ctx context.Context, after string, limit int) ([]Token, error) {
	found, err := s.reg.Tokens(ctx, after, limit)
	return found, registryError("list tokens", err)
}

// TokenByHash finds a token by the SHA-256 of its text: ErrTokenUnknown where there is
// none. The caller judges whether it is still good.
func (s *Store) TokenByHash(ctx context.Context, hash digest.Digest) (Token, error) {
	t, err := s.reg.TokenByHash(ctx, hash)
	return t, tokenError("look up a token", err)
}

// SigningKeys returns the keys that the gateways share, the oldest first.
func (s *Store) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	keys, err := s.reg.SigningKeys(ctx)
	return keys, registryError("read signing keys", err)
}

// AddSigningKey adds a key. Where its id is taken, it is [registry.ErrConflict].
func (s *Store) AddSigningKey(ctx context.Context, k SigningKey) error {
	return registryError("add a signing key", s.reg.AddSigningKey(ctx, k))
}

// DropSigningKeys removes the keys that expire before a time.
func (s *Store) DropSigningKeys(ctx context.Context, expiredBefore time.Time) error {
	return registryError("drop signing keys", s.reg.DropSigningKeys(ctx, expiredBefore))
}

func tokenError(verb string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", verb, ErrTokenUnknown)
	}
	return registryError(verb, err)
}
