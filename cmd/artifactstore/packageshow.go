package main

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"artifactstore/gateway/client"
)

func packageShowCommand(f *flags) *cobra.Command {
	return packageVerb(f, &cobra.Command{
		Use:   "show PRODUCER/NAME/VERSION",
		Short: "Show a package with its holds and all its files",
		Long: `Show a package: state, class, labels, expiry, holds, and all its files with their
sizes, digests and where their bytes are. With --json it is one document.`,
		Example: `  artifactstore package show ci-7/app/1.4.2
  artifactstore package show ci-7/app/1.4.2 --json | jq -r .files[].path`,
	}, 1, func(cmd *cobra.Command, c *client.Client, n client.PackageName, _ []string) error {
		p, err := c.Package(cmd.Context(), n)
		if err != nil {
			return err
		}
		files := c.Files(cmd.Context(), n)
		if f.json {
			return showPackageJSON(cmd.OutOrStdout(), p, files)
		}
		return showPackage(cmd.OutOrStdout(), p, files)
	})
}

// showPackage prints a package for people. Files are written out page by page: there
// may be a hundred thousand.
func showPackage(w io.Writer, p client.Package, files iter.Seq2[client.File, error]) error {
	head := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"package", p.PackageName.String()}, {"state", p.State}, {"manifest", manifestOf(p)}, {"class", p.RetentionClass},
		{"expires", expiry(p)}, {"created", moment(p.CreatedAt)}, {"changed", moment(p.ChangedAt)}, {"labels", labelText(p.Labels)},
	} {
		fmt.Fprintf(head, "%s:\t%s\n", line[0], line[1])
	}
	for _, h := range p.Holds {
		fmt.Fprintf(head, "hold:\t%s\n", holdText(p, h))
	}
	if err := head.Flush(); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	n, size := 0, int64(0)
	for f, err := range files {
		if err != nil {
			return err
		}
		if n == 0 {
			fmt.Fprintln(table, "\nSIZE\tBACKEND\tDIGEST\tPATH")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", humanize.IBytes(uint64(f.Size)), strings.Join(f.BackendIDs, ","), f.Digest, f.Path)
		size += f.Size
		if n++; n%tableRows == 0 {
			if err := table.Flush(); err != nil {
				return err
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s, %s\n", plural(int64(n), "file"), humanize.IBytes(uint64(size)))
	return err
}

// showPackageJSON prints one document, its files as they come.
func showPackageJSON(w io.Writer, p client.Package, files iter.Seq2[client.File, error]) error {
	head, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s,\n  \"files\": [", strings.TrimSuffix(string(head), "\n}"))
	between := ""
	for f, err := range files {
		if err != nil {
			return err
		}
		line, err := json.Marshal(f)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n    %s", between, line)
		between = ","
	}
	_, err = fmt.Fprintln(w, "\n  ]\n}")
	return err
}
