package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"artifactstore/backends"
	"artifactstore/cas"
	"artifactstore/cmd/config"
)

// withStore opens the store that the configuration describes, beside whatever
// gateways serve it, for one command.
func withStore(cmd *cobra.Command, f *flags, do func(ctx context.Context, s *cas.Store) error) error {
	ctx := cmd.Context()
	c, err := config.Load(f.config, os.Environ())
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	reg, err := openRegistry(ctx, c)
	if err != nil {
		return err
	}
	unobserved := func(string) backends.Observer { return func(string, string, time.Duration) {} }
	list, err := newOpener(c, log).all(ctx, unobserved)
	if err == nil {
		var s *cas.Store
		buffered, _ := c.Buffers()
		s, err = cas.New(cas.Options{
			Registry: reg, Backends: list, Policy: policy(c), BufferedBytes: buffered,
			UploadGrace: c.Retention.UploadGrace.Length(), Collection: collection(c), Log: log,
		})
		if err == nil {
			err = do(ctx, s)
		}
	}
	return errors.Join(err, reg.Close())
}

// chosenBackend returns the backend that is asked for, or the only one.
func chosenBackend(s *cas.Store, id string) (string, error) {
	list := s.Backends()
	if id == "" && len(list) == 1 {
		return list[0].ID, nil
	}
	var known []string
	for _, b := range list {
		if b.ID == id {
			return id, nil
		}
		known = append(known, b.ID)
	}
	if id == "" {
		return "", usagef("--backend is missing: want one of %v", known)
	}
	return "", usagef("there is no backend %q: want one of %v", id, known)
}
