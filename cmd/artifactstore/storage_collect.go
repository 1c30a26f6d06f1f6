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
)

func storageCollectCommand(f *flags) *cobra.Command {
	var dry, orphans bool
	cmd := &cobra.Command{
		Use:   "collect",
		Short: "Let packages expire and remove the blobs that nothing needs",
		Long: `Do now what a serving gateway does from time to time: let packages expire whose
class keeps them no longer, and remove the blobs that no package and no lease has
needed for retention.collection.grace. It runs beside serving gateways and takes
turns with them. With --orphans it also walks every backend for objects older
than retention.collection.orphan_age that nothing has recorded, as a crash leaves
them. With --dry-run nothing is changed, and what would go is listed.

What cannot be deleted now stays listed as being removed, and the next run tries
again; the exit status is then 1.`,
		Example: `  artifactstore storage collect --dry-run
  artifactstore storage collect
  artifactstore storage collect --orphans --json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, f, func(ctx context.Context, s *cas.Store) error {
				c := &collectRun{store: s, dry: dry, orphans: orphans, shown: newStatusLine(cmd.ErrOrStderr())}
				err := c.run(ctx)
				c.shown.stop()
				return errors.Join(err, c.show(cmd, f), c.left())
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "list what would go and change nothing")
	cmd.Flags().BoolVar(&orphans, "orphans", false, "look for objects that nothing has recorded, too")
	return cmd
}

// collectRun is one run of the command and what it did.
type collectRun struct {
	store        *cas.Store
	dry, orphans bool
	shown        *statusLine

	result collectResult
}

// collectResult is what --json prints.
type collectResult struct {
	DryRun   bool              `json:"dry_run"`
	Expired  int64             `json:"expired"`            // packages
	Packages []string          `json:"packages,omitempty"` // of a dry run
	Found    []cas.Candidate   `json:"found,omitempty"`    // of a dry run
	Total    cas.CollectReport `json:"total"`
}

func (c *collectRun) run(ctx context.Context) (err error) {
	c.result.DryRun = c.dry
	c.result.Expired, err = c.store.Expire(ctx, cas.ExpireOptions{DryRun: c.dry, Waiting: c.shown.waiting, Found: func(p cas.Package) {
		if c.dry {
			c.result.Packages = append(c.result.Packages, p.PackageKey.String())
		}
	}})
	if err != nil {
		return err
	}
	o := cas.CollectOptions{DryRun: c.dry, Waiting: c.shown.waiting, Progress: collectingAs(c.shown, "collect"), Found: func(found cas.Candidate) {
		if c.dry {
			c.result.Found = append(c.result.Found, found)
		}
	}}
	report, err := c.store.Collect(ctx, o)
	c.add(report)
	if err != nil || !c.orphans {
		return err
	}
	var errs []error
	for _, b := range c.store.Backends() { // one that is away does not keep the others from it
		o.Progress = collectingAs(c.shown, "orphans on "+b.ID)
		report, err := c.store.Orphans(ctx, b.ID, cas.OrphanOptions{CollectOptions: o, Anyway: true})
		c.add(report)
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// add adds what one part of the run did to the whole.
func (c *collectRun) add(r cas.CollectReport) {
	t := &c.result.Total
	t.Blobs += r.Blobs
	t.Bytes += r.Bytes
	t.Removed += r.Removed
	t.Orphans += r.Orphans
	t.Waiting += r.Waiting
	t.Strange = append(t.Strange, r.Strange...)
	for id, n := range r.Failed {
		if t.Failed == nil {
			t.Failed = map[string]int64{}
		}
		t.Failed[id] += n
	}
	t.Away = slices.Compact(slices.Sorted(slices.Values(append(t.Away, r.Away...))))
}

// left is the error of a run that could not remove everything.
func (c *collectRun) left() error {
	t := &c.result.Total
	switch {
	case len(t.Failed) > 0:
		return fmt.Errorf("some objects could not be deleted from %s; the next run tries again", strings.Join(slices.Sorted(maps.Keys(t.Failed)), ", "))
	case len(t.Away) > 0:
		return fmt.Errorf("backends that do not work were left out: %s", strings.Join(t.Away, ", "))
	}
	return nil
}

func (c *collectRun) show(cmd *cobra.Command, f *flags) error {
	if f.json {
		return printJSON(cmd, c.result)
	}
	out := cmd.OutOrStdout()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, p := range c.result.Packages {
		fmt.Fprintf(table, "%s\tpackage\texpired\n", p)
	}
	for _, b := range c.result.Found {
		fmt.Fprintf(table, "%s\t%s\t%s since %s\ton %s\n", b.Digest, sizeOf(b.Size), b.Why, b.Since.Format(time.RFC3339), strings.Join(b.Backends, ", "))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	t, verb := c.result.Total, ""
	if c.dry {
		verb = "would be "
	}
	fmt.Fprintf(out, "%s %sexpired, %s (%s) %scollected, %s %sremoved\n", plural(c.result.Expired, "package"), verb,
		plural(t.Blobs, "blob"), humanize.IBytes(uint64(t.Bytes)), verb, plural(t.Orphans, "orphan"), verb)
	if t.Waiting > 0 {
		fmt.Fprintf(out, "%s under way; a later run goes on\n", plural(t.Waiting, "removal"))
	}
	for _, key := range t.Strange {
		fmt.Fprintf(out, "left alone: %s is none of a blob\n", key)
	}
	return nil
}

func sizeOf(n int64) string {
	if n < 0 {
		return "?"
	}
	return humanize.IBytes(uint64(n))
}

// collectingAs returns what shows the progress of one part of a collection.
func collectingAs(p *statusLine, what string) func(float64, cas.CollectReport) {
	return func(done float64, so cas.CollectReport) {
		p.show(fmt.Sprintf("%s: %3.0f %%, %d objects removed, %s", what, 100*done, so.Removed, humanize.IBytes(uint64(so.Bytes))))
	}
}
