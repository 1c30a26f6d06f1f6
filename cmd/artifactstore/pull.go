package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"artifactstore/cas/digest"
	"artifactstore/gateway/client"
	"artifactstore/gateway/client/tree"
)

func pullCommand(f *flags) *cobra.Command {
	var o tree.PullOptions
	cmd := &cobra.Command{
		Use:   "pull PRODUCER/NAME/VERSION[@DIGEST] DIR",
		Short: "Fetch a sealed package into a directory and verify every byte",
		Long: `Fetch every file of a sealed package into a directory, which is made where it is
missing. With @DIGEST, the digest that "push" printed, the package must be that one.
A file gets its name only when its bytes have the SHA-256 and the BLAKE3 of the
manifest. Nothing is written outside the directory, and no symbolic link in it is
followed.

Files that are there already and right are kept, so a pull that failed or was killed
is just run again. Others under a name of the package are refused, all of them
named, unless --overwrite replaces them. What else is in the directory stays.
Permissions are not part of a package. A package that is still open has no manifest
to verify against, and is refused.`,
		Example: `  artifactstore pull ci-7/app/1.4.2 app
  artifactstore pull ci-7/app/1.4.2@sha256:2c26… app
  artifactstore pull ci-7/app/1.4.2 app --overwrite --jobs 8`,
		Args: exactly(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.Package, o.Manifest, err = packageReference(args[0]); err != nil {
				return err
			}
			return pull(cmd, f, args[1], o)
		},
	}
	jobsFlag(cmd, &o.Jobs)
	cmd.Flags().BoolVar(&o.Overwrite, "overwrite", false, "replace files that differ")
	return cmd
}

func pull(cmd *cobra.Command, f *flags, dir string, o tree.PullOptions) error {
	if o.Jobs < 1 {
		return usagef("--jobs %d: want at least 1", o.Jobs)
	}
	c, err := clientFor(f, o.Jobs)
	if err != nil {
		return err
	}
	p := newTreeProgress(cmd.ErrOrStderr(), "pull")
	o.Progress = p
	done, err := tree.Pull(cmd.Context(), c, dir, o)
	p.stop(err == nil)
	if errors.Is(err, client.ErrPackageOpen) {
		err = fmt.Errorf("%w: there is nothing yet to verify it against; \"push\" seals it", err)
	}
	if err != nil {
		return fmt.Errorf("pull %s: %w", o.Package, unreached(f, err))
	}
	if f.json {
		return printJSON(cmd, done)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "verified: %s in %s; %s fetched, %s there already\n",
		counted(done.Count), dir, counted(done.Fetched), counted(done.Kept))
	fmt.Fprintln(cmd.OutOrStdout(), done.Manifest)
	return nil
}

// packageReference reads producer/name/version, and the digest of a manifest behind
// an "@".
func packageReference(s string) (n client.PackageName, d digest.Digest, err error) {
	name, manifest, named := strings.Cut(s, "@")
	if n, err = packageName(name); err != nil || !named {
		return n, d, err
	}
	if d, err = digest.Parse(manifest); err != nil {
		return n, d, usageError{err}
	}
	if d.Algorithm() != digest.SHA256 {
		return n, d, usagef("%s: a manifest is named by its SHA-256", s)
	}
	return n, d, nil
}
