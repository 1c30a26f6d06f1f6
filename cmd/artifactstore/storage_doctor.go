package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"artifactstore/backends"
	"artifactstore/backends/doctor"
	"artifactstore/cmd/config"
)

func storageDoctorCommand(f *flags) *cobra.Command {
	var id string
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine a live backend: does it keep what the gateway needs?",
		Long: `Write, read, suspend, list and delete some objects in a scratch folder of the
backend, look at what its kind of service does differently, and clean up: some
100 MB go there and back. The exit status is 1 when the backend cannot keep the
contract; a warning is something to know.`,
		Example: `  artifactstore storage doctor --backend rgw`,
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := openBackend(cmd.Context(), f, id)
			if err != nil {
				return err
			}
			rows := doctor.Examine(cmd.Context(), b, limit)
			if err := showRows(cmd, f, rows); err != nil {
				return err
			}
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			if !doctor.Kept(rows) {
				return fmt.Errorf("backend %s does not keep the contract", id)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&id, "backend", "", "`ID` of the backend")
	cmd.Flags().DurationVar(&limit, "limit", time.Minute, "longest `TIME` for one probe")
	return cmd
}

// openBackend opens one backend of the configuration.
func openBackend(ctx context.Context, f *flags, id string) (backends.Backend, error) {
	if id == "" {
		return nil, usageError{errors.New("--backend is missing")}
	}
	c, err := config.Load(f.config, os.Environ())
	if err != nil {
		return nil, err
	}
	var known []string
	for _, b := range c.Backends {
		if b.ID == id {
			return newOpener(c, slog.New(slog.DiscardHandler)).one(ctx, b)
		}
		known = append(known, b.ID)
	}
	return nil, usagef("there is no backend %q: want one of %s", id, strings.Join(known, ", "))
}

// showRows prints a table for people, or JSON.
func showRows(cmd *cobra.Command, f *flags, rows []doctor.Row) error {
	if f.json {
		return printJSON(cmd, rows)
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\n", strings.ToUpper(string(r.Verdict)), r.Probe, r.Result)
		if r.Explanation != "" {
			fmt.Fprintf(table, "\t\t  %s\n", r.Explanation)
		}
	}
	return table.Flush()
}
