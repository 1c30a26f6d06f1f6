package registry

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"artifactstore/cas/digest"
)

func (m *Model) tokenCreated(at time.Time, actor string, d TokenCreated) error {
	if _, taken := m.tokens[d.ID]; taken {
		return conflict(d, "the id is taken")
	}
	if t, err := m.TokenByHash(d.SHA256); err == nil {
		return conflict(d, "the hash is that of %s", t.ID)
	}
	m.tokens[d.ID] = Token{
		ID: d.ID, Principal: d.Principal, Hash: d.SHA256, Grants: slices.Clone(d.Grants),
		CreatedBy: actor, CreatedAt: at, ExpiresAt: d.ExpiresAt,
	}
	return nil
}

func (m *Model) tokenRevoked(at time.Time, d TokenRevoked) error {
	t, exists := m.tokens[d.ID]
	if !exists || !t.RevokedAt.IsZero() {
		return conflict(d, "no such token, or it is revoked")
	}
	t.RevokedAt = at
	m.tokens[d.ID] = t
	return nil
}

// Token answers as [Auth] does.
func (m *Model) Token(id string) (Token, error) {
	t, exists := m.tokens[id]
	if !exists {
		return Token{}, fmt.Errorf("token %s: %w", id, fs.ErrNotExist)
	}
	return t.clone(), nil
}

// clone returns the token, shared with nobody.
func (t Token) clone() Token {
	t.Grants = slices.Clone(t.Grants)
	return t
}

// TokenByHash answers as [Auth] does.
func (m *Model) TokenByHash(hash digest.Digest) (Token, error) {
	for _, t := range m.tokens {
		if t.Hash == hash {
			return t.clone(), nil
		}
	}
	return Token{}, fmt.Errorf("token with hash %s: %w", hash, fs.ErrNotExist)
}

// Tokens answers as [Auth] does.
func (m *Model) Tokens(after string, limit int) []Token {
	var all []Token
	for id, t := range m.tokens {
		if id > after {
			all = append(all, t.clone())
		}
	}
	slices.SortFunc(all, func(a, b Token) int { return cmp.Compare(a.ID, b.ID) })
	return all[:min(limit, len(all))]
}
