package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"artifactstore/cmd/config"
)

// probeTimeout bounds the look at one part.
const probeTimeout = 30 * time.Second

// part is the registry or a backend, and whether it works.
type part struct {
	Name  string `json:"name"` // "registry", or "backend" and its id
	Error string `json:"error,omitempty"`
}

// String is one line.
func (p part) String() string {
	if p.Error != "" {
		return p.Name + ": FAILED: " + p.Error
	}
	return p.Name + ": ok"
}

// probe opens the registry and every backend by itself, so that all of what is
// wrong is found at once.
func probe(ctx context.Context, c *config.Config) []part {
	parts := []part{{Name: "registry", Error: words(probeRegistry(ctx, c))}}
	o := newOpener(c, slog.New(slog.DiscardHandler))
	for _, b := range c.Backends {
		parts = append(parts, part{Name: "backend " + b.ID, Error: words(probeBackend(ctx, o, b))})
	}
	return parts
}

func probeRegistry(ctx context.Context, c *config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	r, err := openRegistry(ctx, c)
	if err != nil {
		return err
	}
	err = r.Health(ctx)
	if err == nil {
		err = checkLocations(ctx, r, c)
	}
	return errors.Join(err, r.Close())
}

func probeBackend(ctx context.Context, o *opener, b config.Backend) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	one, err := o.one(ctx, b)
	if err != nil {
		return err
	}
	return one.Health(ctx)
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func failedParts(parts []part) error {
	n := 0
	for _, p := range parts {
		if p.Error != "" {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d parts do not work", n, len(parts))
}
