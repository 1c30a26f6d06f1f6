package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"artifactstore/backends"
	"artifactstore/cas"
	"artifactstore/cmd/config"
	"artifactstore/gateway"
	"artifactstore/gateway/ops"
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
are finished first. Without a configuration it serves 127.0.0.1:8080 from
./artifactstore-data: blobs in a directory, the registry in a SQLite file.`,
		Example: `  artifactstore serve
  artifactstore serve --config artifactstore.yaml
  ARTIFACTSTORE_LISTEN=127.0.0.1:9000 artifactstore serve`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(f.config, os.Environ())
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c, logger(cmd.ErrOrStderr()), quiet)
		},
	}
	cmd.Flags().BoolVar(&quiet, "no-access-log", false, "do not log a line for every request")
	return cmd
}

// logger writes text to a terminal and JSON to anything else.
func logger(w io.Writer) *slog.Logger {
	if isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, nil))
	}
	return slog.New(slog.NewJSONHandler(w, nil))
}

func serve(ctx context.Context, c *config.Config, log *slog.Logger, quiet bool) error {
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
	metrics := ops.NewMetrics()
	list, err := openBackends(ctx, c, func(id string) backends.Observer {
		return func(operation, outcome string, took time.Duration) {
			metrics.Backend(id, operation, outcome, took)
		}
	})
	if err != nil {
		return err
	}
	sweep(ctx, list, c.Retention.UploadGrace.Duration(), log)
	store, err := cas.New(cas.Options{
		Registry:      reg,
		Backends:      list,
		Policy:        policy(c),
		BufferedBytes: c.Limits.BufferedBytes,
		Log:           log,
	})
	if err != nil {
		return err
	}
	metrics.Watch(store)
	access := log
	if quiet {
		access = slog.New(slog.DiscardHandler)
	}
	handler := gateway.New(gateway.Options{
		Store:       store,
		Metrics:     metrics,
		UploadBytes: c.Limits.UploadBytes,
		Pace:        gateway.Pace{Idle: c.Limits.Idle.Duration(), MinimumRate: c.Limits.MinimumRateBytes},
		Log:         log,
		Access:      access,
		Draining:    ctx.Done(),
	})
	log.Info("serving", "address", "http://"+l.Addr().String(), "version", version, "registry", c.Registry.URL)
	return gateway.Serve(ctx, l, handler, drainTime, log)
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
