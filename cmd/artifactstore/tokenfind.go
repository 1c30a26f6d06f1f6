package main

import (
	"context"
	"crypto/sha256"
	"errors"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/gateway/auth"
)

// finder looks tokens up in the registry.
func finder(store *cas.Store) func(context.Context, [sha256.Size]byte) (auth.RegisteredToken, error) {
	return func(ctx context.Context, sum [sha256.Size]byte) (auth.RegisteredToken, error) {
		t, err := store.TokenByHash(ctx, digest.New(digest.SHA256, sum[:]))
		if errors.Is(err, cas.ErrTokenUnknown) {
			return auth.RegisteredToken{}, auth.ErrCredentials
		}
		return auth.RegisteredToken{Principal: t.Principal, Grants: t.Grants, ExpiresAt: t.ExpiresAt, RevokedAt: t.RevokedAt}, err
	}
}
