// Command scale asks what a store answers, and how fast, when there is much in it: a
// million blobs and 100,000 packages, in SQLite and in PostgreSQL. It fills an empty
// registry by appending events, as gateways do (no blob has bytes; only the
// manifests of packages that are sealed here are written), puts the gateway's own
// handler in front of it on a loopback port, and measures from the client's side.
// Then a collection finds 100,000 dead blobs, over a backend that does nothing: what
// is counted is the time that the registry takes.
//
//	scale [-packages 100000] [-dead 100000] [-fill] REGISTRY...
//
// A REGISTRY is an address as the configuration has it: sqlite:PATH or postgres://….
// Where one was only filled before, with the same numbers, it goes on from there.
// It exits 1 where a row misses its target.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"artifactstore/gateway/process"
	"artifactstore/registry"
	"artifactstore/registry/postgres"
	"artifactstore/registry/sqlite"
)

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", "", "a directory on the disk to measure, for manifests (default: a fresh one; what is written there is removed)")
	flag.IntVar(&o.packages, "packages", 100_000, "packages, each with nine blobs of its own")
	flag.IntVar(&o.dead, "dead", 100_000, "blobs that nothing keeps")
	flag.BoolVar(&o.fill, "fill", false, "fill, and measure nothing")
	flag.IntVar(&o.samples, "samples", 3000, "requests a row")
	flag.IntVar(&o.clients, "clients", 4, "clients at once")
	flag.Parse()
	process.Widen()
	defer runtime.KeepAlive(process.Spare())
	if err := run(context.Background(), o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

type options struct {
	packages, dead, samples, clients int
	fill                             bool
	dir                              string
}

var errMissed = errors.New("a row missed its target")

func run(ctx context.Context, o options, registries []string) error {
	missed := false
	for _, address := range registries {
		name, reg, err := openRegistry(ctx, address)
		if err != nil {
			return err
		}
		also, err := measure(ctx, o, name, reg)
		if err = errors.Join(err, reg.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		missed = missed || also
	}
	if missed {
		return errMissed
	}
	return nil
}

func openRegistry(ctx context.Context, address string) (name string, _ registry.Registry, err error) {
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		r, err := sqlite.Open(ctx, sqlite.Options{Path: path})
		return "SQLite", r, err
	}
	r, err := postgres.Open(ctx, postgres.Options{URL: address, Timeout: time.Minute}) // to fill it is more than a request would wait for
	return "PostgreSQL", r, err
}

// measure fills one registry and measures it.
func measure(ctx context.Context, o options, name string, reg registry.Registry) (missed bool, err error) {
	began := time.Now()
	totals, err := reg.Totals(ctx)
	if err != nil {
		return false, err
	}
	if totals.Blobs == 0 {
		if err := fill(ctx, o, reg); err != nil {
			return false, fmt.Errorf("fill: %w", err)
		}
		if totals, err = reg.Totals(ctx); err != nil {
			return false, err
		}
	}
	fmt.Printf("%s: %d blobs, %d packages, %d events, filled in %s\n", name, totals.Blobs,
		totals.Packages[registry.Open]+totals.Packages[registry.Sealed], totals.Position, time.Since(began).Round(time.Second))
	if o.fill {
		return false, nil
	}
	root, err := os.MkdirTemp(o.dir, "scale-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(root)
	if missed, err = ask(ctx, o, reg, root); err != nil {
		return false, fmt.Errorf("ask: %w", err)
	}
	also, err := collect(ctx, o, reg)
	if err != nil {
		return false, fmt.Errorf("collect: %w", err)
	}
	fmt.Println()
	return missed || also, nil
}
