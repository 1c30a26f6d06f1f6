package main

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"artifactstore/gateway/client"
	"artifactstore/gateway/client/tree"
)

// defaultJobs is how many files are on their way at once: enough for the gateway to
// write many small ones with one sync.
const defaultJobs = 64

func pushCommand(f *flags) *cobra.Command {
	var o tree.PushOptions
	var name string
	var labels []string
	cmd := &cobra.Command{
		Use:   "push DIR --package PRODUCER/NAME/VERSION",
		Short: "Make a package of a directory and seal it",
		Long: `Put every file of a directory into a package, seal it, and print the digest of its
manifest, which names the package for ever. The manifest is compared with the files.

What the package has already is not sent again, nor are the bytes of a file that the
gateway has anywhere, so a push that failed or was killed is just run again. All
that a package cannot hold is named before anything is sent: symbolic links (but see
--follow-symlinks), devices, and names that are not UTF-8 or have a control
character or a backslash. Nothing is left out silently. A directory that changes
while it is pushed is not sealed.`,
		Example: `  artifactstore push dist --package ci-7/app/1.4.2
  artifactstore push dist --package ci-7/app/1.4.2 --class release --label commit=4f2a91c
  artifactstore push linux --package ci-7/app/1.4.3 --no-seal`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if o.Package, err = packageFlag(name); err != nil {
				return err
			}
			if o.Labels, err = labelsOf(labels); err != nil {
				return err
			}
			return push(cmd, f, args[0], o)
		},
	}
	cmd.Flags().StringVarP(&name, "package", "p", "", "the package, as `PRODUCER/NAME/VERSION`")
	classFlag(cmd, &o.RetentionClass, "`CLASS` that says how long the package is kept, and routes it")
	cmd.Flags().StringArrayVarP(&labels, "label", "l", nil, "`NAME=VALUE` to find the package by; can be given again")
	jobsFlag(cmd, &o.Jobs)
	cmd.Flags().BoolVar(&o.FollowSymlinks, "follow-symlinks", false, "push a link to a file of the same directory as that file")
	cmd.Flags().BoolVar(&o.Prune, "prune", false, "take out of an open package what the directory has not")
	cmd.Flags().BoolVar(&o.KeepOpen, "no-seal", false, "leave the package open for more files, of other directories too; \"package seal\" ends that")
	return cmd
}

func push(cmd *cobra.Command, f *flags, dir string, o tree.PushOptions) error {
	if o.Jobs < 1 {
		return usagef("--jobs %d: want at least 1", o.Jobs)
	}
	c, err := clientFor(f, o.Jobs)
	if err != nil {
		return err
	}
	p := newTreeProgress(cmd.ErrOrStderr(), "push")
	o.Progress = p
	o.Note = func(s string) { p.say(cmd.ErrOrStderr(), "note: "+s) }
	done, err := tree.Push(cmd.Context(), c, dir, o)
	p.stop(err == nil)
	if err != nil {
		return fmt.Errorf("push %s: %w", dir, unreached(f, err))
	}
	if f.json {
		return printJSON(cmd, done)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s %s: %s; %s sent, %s attached, %s there already\n",
		o.Package, done.State, counted(done.Count), counted(done.Sent), counted(done.Attached), counted(done.Kept))
	if done.Removed > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s taken out\n", plural(int64(done.Removed), "file"))
	}
	if !done.Manifest.IsZero() {
		fmt.Fprintln(cmd.OutOrStdout(), done.Manifest)
	}
	return nil
}

// packageFlag reads the package that a flag must name.
func packageFlag(name string) (client.PackageName, error) {
	if name == "" {
		return client.PackageName{}, usagef("--package is missing: want --package PRODUCER/NAME/VERSION")
	}
	return packageName(name)
}

func packageName(s string) (client.PackageName, error) {
	n, err := client.ParsePackageName(s)
	if err != nil {
		return n, usageError{err}
	}
	return n, nil
}

// labelsOf reads name=value, no name twice; nothing is nil.
func labelsOf(list []string) (map[string]string, error) {
	var labels map[string]string
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, usagef("--label %q: want NAME=VALUE", s)
		}
		if _, twice := labels[name]; twice {
			return nil, usagef("--label %s is given twice", name)
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[name] = value
	}
	return labels, nil
}

// counted is a number of files for people.
func counted(c tree.Count) string {
	return plural(int64(c.Files), "file") + " (" + humanize.IBytes(uint64(c.Bytes)) + ")"
}

func plural(n int64, what string) string {
	if n != 1 {
		what += "s"
	}
	return humanize.Comma(n) + " " + what
}
