package auth

import (
	"context"
	"crypto/sha256"
)

// Holder returns who has a token, by the SHA-256 of its text: [ErrCredentials] where
// nobody has, or it is no longer good.
func (t *Tokens) Holder(ctx context.Context, sum [sha256.Size]byte) (Principal, error) {
	if p, ok := t.configured(sum); ok {
		return p, nil
	}
	if t.Find == nil {
		return Principal{}, ErrCredentials
	}
	found, err := t.Find(ctx, sum)
	if err != nil {
		return Principal{}, err
	}
	return t.principal(found)
}
