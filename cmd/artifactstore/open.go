package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"artifactstore/backends"
	"artifactstore/backends/local"
	"artifactstore/backends/s3"
	"artifactstore/cas"
	"artifactstore/cmd/config"
	"artifactstore/registry"
	"artifactstore/registry/postgres"
	"artifactstore/registry/sqlite"
)

// openRegistry opens the database that the configuration names. This file is the
// one place that knows which registries and backends there are.
func openRegistry(ctx context.Context, c *config.Config) (registry.Registry, error) {
	address, err := c.Registry.Address(os.Environ())
	if err != nil {
		return nil, err
	}
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		return sqlite.Open(ctx, sqlite.Options{Path: path})
	}
	r, err := postgres.Open(ctx, postgres.Options{URLFunc: func(context.Context) (string, error) {
		return c.Registry.Address(os.Environ()) // again, for every connection: a password may have been replaced
	}})
	if err != nil {
		return nil, fmt.Errorf("open registry %s: %w", c.Registry, err)
	}
	return r, nil
}

// opener opens the configured backends.
type opener struct {
	config *config.Config
	parts  *s3.Memory // that all backends share which hold parts of objects in memory
	log    *slog.Logger
}

func newOpener(c *config.Config, log *slog.Logger) *opener {
	_, parts := c.Buffers()
	return &opener{c, s3.NewMemory(parts), log}
}

// all opens every backend. observe is told of their operations.
func (o *opener) all(ctx context.Context, observe func(id string) backends.Observer) ([]cas.Backend, error) {
	var list []cas.Backend
	for _, b := range o.config.Backends {
		one, err := o.one(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("open backend %s: %w", b.ID, err)
		}
		list = append(list, cas.Backend{ID: b.ID, Backend: backends.Observe(one, observe(b.ID))})
	}
	return list, nil
}

func (o *opener) one(ctx context.Context, b config.Backend) (backends.Backend, error) {
	if b.Type == config.Local {
		l, err := local.Open(ctx, local.Options{Root: b.Root, KeyPrefix: b.KeyPrefix})
		if err != nil || !b.VerifyReads {
			return l, err
		}
		return backends.Through(l), nil
	}
	return s3.Open(ctx, s3.Options{
		EndpointURL:        b.EndpointURL,
		Region:             b.Region,
		Bucket:             b.Bucket,
		KeyPrefix:          b.KeyPrefix,
		Credentials:        credentials(b),
		StorageClass:       b.StorageClass,
		SSE:                string(b.SSE),
		SSEKMSKeyID:        b.SSEKMSKeyID,
		MultipartThreshold: b.MultipartThresholdBytes,
		MultipartChunk:     b.MultipartChunkBytes,
		PathStyle:          b.PathStyle,
		CAFile:             b.CAFile,
		MaxConnections:     int(b.MaxConnections),
		MaxAttempts:        int(b.MaxAttempts),
		Memory:             o.parts,
		Log:                o.log.With("backend_id", b.ID),
	})
}

// credentials reads a backend's keys where they are kept, at every call: a key
// that was replaced in its file is used without a restart.
func credentials(b config.Backend) func(context.Context) (access, secret string, err error) {
	return func(context.Context) (access, secret string, err error) {
		env := os.Environ()
		if access, err = b.AccessKeyRef.Read(env); err != nil {
			return "", "", fmt.Errorf("access_key_ref: %w", err)
		}
		if secret, err = b.SecretKeyRef.Read(env); err != nil {
			return "", "", fmt.Errorf("secret_key_ref: %w", err)
		}
		return access, secret, nil
	}
}

// isMistake says whether a backend's error is one of its configuration, which a
// person must mend, and not of the network or the service, which may mend itself.
func isMistake(err error) bool {
	var p *s3.Problem
	if !errors.As(err, &p) {
		return false
	}
	return !slices.Contains([]s3.Kind{s3.Unreachable, s3.Busy, s3.Unexpected}, p.Kind)
}

// policy is the configuration's routing and retention in the engine's terms.
func policy(c *config.Config) cas.Policy {
	p := cas.Policy{
		Default:      c.Routing.Default,
		Copies:       c.Routing.Copies,
		DefaultClass: c.Retention.Default,
		Classes:      map[string]time.Duration{},
	}
	for _, r := range c.Routing.Rules {
		p.Rules = append(p.Rules, cas.Rule{RetentionClass: r.RetentionClass, Producer: r.Producer, BackendID: r.Backend, Copies: r.Copies})
	}
	for name, keep := range c.Retention.Classes {
		p.Classes[name] = keep.Length()
	}
	return p
}

// collection is the configuration's delays of collection in the engine's terms.
func collection(c *config.Config) cas.Collection {
	k := c.Retention.Collection
	return cas.Collection{Grace: k.Grace.Length(), OrphanAge: k.OrphanAge.Length(), RemovalWait: k.RemovalWait.Length()}
}

// schedule is how often background work is done.
func schedule(c *config.Config) cas.Schedule {
	k := c.Retention.Collection
	return cas.Schedule{Collect: k.Every.Length(), Orphans: k.OrphansEvery.Length()}
}

// copying is how copies are made in the background.
func copying(c *config.Config) cas.Copying {
	k := c.Routing.Copying
	return cas.Copying{Every: k.Every.Length(), BytesPerSecond: k.BytesPerSecond}
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
