package main

import (
	"context"
	"fmt"

	"artifactstore/cas"
	"artifactstore/cmd/config"
	"artifactstore/gateway/auth"
)

// gateOf makes what finds out who asks, nil where nobody is asked.
func gateOf(ctx context.Context, c *config.Config, store *cas.Store) (*auth.Gate, error) {
	if !c.Auth.Mode.On() {
		return nil, nil
	}
	g := &auth.Gate{}
	var err error
	if g.Anonymous, err = grants(c.Auth.Anonymous); err != nil {
		return nil, fmt.Errorf("auth.anonymous: %w", err)
	}
	for _, mode := range c.Auth.Mode {
		m, err := method(ctx, mode, c, store)
		if err != nil {
			return nil, fmt.Errorf("auth.mode %s: %w", mode, err)
		}
		g.Methods = append(g.Methods, m)
	}
	return g, nil
}

// method makes what knows the credentials of one mode.
func method(_ context.Context, mode config.AuthMode, _ *config.Config, _ *cas.Store) (auth.Method, error) {
	switch mode {
	}
	return nil, fmt.Errorf("%s is not supported by this version", mode)
}

// grants reads what the configuration allows.
func grants(list []config.Grant) (all []auth.Grant, err error) {
	for _, text := range list {
		g, err := auth.ParseGrant(string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, g)
	}
	return all, nil
}
