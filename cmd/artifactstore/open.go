package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
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
	address, err := c.Registry.Address(os.Environ())
	if err != nil {
		return nil, err
	}
	scheme, rest, _ := strings.Cut(address, ":")
	switch scheme {
	case "sqlite":
		return sqlite.Open(ctx, sqlite.Options{Path: rest})
	}
	return nil, fmt.Errorf("open registry: this build has none for %s: addresses", scheme)
}

// openBackends opens the configured backends. observe, which may be nil, is told
// of their operations.
func openBackends(ctx context.Context, c *config.Config, observe func(id string) backends.Observer) ([]cas.Backend, error) {
	var list []cas.Backend
	for _, b := range c.Backends {
		one, err := openBackend(ctx, c, b)
		if err != nil {
			return nil, fmt.Errorf("open backend %s: %w", b.ID, err)
		}
		if observe != nil {
			one = backends.Observe(one, observe(b.ID))
		}
		list = append(list, cas.Backend{ID: b.ID, Backend: one})
	}
	return list, nil
}

func openBackend(ctx context.Context, _ *config.Config, b config.Backend) (backends.Backend, error) {
	switch b.Type {
	case config.Local:
		return local.Open(ctx, local.Options{Root: b.Root, KeyPrefix: b.KeyPrefix})
	}
	return nil, fmt.Errorf("this build has none of type %s", b.Type)
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
		p.Classes[name] = keep.Length()
	}
	return p
}

// checkLocations refuses a configuration without a backend on which the registry
// still has blobs: they would be unreadable, and an upload of the same content
// would be taken to be stored there.
func checkLocations(ctx context.Context, r registry.Registry, c *config.Config) error {
	totals, err := r.Totals(ctx)
	if err != nil {
		return fmt.Errorf("count locations: %w", err)
	}
	gone := map[string]int64{}
	for l, n := range totals.Locations {
		if n > 0 && !slices.ContainsFunc(c.Backends, func(b config.Backend) bool { return b.ID == l.BackendID }) {
			gone[l.BackendID] += n
		}
	}
	var each []string
	for _, id := range slices.Sorted(maps.Keys(gone)) {
		each = append(each, fmt.Sprintf("%s (%d)", id, gone[id]))
	}
	if each == nil {
		return nil
	}
	return fmt.Errorf("the registry has blobs on backends that are not configured: %s; configure them again: routing need not send anything there", strings.Join(each, ", "))
}
