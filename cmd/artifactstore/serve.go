package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"artifactstore/backends"
	"artifactstore/cas"
	"artifactstore/cmd/config"
	"artifactstore/gateway"
	"artifactstore/gateway/limit"
	"artifactstore/gateway/ops"
	"artifactstore/gateway/process"
	"artifactstore/registry"
)

// drainTime is how long requests under way may take to finish once the gateway
// was told to stop. Orchestrators commonly kill after 30 s.
const drainTime = 25 * time.Second

func serveCommand(f *flags) *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Long: `Run the gateway until it is told to stop (SIGTERM or Ctrl-C); requests under way
have 25 seconds to finish. Without a configuration it serves 127.0.0.1:8080 from
./artifactstore-data: blobs in a directory, the registry in a SQLite file. The
log is on standard error: text on a terminal, JSON lines elsewhere. Its line
"serving" says the address; port 0 in listen is any free port.`,
		Example: `  artifactstore serve
  artifactstore serve --config artifactstore.yaml
  ARTIFACTSTORE_LISTEN=127.0.0.1:9000 artifactstore serve`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(f.config, os.Environ())
			if err != nil {
				return err
			}
			log, access, flush := newLogs(cmd.ErrOrStderr())
			defer flush()
			if quiet {
				access = slog.New(slog.DiscardHandler)
			}
			return serve(cmd.Context(), c, log, access)
		},
	}
	cmd.Flags().BoolVar(&quiet, "no-access-log", false, "do not log a line for every request")
	return cmd
}

func serve(ctx context.Context, c *config.Config, log, access *slog.Logger) error {
	process.Widen()
	defer runtime.KeepAlive(process.Spare())
	for _, w := range warnings(c) {
		log.Warn(w)
	}
	l, err := listen(ctx, c.Listen)
	if err != nil {
		return err
	}
	defer l.Close()
	reg, err := openRegistry(ctx, c)
	if err != nil {
		return err
	}
	defer reg.Close()
	server, store, err := assemble(ctx, c, reg, log, access)
	if err != nil {
		return err
	}
	profiled, err := listenDebug(ctx, c)
	if err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { store.Background(working, store.Upkeep(schedule(c))...) })
	background.Go(func() { store.Background(working, store.Copies(copying(c))...) })
	background.Go(func() { store.RunVerifications(working, verifications(c)) })
	background.Go(func() { serveProfiles(working, profiled, log) })
	defer background.Wait()
	defer stop()
	scheme := "http://"
	if server.TLS != nil {
		scheme = "https://"
	}
	log.Info("serving", "address", scheme+l.Addr().String(), "version", built(), "registry", c.Registry.String())
	return server.Serve(ctx, l)
}

// assemble puts the house together over an open registry. ctx ends when the
// gateway is to stop.
func assemble(ctx context.Context, c *config.Config, reg registry.Registry, log, access *slog.Logger) (server gateway.Server, store *cas.Store, err error) {
	if err := checkLocations(ctx, reg, c); err != nil {
		return server, nil, err
	}
	metrics := ops.NewMetrics()
	encrypt, err := encryption(c, metrics, log)
	if err != nil {
		return server, nil, err
	}
	open := newOpener(c, log)
	list, err := open.all(ctx, func(id string) backends.Observer {
		return func(operation, outcome string, took time.Duration) {
			metrics.Backend(id, operation, outcome, took)
		}
	})
	if err == nil {
		err = greet(ctx, list, log)
	}
	if err != nil {
		return server, nil, err
	}
	buffered, _ := c.Buffers()
	store, err = cas.New(cas.Options{
		Registry:      reg,
		Backends:      list,
		Policy:        policy(c),
		BufferedBytes: buffered,
		UploadGrace:   c.Retention.UploadGrace.Length(),
		Collection:    collection(c),
		Log:           log,
	})
	if err != nil {
		return server, nil, err
	}
	who, err := gateOf(ctx, c, store, log)
	if err != nil {
		return server, nil, err
	}
	metrics.Watch(store, open.parts.InUse)
	handler := gateway.New(gateway.Options{
		Store:         store,
		Gate:          who,
		ExternalURL:   c.Auth.ExternalURL,
		Metrics:       metrics,
		UploadBytes:   c.Limits.UploadBytes,
		ManifestBytes: c.Limits.ManifestBytes,
		Pace:          gateway.Pace{Idle: c.Limits.Idle.Length(), MinimumRate: c.Limits.MinimumRateBytes},
		Proxies:       proxies(c),
		Uploads:       &limit.Uploads{Most: int(c.Limits.UploadsPerPrincipal)},
		Sessions:      sessions(c, store),
		Log:           log,
		Access:        access,
		Draining:      ctx.Done(),
	})
	return gateway.Server{
		Handler:     handler,
		TLS:         encrypt,
		Idle:        c.Limits.Idle.Length(),
		Connections: int(c.Limits.Connections),
		Waited:      func() { metrics.Limited("connections") },
		PerAddress:  int(c.Limits.ConnectionsPerAddress),
		Proxies:     proxies(c),
		Refused:     func() { metrics.Limited("connections_per_address") },
		Drain:       drainTime,
		Log:         log,
	}, store, nil
}

// sessions bounds the uploads that one principal has open.
func sessions(c *config.Config, store *cas.Store) *limit.Sessions {
	return &limit.Sessions{
		Most: int(c.Limits.SessionsPerPrincipal),
		Keep: c.Retention.UploadGrace.Length(),
		Open: func(ctx context.Context, id cas.Session) bool {
			_, err := store.StatUpload(ctx, id)
			return !errors.Is(err, cas.ErrUploadUnknown)
		},
		Now: time.Now,
	}
}

// greetTime bounds the first look at the backends, all at once.
const greetTime = 5 * time.Second

// greet looks at every backend before anything is served. What is wrong with the
// configuration of one is refused; one that is away for now is not: the others
// have their blobs, and it may come back.
func greet(ctx context.Context, list []cas.Backend, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, greetTime)
	defer cancel()
	errs := make([]error, len(list))
	var all sync.WaitGroup
	for i, b := range list {
		all.Go(func() {
			switch err := b.Health(ctx); {
			case err == nil:
			case isMistake(err):
				errs[i] = fmt.Errorf("backend %s: %w", b.ID, err)
			default:
				log.Warn("a backend does not work for now", "backend_id", b.ID, "error", err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: the address is in use: is another gateway running? Set listen, or ARTIFACTSTORE_LISTEN, to another", address)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}
