package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"artifactstore/cas"
	"artifactstore/cmd/config"
	"artifactstore/gateway/oci"
	"artifactstore/registry"
)

// notKnown is what no backend knows of a store.
var notKnown = []string{
	"tags, and which repository a manifest was pushed to",
	"holds",
	"leases, and who stored what when: every lease and every package begins anew",
	"packages that were open; their files are there as blobs",
	"what had been deleted and not collected yet: it is there again",
}

// rebuildFlags are the flags of registry rebuild.
type rebuildFlags struct {
	backends          []string
	repository, class string
	missing, sha512   bool
	jobs              int
}

func registryRebuildCommand(f *flags) *cobra.Command {
	var r rebuildFlags
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Derive the views anew from the log, or the registry from a backend",
		Long: `Replace the views by the replay of the log, in one transaction, and report what
differed before. Writers wait while the views are replaced.

With --from-backend, for a database that is lost: make a usable registry of what a
backend holds. Every object is read once and recorded if its bytes are what its
key says; packages are made of the manifests among them, and OCI manifests are put
into one repository. It wants an empty registry and no gateway that serves it. One
that was interrupted is gone on with by the same command. --missing adds what a
registry does not know that was restored from a backup. What a backend cannot say
is listed. The exit status is 3 when an object or a manifest was left out.`,
		Example: `  artifactstore registry rebuild
  artifactstore registry rebuild --from-backend rgw --jobs 8
  artifactstore registry rebuild --from-backend rgw --from-backend local --json
  artifactstore registry rebuild --from-backend rgw --missing`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(r.backends) == 0 {
				for _, name := range []string{"missing", "oci-repository", "retention-class", "sha512", "jobs"} {
					if cmd.Flags().Changed(name) {
						return usagef("--%s goes with --from-backend", name)
					}
				}
				return rebuildViews(cmd, f)
			}
			return rebuildFromBackends(cmd, f, r)
		},
	}
	cmd.Flags().StringSliceVar(&r.backends, "from-backend", nil, "`ID` of a backend to make the registry of; may be given several times")
	cmd.Flags().BoolVar(&r.missing, "missing", false, "add what a registry that has events does not know")
	cmd.Flags().StringVar(&r.repository, "oci-repository", "recovered", "`NAME` of the repository that takes the OCI manifests")
	cmd.Flags().StringVar(&r.class, "retention-class", "", "`CLASS` by which blobs and OCI manifests are kept from now on; the default class")
	cmd.Flags().BoolVar(&r.sha512, "sha512", false, "compute SHA-512 too, for what is named by it")
	cmd.Flags().IntVar(&r.jobs, "jobs", 2, "`NUMBER` of objects read at once")
	return cmd
}

func rebuildViews(cmd *cobra.Command, f *flags) error {
	return withRegistry(cmd.Context(), f, func(r registry.Registry) error {
		p := startSteps(cmd.ErrOrStderr(), "rebuild")
		report, err := r.Rebuild(cmd.Context(), p.step)
		p.stop()
		if err != nil {
			return err
		}
		return showReport(cmd, f, report, "was rebuilt", false)
	})
}

func rebuildFromBackends(cmd *cobra.Command, f *flags, r rebuildFlags) error {
	if r.jobs < 1 || r.jobs > 256 {
		return usagef("--jobs %d: want 1 to 256", r.jobs)
	}
	if !oci.IsRepository(r.repository) {
		return usagef("--oci-repository %q is not the name of a repository", r.repository)
	}
	c, err := config.Load(f.config, os.Environ())
	if err != nil {
		return err
	}
	return withStore(cmd, f, func(ctx context.Context, s *cas.Store) error {
		for _, id := range r.backends {
			if _, err := chosenBackend(s, id); err != nil {
				return err
			}
		}
		shown := newStatusLine(cmd.ErrOrStderr())
		so, err := s.Rebuild(ctx, cas.RebuildOptions{
			Backends: r.backends, Missing: r.missing, Repository: r.repository, RetentionClass: r.class, SHA512: r.sha512,
			ManifestBytes: c.Limits.ManifestBytes, Concurrency: r.jobs, ParseOCI: oci.StoredManifest, Waiting: shown.waiting,
			Progress: func(what string, done float64, so cas.Rebuilt) { shown.show(rebuilding(what, done, so)) },
		})
		shown.stop()
		if errors.Is(err, cas.ErrRegistryUsed) {
			return fmt.Errorf("%w; after a backup was restored, --missing adds what it does not know", err)
		}
		if err == nil || so.Objects > 0 {
			err = errors.Join(err, showRebuilt(cmd, f, so))
		}
		switch {
		case errors.Is(err, context.Canceled):
			return errors.New("interrupted; the same command goes on from there")
		case err == nil && so.Wrong+so.Unmade > 0:
			return statusError{exitFound, fmt.Errorf("%s and %s were left out", plural(so.Wrong, "object"), plural(so.Unmade, "manifest"))}
		}
		return err
	})
}

// showRebuilt prints what was found and made.
func showRebuilt(cmd *cobra.Command, f *flags, so cas.Rebuilt) error {
	if f.json {
		return printJSON(cmd, struct {
			cas.Rebuilt
			NotKnown []string `json:"not_known"`
		}{so, notKnown})
	}
	out := cmd.OutOrStdout()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, n int64) { fmt.Fprintf(table, "  %s\t%s\t\n", name, humanize.Comma(n)) }
	row("objects", so.Objects)
	row("recorded now", so.Adopted)
	row("recorded before", so.Known)
	row("changing meanwhile", so.Changing)
	row("wrong", so.Wrong)
	row("under other keys", so.Strangers)
	row("packages made", so.Packages)
	row("OCI manifests put into "+so.Repository, so.Manifests)
	row("manifests whose package was there", so.Present)
	row("manifests left out", so.Unmade)
	if err := table.Flush(); err != nil {
		return err
	}
	for _, w := range so.WrongList {
		fmt.Fprintf(out, "WRONG %s on %s (%s): %s\n", w.Key, w.BackendID, humanize.IBytes(uint64(w.Size)), w.Reason)
	}
	for _, key := range so.StrangeList {
		fmt.Fprintf(out, "LEFT ALONE %s\n", key)
	}
	for _, u := range so.UnmadeList {
		fmt.Fprintf(out, "LEFT OUT %s of %s: %s\n", u.Manifest, u.Package, u.Reason)
		for _, d := range u.Missing {
			fmt.Fprintf(out, "  missing %s\n", d)
		}
	}
	fmt.Fprintln(out, "not known to a backend:")
	for _, what := range notKnown {
		fmt.Fprintf(out, "  %s\n", what)
	}
	return nil
}

// rebuilding is the line that shows how far a rebuild is.
func rebuilding(what string, done float64, so cas.Rebuilt) string {
	return fmt.Sprintf("%s: %3.0f %%, %s recorded (%s), %d wrong, %s made", what, 100*done,
		plural(so.Adopted, "object"), humanize.IBytes(uint64(so.Bytes)), so.Wrong, plural(so.Packages+so.Manifests, "package"))
}
