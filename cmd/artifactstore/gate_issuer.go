package main

import (
	"context"
	"time"

	"artifactstore/cas"
	"artifactstore/gateway/auth"
)

// signs gives a gate what signs tokens, with keys that all gateways on the registry
// share. What it signs for the holder of an API token ends with that.
func signs(g *auth.Gate, store *cas.Store) {
	for _, m := range g.Methods {
		if t, ok := m.(*auth.Tokens); ok {
			g.Issuer = auth.NewIssuer(sharedKeys{store}, t.Holder, time.Now)
			return
		}
	}
	g.Issuer = auth.NewIssuer(sharedKeys{store}, nil, time.Now)
}

// sharedKeys are the signing keys in the registry.
type sharedKeys struct{ store *cas.Store }

// SigningKeys implements auth.SigningKeys, as the others.
func (k sharedKeys) SigningKeys(ctx context.Context) (all []auth.SigningKey, err error) {
	list, err := k.store.SigningKeys(ctx)
	for _, one := range list {
		all = append(all, auth.SigningKey(one))
	}
	return all, err
}

func (k sharedKeys) AddSigningKey(ctx context.Context, key auth.SigningKey) error {
	return k.store.AddSigningKey(ctx, cas.SigningKey(key))
}

func (k sharedKeys) DropSigningKeys(ctx context.Context, expiredBefore time.Time) error {
	return k.store.DropSigningKeys(ctx, expiredBefore)
}
