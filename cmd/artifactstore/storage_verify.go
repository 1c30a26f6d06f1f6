package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"artifactstore/cas"
	"artifactstore/cmd/config"
)

// byCommand is the actor of what the command line finds and mends.
const byCommand = "command line"

// verifyFlags are the flags of storage verify, as they were written.
type verifyFlags struct {
	backend, sample, olderThan, rate string
	repair, fresh                    bool
	jobs                             int
}

func storageVerifyCommand(f *flags) *cobra.Command {
	var v verifyFlags
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read every object of a backend and prove that it is what was stored",
		Long: `Read every object that the registry knows on a backend, compute both digests, and
record for each whether it is what was stored. A failed location is not served
from any more, and the next push of its content heals it; --repair mends it at
once where another backend has the blob. Objects that the registry does not know
are counted and left alone.

It runs beside serving gateways. A run that was interrupted is gone on with by the
same command; one run at a time reads a backend. The exit status is 3 when
something was found to be wrong, also where --repair has mended it.`,
		Example: `  artifactstore storage verify --backend local
  artifactstore storage verify --backend rgw --repair --rate 100MB --jobs 4
  artifactstore storage verify --backend rgw --older-than 30d --sample 5%
  artifactstore storage verify --backend rgw --json > report.json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := v.options()
			if err != nil {
				return err
			}
			return withStore(cmd, f, func(ctx context.Context, s *cas.Store) error {
				if o.Backend, err = chosenBackend(s, v.backend); err != nil {
					return err
				}
				return verifyStore(ctx, cmd, f, s, o)
			})
		},
	}
	cmd.Flags().StringVar(&v.backend, "backend", "", "`ID` of the backend; not needed where there is one")
	cmd.Flags().BoolVar(&v.repair, "repair", false, "mend what is wrong from another backend's copy")
	cmd.Flags().StringVar(&v.sample, "sample", "", "read a `SHARE` of the objects only, such as 5%; another one every time")
	cmd.Flags().StringVar(&v.olderThan, "older-than", "", "leave out what was written or verified less than this `TIME` ago, such as 30d")
	cmd.Flags().StringVar(&v.rate, "rate", "", "read no more than so many `BYTES` a second, such as 100MB")
	cmd.Flags().IntVar(&v.jobs, "jobs", 2, "`NUMBER` of objects read at once")
	cmd.Flags().BoolVar(&v.fresh, "fresh", false, "begin anew where the same run was interrupted")
	return cmd
}

// options reads the flags.
func (v verifyFlags) options() (o cas.VerifyOptions, err error) {
	o = cas.VerifyOptions{Repair: v.repair, Fresh: v.fresh, Concurrency: v.jobs, By: byCommand, Attended: true}
	if v.jobs < 1 || v.jobs > 256 {
		return o, usagef("--jobs %d: want 1 to 256", v.jobs)
	}
	if o.Sample, err = parseShare(v.sample); err != nil {
		return o, err
	}
	if v.olderThan != "" {
		d, err := config.ParseDuration(v.olderThan)
		if err != nil {
			return o, usagef("--older-than: %v", err)
		}
		o.OlderThan = d.Length()
	}
	if v.rate != "" {
		n, err := humanize.ParseBytes(strings.TrimSuffix(v.rate, "/s"))
		if err != nil || n < 1 || n > 1<<50 {
			return o, usagef("--rate %q: want bytes a second, such as 100MB or 64MiB", v.rate)
		}
		o.BytesPerSecond = int64(n)
	}
	return o, nil
}

// parseShare reads 5% or 0.05; nothing is all.
func parseShare(text string) (float64, error) {
	if text == "" {
		return 1, nil
	}
	number, percent := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(number, 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share > 0 && share <= 1) {
		return 0, usagef("--sample %q: want a share such as 5%%, more than nothing and at most 100%%", text)
	}
	return share, nil
}

func verifyStore(ctx context.Context, cmd *cobra.Command, f *flags, s *cas.Store, o cas.VerifyOptions) error {
	shown := newVerifyProgress(cmd.ErrOrStderr(), "verify "+o.Backend)
	o.Progress = shown.show
	start := time.Now()
	v, err := verifyInTurn(ctx, cmd.ErrOrStderr(), s, o)
	shown.stop()
	if v.Run == "" {
		return err
	}
	if err := showVerification(cmd, f, v, time.Since(start)); err != nil {
		return err
	}
	switch failed := v.Failed(); {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted after %d of %d locations; the same command goes on from there", v.Seen, v.Locations)
	case err != nil:
		return err
	case failed > 0:
		return statusError{exitFound, fmt.Errorf("%s on %s failed, %d repaired", plural(failed, "location"), o.Backend, v.Repaired)}
	}
	return nil
}

// turnPatience is how long a command waits for a process that verifies: one that
// was killed keeps its turn for half a minute.
const turnPatience = 45 * time.Second

func verifyInTurn(ctx context.Context, w io.Writer, s *cas.Store, o cas.VerifyOptions) (v cas.Verification, err error) {
	var taken *cas.TakenError
	for start := time.Now(); ; {
		v, err = s.Verify(ctx, o)
		if !errors.As(err, &taken) || time.Since(start) > turnPatience {
			return v, err
		}
		fmt.Fprintf(w, "waiting: %v\n", taken)
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}

// showVerification prints what a run found.
func showVerification(cmd *cobra.Command, f *flags, v cas.Verification, took time.Duration) error {
	if f.json {
		return printJSON(cmd, v)
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s: looked at %s of %s on %s; read %s in %s (%s/s)\n", v.Status,
		humanize.Comma(v.Seen), plural(v.Locations, "location"), v.BackendID,
		humanize.IBytes(uint64(v.Read)), took.Round(time.Millisecond), humanize.IBytes(uint64(float64(v.Read)/max(took.Seconds(), 1e-9))))
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, n int64) {
		if n > 0 {
			fmt.Fprintf(table, "  %s\t%s\t\n", name, humanize.Comma(n))
		}
	}
	for _, r := range cas.Results {
		row(string(r), v.Results[r])
	}
	row("repaired", v.Repaired)
	row("right again", v.Recovered)
	row("objects the registry does not know", v.Orphans)
	row("objects under other keys", v.Strangers)
	if err := table.Flush(); err != nil {
		return err
	}
	for _, x := range v.Failures {
		note := ""
		if x.Repaired != "" {
			note = ", repaired from " + x.Repaired
		}
		fmt.Fprintf(out, "FAILED %s (%s): %s%s\n", x.Blob, humanize.IBytes(uint64(x.Size)), x.Reason, note)
	}
	if more := v.Failed() - int64(len(v.Failures)); more > 0 {
		fmt.Fprintf(out, "and %s more\n", humanize.Comma(more))
	}
	for _, key := range v.Foreign {
		fmt.Fprintf(out, "UNKNOWN %s\n", key)
	}
	return nil
}

// verifications are the schedules of the configuration, in the engine's terms.
func verifications(c *config.Config) (all []cas.VerifySchedule) {
	for _, b := range c.Backends {
		v := b.Verification
		all = append(all, cas.VerifySchedule{
			Backend: b.ID, Every: v.Every.Length(), BytesPerSecond: v.BytesPerSecond, Window: cas.Window{From: v.Window.From, To: v.Window.To},
		})
	}
	return all
}
