package registrytest

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

func (m *memory) Token(_ context.Context, id string) (registry.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.Token(id)
}

func (m *memory) TokenByHash(_ context.Context, hash digest.Digest) (registry.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.TokenByHash(hash)
}

func (m *memory) Tokens(_ context.Context, after string, limit int) ([]registry.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.Tokens(after, limit), nil
}

func (m *memory) SigningKeys(context.Context) ([]registry.SigningKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.keys), func(a, b registry.SigningKey) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	}), nil
}

func (m *memory) AddSigningKey(_ context.Context, k registry.SigningKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.keys[k.ID]; taken {
		return registry.ErrConflict
	}
	k.Secret = bytes.Clone(k.Secret)
	k.CreatedAt, k.ExpiresAt = k.CreatedAt.UTC().Truncate(time.Microsecond), k.ExpiresAt.UTC().Truncate(time.Microsecond)
	m.keys[k.ID] = k
	return nil
}

func (m *memory) DropSigningKeys(_ context.Context, expiredBefore time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.keys, func(_ string, k registry.SigningKey) bool { return k.ExpiresAt.Before(expiredBefore) })
	return nil
}
