package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"artifactstore/backends"
	"artifactstore/backends/local"
	"artifactstore/cas"
	"artifactstore/gateway"
	"artifactstore/registry"
)

// target is how long all but the slowest hundredth of requests may take.
const target = 20 * time.Millisecond

// row is a question that is asked many times, with other particulars each time.
type row struct {
	name string
	ask  func(ctx context.Context, n int) error // n is random, or counts up where each must be another
	once bool                                   // n counts up
}

// client asks a gateway that is served for it.
type client struct {
	options
	reg   registry.Registry
	store *cas.Store
	base  string
	http  *http.Client
}

// ask prints a line a row and reports whether one misses its target.
func ask(ctx context.Context, o options, reg registry.Registry, root string) (missed bool, err error) {
	b, err := local.Open(ctx, local.Options{Root: root})
	if err != nil {
		return false, err
	}
	store, err := newStore(reg, b, 0)
	if err != nil {
		return false, err
	}
	c := &client{options: o, reg: reg, store: store, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.clients}}}
	stop, err := c.serve(ctx)
	if err != nil {
		return false, err
	}
	defer stop()
	fmt.Printf("  %-52s %9s %9s %9s\n", "", "p50", "p99", "worst")
	for _, r := range c.rows() {
		took, err := c.sample(ctx, r)
		if err != nil {
			return false, fmt.Errorf("%s: %w", r.name, err)
		}
		at := func(share float64) time.Duration { return took[min(int(share*float64(len(took))), len(took)-1)] }
		verdict := "met"
		if at(0.99) >= target {
			missed, verdict = true, "MISSED"
		}
		fmt.Printf("  %-52s %9s %9s %9s  target p99 < %s  %s\n", r.name, round(at(0.5)), round(at(0.99)), round(at(1)), target, verdict)
	}
	return missed, c.large(ctx)
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func newStore(reg registry.Registry, b backends.Backend, grace time.Duration) (*cas.Store, error) {
	return cas.New(cas.Options{
		Registry: reg, Backends: []cas.Backend{{ID: backendID, Backend: b}}, Log: slog.New(slog.DiscardHandler),
		Collection: cas.Collection{Grace: grace},
		Sleep:      func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Policy: cas.Policy{Default: backendID, DefaultClass: "standard",
			Classes: map[string]time.Duration{"ephemeral": 7 * 24 * time.Hour, "standard": 90 * 24 * time.Hour, "release": -1}},
	})
}

// serve serves the store on a port of its own.
func (c *client) serve(ctx context.Context) (stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- gateway.Serve(ctx, l, gateway.New(gateway.Options{Store: c.store, Log: log, Access: log}), time.Second, log)
	}()
	c.base = "http://" + l.Addr().String()
	return func() { cancel(); <-done }, nil
}

func (c *client) rows() []row {
	return []row{
		{name: "list: 100 packages after any", ask: func(ctx context.Context, n int) error {
			return c.get(ctx, "/v1/packages?limit=100&after="+url.QueryEscape(c.key(n).String()))
		}},
		{name: "list: 100 packages of a producer", ask: func(ctx context.Context, n int) error {
			return c.get(ctx, "/v1/packages?limit=100&producer="+c.key(n).Producer)
		}},
		{name: "list: 100 packages of a label, one in 29", ask: func(ctx context.Context, n int) error {
			return c.get(ctx, fmt.Sprintf("/v1/packages?limit=100&label=branch%%3Db%d&after=%s", n%20, url.QueryEscape(c.key(n).String())))
		}},
		{name: "list: 100 packages of a class, one in 3", ask: func(ctx context.Context, n int) error {
			return c.get(ctx, "/v1/packages?limit=100&retention_class=release&after="+url.QueryEscape(c.key(n).String()))
		}},
		{name: "list: those that are open, one in 48", ask: func(ctx context.Context, n int) error {
			return c.get(ctx, "/v1/packages?limit=100&state=open&after="+url.QueryEscape(c.key(n).String()))
		}},
		{name: "show: a package of 8 files", ask: func(ctx context.Context, n int) error {
			return c.get(ctx, path(c.filesKey(n)))
		}},
		{name: "show: 100 files within a package of 100,000", ask: func(ctx context.Context, n int) error {
			return c.get(ctx, fmt.Sprintf("%s?limit=100&after=tree/%03d/%06d", path(bigKey), n/1000, n))
		}},
		{name: "why: a blob of a package", ask: func(ctx context.Context, n int) error {
			_, err := c.store.Why(ctx, c.own(n)[rand.IntN(perPackage)].BLAKE3, 20)
			return err
		}},
		{name: "why: a blob of 30,000 packages and 700 leases", ask: func(ctx context.Context, _ int) error {
			_, err := c.store.Why(ctx, config.SHA256, 20)
			return err
		}},
		{name: "why: a dead blob", ask: func(ctx context.Context, n int) error {
			_, err := c.store.Why(ctx, blob(n%c.dead).SHA256, 20)
			return err
		}},
		{name: "what expires: 256 packages, the longest unchanged", ask: func(ctx context.Context, _ int) error {
			_, err := c.reg.Expirable(ctx, "standard", time.Now().Add(time.Hour), 256)
			return err
		}},
		{name: "seal: a package of 8 files", once: true, ask: func(ctx context.Context, n int) error {
			return c.do(ctx, http.MethodPost, path(c.key(n))+"/seal")
		}},
	}
}

// filesKey is the key of a package that is no manifest, the n-th or one nearby.
func (c *client) filesKey(n int) registry.PackageKey {
	for isOCI(n) {
		n = (n + 1) % c.packages
	}
	return c.key(n)
}

func path(k registry.PackageKey) string {
	return "/v1/packages/" + k.Producer + "/" + k.Name + "/" + k.Version
}

func (c *client) get(ctx context.Context, path string) error { return c.do(ctx, http.MethodGet, path) }

func (c *client) do(ctx context.Context, method, path string) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.200s", method, path, resp.Status, body)
	}
	return err
}

// sample asks a row's question by several clients and returns how long each answer
// took, the shortest first. What comes first warms up and does not count.
func (c *client) sample(ctx context.Context, r row) ([]time.Duration, error) {
	var sealing []int
	for n := c.packages - openPackages; n < c.packages; n++ {
		if c.isOpen(n) {
			sealing = append(sealing, n)
		}
	}
	total := c.samples
	if r.once {
		total = min(total, len(sealing))
	}
	var next atomic.Int64
	var all sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	var failed error
	for range c.clients {
		all.Go(func() {
			for i := int(next.Add(1)); i <= total; i = int(next.Add(1)) {
				n := rand.IntN(c.packages)
				if r.once {
					n = sealing[i-1]
				}
				began := time.Now()
				err := r.ask(ctx, n)
				d := time.Since(began)
				mu.Lock()
				if err != nil {
					failed = err
				}
				if i > total/20 {
					took = append(took, d)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took, failed
}

// large times what takes long: the package of many files.
func (c *client) large(ctx context.Context) error {
	for _, step := range []struct{ name, method, path string }{
		{"seal", http.MethodPost, path(bigKey) + "/seal"},
		{"manifest", http.MethodGet, path(bigKey) + "/manifest"},
	} {
		began := time.Now()
		if err := c.do(ctx, step.method, step.path); err != nil {
			return err
		}
		fmt.Printf("  %-52s %9s\n", fmt.Sprintf("%s: a package of %d files, once", step.name, c.packages), time.Since(began).Round(time.Millisecond))
	}
	return nil
}
