package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"artifactstore/backends"
	"artifactstore/backends/local"
	"artifactstore/cas"
	"artifactstore/cmd/config"
	"artifactstore/registry"
	"artifactstore/registry/sqlite"
)

// openRegistry opens the database that the configuration names. This file is the
// one place that knows which registries and backends there are.
func openRegistry(ctx context.Context, c *config.Config) (registry.Registry, error) {
	path, ok := strings.CutPrefix(c.Registry.URL, "sqlite:")
	if !ok {
		return nil, fmt.Errorf("registry.url %q: want sqlite:PATH", c.Registry.URL)
	}
	r, err := sqlite.Open(ctx, sqlite.Options{Path: path})
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	return r, nil
}

// openBackends opens the configured backends. observe, which may be nil, is told
// of their operations.
func openBackends(ctx context.Context, c *config.Config, observe func(id string) backends.Observer) ([]cas.Backend, error) {
	var list []cas.Backend
	for _, b := range c.Backends {
		opened, err := local.Open(ctx, local.Options{Root: b.Root, KeyPrefix: b.KeyPrefix})
		if err != nil {
			return nil, fmt.Errorf("open backend %s: %w", b.ID, err)
		}
		var one backends.Backend = opened
		if observe != nil {
			one = backends.Observe(one, observe(b.ID))
		}
		list = append(list, cas.Backend{ID: b.ID, Backend: one})
	}
	return list, nil
}

// policy is the configuration's routing and retention in the engine's terms.
func policy(c *config.Config) cas.Policy {
	p := cas.Policy{
		Default:      c.Routing.Default,
		DefaultClass: c.Retention.Default,
		Classes:      map[string]time.Duration{},
	}
	for _, r := range c.Routing.Rules {
		p.Rules = append(p.Rules, cas.Rule{RetentionClass: r.RetentionClass, Producer: r.Producer, BackendID: r.Backend})
	}
	for name, keep := range c.Retention.Classes {
		p.Classes[name] = keep.Duration()
	}
	return p
}

// sweep removes what uploads left behind that never ended, on every backend.
func sweep(ctx context.Context, list []cas.Backend, grace time.Duration, log *slog.Logger) {
	for _, b := range list {
		n, err := b.Sweep(ctx, time.Now().Add(-grace))
		if n > 0 {
			log.Info("removed abandoned uploads", "backend_id", b.ID, "removed", n)
		}
		if err != nil {
			log.Warn("some abandoned uploads could not be removed; the next start tries again", "backend_id", b.ID, "error", err)
		}
	}
}
