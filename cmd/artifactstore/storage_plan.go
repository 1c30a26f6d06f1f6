package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"artifactstore/cas"
	"artifactstore/cmd/config"
)

// planFlags are the flags of storage plan, as they were written.
type planFlags struct {
	apply       bool
	rate, grace string
	jobs        int
}

func storagePlanCommand(f *flags) *cobra.Command {
	var p planFlags
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Say what would move for the routing as it is configured now, and move it",
		Long: `Compare where each blob is with where routing wants it: how many copies would be
made on each backend, and how many locations no route wants any more. Nothing is
changed without --apply.

With --apply, blobs are copied to where they are wanted, hashed on the way. An old
location is removed when all that stay have been there for the grace and were
read back; until then a run says how many wait and until when: run it again. A run
that was interrupted is gone on with by the next. It runs beside serving gateways,
which must have the new routing before: one with the old goes on putting blobs where
they were. Where a route has copies, gateways make those by themselves.

The exit status is 1 when something could not be moved; the next run tries again.`,
		Example: `  artifactstore storage plan
  artifactstore storage plan --apply --rate 50MB
  artifactstore storage plan --apply --grace 1d --json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := p.options()
			if err != nil {
				return err
			}
			return withStore(cmd, f, func(ctx context.Context, s *cas.Store) error {
				if p.apply {
					return applyPlan(ctx, cmd, f, s, o)
				}
				return showPlan(ctx, cmd, f, s)
			})
		},
	}
	cmd.Flags().BoolVar(&p.apply, "apply", false, "move what would")
	cmd.Flags().StringVar(&p.rate, "rate", "", "copy and read back no more than so many `BYTES` a second, such as 100MB")
	cmd.Flags().StringVar(&p.grace, "grace", "", "keep an old location for this `TIME` after its copies were made, such as 1d; retention.collection.grace without it")
	cmd.Flags().IntVar(&p.jobs, "jobs", 4, "`NUMBER` of blobs moved at once")
	return cmd
}

// options reads the flags.
func (p planFlags) options() (o cas.MoveOptions, err error) {
	o = cas.MoveOptions{By: byCommand, Concurrency: p.jobs}
	if p.jobs < 1 || p.jobs > 256 {
		return o, usagef("--jobs %d: want 1 to 256", p.jobs)
	}
	if !p.apply && (p.rate != "" || p.grace != "") {
		return o, usagef("--rate and --grace are for --apply")
	}
	if p.grace != "" {
		d, err := config.ParseDuration(p.grace)
		if err != nil {
			return o, usagef("--grace: %v", err)
		}
		if o.Grace = d.Length(); o.Grace == 0 {
			o.Grace = -1
		}
	}
	if p.rate != "" {
		n, err := humanize.ParseBytes(strings.TrimSuffix(p.rate, "/s"))
		if err != nil || n < 1 || n > 1<<50 {
			return o, usagef("--rate %q: want bytes a second, such as 100MB or 64MiB", p.rate)
		}
		o.BytesPerSecond = int64(n)
	}
	return o, nil
}

func showPlan(ctx context.Context, cmd *cobra.Command, f *flags, s *cas.Store) error {
	shown := newStatusLine(cmd.ErrOrStderr())
	p, err := s.Plan(ctx, func(done float64) { shown.show(fmt.Sprintf("plan: %3.0f %%", 100*done)) })
	shown.stop()
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd, p)
	}
	out := cmd.OutOrStdout()
	if p.Done() {
		fmt.Fprintf(out, "nothing would move; %s looked at\n", plural(p.Blobs, "blob"))
	} else {
		table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "BACKEND\tCOPIES TO MAKE\tBYTES\tNOT WANTED THERE\tBYTES")
		for _, on := range p.Backends {
			fmt.Fprintf(table, "%s\t%d\t%s\t%d\t%s\n", on.BackendID, on.Copies, sizeOf(on.CopyBytes), on.Leaving, sizeOf(on.LeavingBytes))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if p.Lost > 0 {
		fmt.Fprintf(out, "%s on no backend: see storage repair\n", plural(p.Lost, "blob"))
	}
	return nil
}

func applyPlan(ctx context.Context, cmd *cobra.Command, f *flags, s *cas.Store, o cas.MoveOptions) error {
	shown := newStatusLine(cmd.ErrOrStderr())
	o.Waiting = shown.waiting
	o.Progress = func(done float64, so cas.MoveReport) {
		shown.show(fmt.Sprintf("move: %3.0f %%, %d copies (%s), %d removed", 100*done, so.Copied, sizeOf(so.CopiedBytes), so.Removed))
	}
	r, err := s.Move(ctx, o)
	shown.stop()
	return errors.Join(err, showMove(cmd, f, r), moveLeft(r))
}

func showMove(cmd *cobra.Command, f *flags, r cas.MoveReport) error {
	if f.json {
		return printJSON(cmd, r)
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%d copied (%s), %s removed (%s)\n", r.Copied, sizeOf(r.CopiedBytes), plural(r.Removed, "old location"), sizeOf(r.RemovedBytes))
	if r.Waiting > 0 {
		fmt.Fprintf(out, "%s may go from %s on: run this again then\n", plural(r.Waiting, "old location"), r.Until.Local().Format(time.RFC3339))
	}
	return nil
}

// moveLeft is the error of a run that could not move everything.
func moveLeft(r cas.MoveReport) error {
	switch {
	case r.Left > 0:
		return fmt.Errorf("%s could not be moved; the next run tries again: %s", plural(r.Left, "blob"), r.LeftWhy)
	case len(r.Failed) > 0:
		return fmt.Errorf("some objects could not be deleted from %s; the next collection tries again", strings.Join(slices.Sorted(maps.Keys(r.Failed)), ", "))
	}
	return nil
}
