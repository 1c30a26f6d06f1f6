package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"artifactstore/cmd/config"
	"artifactstore/registry"
)

func registryCommand(f *flags) *cobra.Command {
	return group("registry", "Look after the registry's database",
		`The registry is the event log and the views derived from it. These commands find
it by the same configuration as "serve" and run beside a serving gateway.`,
		&cobra.Command{
			Use:     "migrate",
			Short:   "Bring the database to this version's schema",
			Long:    `Create the database, or bring it to this version's schema. "serve" does the same at its start.`,
			Example: `  artifactstore registry migrate`,
			Args:    exactly(0),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return withRegistry(cmd.Context(), f, func(r registry.Registry) error {
					last, err := r.Last(cmd.Context())
					if err != nil {
						return err
					}
					if f.json {
						return printJSON(cmd, map[string]uint64{"position": last})
					}
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "the schema is up to date; the log holds %d events\n", last)
					return err
				})
			},
		},
		&cobra.Command{
			Use:   "check",
			Short: "Compare the log, the views and the totals, and report what differs",
			Long: `Read the whole log, replay it, and compare the result with the views. Nothing is
changed. The exit status is 1 when something differs.`,
			Example: `  artifactstore registry check`,
			Args:    exactly(0),
			RunE: func(cmd *cobra.Command, _ []string) error {
				return withRegistry(cmd.Context(), f, func(r registry.Registry) error {
					p := startSteps(cmd.ErrOrStderr(), "check")
					report, err := r.Check(cmd.Context(), p.step)
					p.stop()
					if err != nil {
						return err
					}
					return showReport(cmd, f, report, "is right", true)
				})
			},
		},
		registryRebuildCommand(f),
	)
}

func withRegistry(ctx context.Context, f *flags, do func(registry.Registry) error) error {
	c, err := config.Load(f.config, os.Environ())
	if err != nil {
		return err
	}
	r, err := openRegistry(ctx, c)
	if err != nil {
		return err
	}
	return errors.Join(do(r), r.Close())
}

// showReport prints a report. With fail, problems are the command's failure.
func showReport(cmd *cobra.Command, f *flags, r registry.Report, verdict string, fail bool) error {
	if f.json {
		if r.Problems == nil {
			r.Problems = []string{}
		}
		if err := printJSON(cmd, r); err != nil {
			return err
		}
	} else {
		for _, p := range r.Problems {
			fmt.Fprintln(cmd.OutOrStdout(), p)
		}
		if len(r.Problems) == 0 || !fail {
			fmt.Fprintf(cmd.OutOrStdout(), "the registry %s: %d events, %d blobs\n", verdict, r.Position, r.Blobs)
		}
	}
	if fail && len(r.Problems) > 0 {
		return fmt.Errorf("the registry has %d problem(s); \"artifactstore registry rebuild\" derives the views anew", len(r.Problems))
	}
	return nil
}
