package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/cmd/config"
	"artifactstore/registry"
)

func storageWhyCommand(f *flags) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "why DIGEST",
		Short: "Say what keeps a blob, where it is, and when it would go",
		Long: `Show all that the decision to remove a blob is made from: the packages that refer to
it, with their holds; the leases on it; where its bytes are and when they were
verified; removals under way; and when it would go at the earliest if nothing
changed. Any digest of the blob will do. No backend is asked: it works while one is
away. The exit status is 1 when there is no such blob.`,
		Example: `  artifactstore storage why sha256:2c26…`,
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := digest.Parse(args[0])
			if err != nil {
				return usageError{err}
			}
			if limit < 0 {
				return usagef("--limit %d: want 0 or more", limit)
			}
			c, err := config.Load(f.config, os.Environ())
			if err != nil {
				return err
			}
			r, err := openRegistry(cmd.Context(), c)
			if err != nil {
				return err
			}
			return errors.Join(why(cmd, f, c, r, d, limit), r.Close())
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "show at most `N` packages, and N leases")
	return cmd
}

func why(cmd *cobra.Command, f *flags, c *config.Config, r registry.Registry, d digest.Digest, limit int) error {
	s, err := closedStore(c, r)
	if err != nil {
		return err
	}
	e, err := s.Why(cmd.Context(), d, limit)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd, e)
	}
	return showEvidence(cmd.OutOrStdout(), e)
}

// closedStore is the configured store without its backends: it can be asked what the
// registry knows.
func closedStore(c *config.Config, r registry.Registry) (*cas.Store, error) {
	o := cas.Options{
		Registry: r, Policy: policy(c), UploadGrace: c.Retention.UploadGrace.Length(), Collection: collection(c),
		Log: slog.New(slog.DiscardHandler),
	}
	for _, b := range c.Backends {
		o.Backends = append(o.Backends, cas.Backend{ID: b.ID})
	}
	return cas.New(o)
}

// showEvidence prints evidence for a person.
func showEvidence(out io.Writer, e *cas.Evidence) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(table, format+"\n", args...) }

	line("%s: %s, stored %s", e.Digest, humanize.IBytes(uint64(e.Size)), second(e.StoredAt))
	for _, alg := range slices.Sorted(maps.Keys(e.Digests)) {
		if alg != e.Digest.Algorithm().String() {
			line("also %s:%s", alg, e.Digests[alg])
		}
	}
	showReferences(line, e)
	if len(e.Leases) > 0 {
		line("\nleases:\nHOLDER\tUNTIL\tCLASS\tPRODUCER")
	}
	for _, l := range e.Leases {
		until := until(&l.Until)
		if !l.Lasts {
			until += " (ended)"
		}
		line("%s\t%s\t%s\t%s", cmp.Or(l.Repository, l.Principal), until, l.RetentionClass, l.Producer)
	}
	if len(e.Uploads) > 0 {
		line("\nuploads that became it, and do not keep it:\nREPOSITORY\tPRINCIPAL\tANSWERS UNTIL")
	}
	for _, u := range e.Uploads {
		line("%s\t%s\t%s", u.Repository, u.Principal, second(u.ExpiresAt))
	}
	showPlaces(line, e)
	line("\n%s", e.Goes)
	return table.Flush()
}

func showReferences(line func(string, ...any), e *cas.Evidence) {
	if e.References == 0 {
		line("\nno package refers to it")
		return
	}
	line("\nreferences: %d\nPACKAGE\tPATH\tCLASS\tEXPIRES\tHOLDS", e.References)
	for _, k := range e.Packages {
		holds := "-"
		for i, h := range k.Holds {
			if holds += ", " + h; i == 0 {
				holds = h
			}
		}
		line("%s\t%s\t%s\t%s\t%s", k.Package, cmp.Or(k.Path, "(manifest)"), k.RetentionClass, until(k.ExpiresAt), holds)
	}
	if more := e.References - int64(len(e.Packages)); more > 0 {
		line("and %d more: see --limit", more)
	}
}

func showPlaces(line func(string, ...any), e *cas.Evidence) {
	if len(e.Locations) == 0 {
		line("\nits bytes are nowhere")
	} else {
		line("\nlocations:\nBACKEND\tSTATE\tWRITTEN\tVERIFIED")
	}
	for _, p := range e.Locations {
		state, verified := p.State, "never"
		if p.Reason != "" {
			state += " (" + p.Reason + ")"
		}
		if p.VerifiedAt != nil {
			verified = second(*p.VerifiedAt)
		}
		line("%s\t%s\t%s\t%s", p.BackendID, state, second(p.WrittenAt), verified)
	}
	for _, r := range e.Removals {
		line("being removed from %s since %s (%s)", r.BackendID, second(r.Since), r.Cause)
	}
}

// until is the end of what may have none.
func until(t *time.Time) string {
	if t == nil || !t.Before(cas.Forever) {
		return "never"
	}
	return second(*t)
}

func second(t time.Time) string { return t.UTC().Format(time.RFC3339) }
