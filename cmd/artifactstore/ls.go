package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"artifactstore/gateway/client"
)

func lsCommand(f *flags) *cobra.Command {
	var filter client.PackageFilter
	var labels []string
	var long bool
	cmd := &cobra.Command{
		Use:   "ls [PRODUCER[/NAME]]",
		Short: "List packages",
		Long: `List packages, all or those of a producer or of a name, in the order of their names.
Images and other artifacts that were pushed by the OCI protocol are packages too:
their name is the repository. --json prints one JSON document a line.`,
		Example: `  artifactstore ls
  artifactstore ls ci-7/app --state sealed
  artifactstore ls --label branch=main --long
  artifactstore ls --class ephemeral --json | jq -r .version`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if filter.Labels, err = labelsOf(labels); err != nil {
				return err
			}
			if filter.State != "" && filter.State != "open" && filter.State != "sealed" {
				return usagef("--state %q: want open or sealed", filter.State)
			}
			name := ""
			if len(args) == 1 {
				filter.Producer, name, _ = strings.Cut(args[0], "/")
				if filter.Producer == "" {
					return usagef("%q is no producer: want PRODUCER or PRODUCER/NAME", args[0])
				}
			}
			return list(cmd, f, filter, name, long)
		},
	}
	cmd.Flags().StringArrayVarP(&labels, "label", "l", nil, "only those with this label, `NAME=VALUE`; can be given again")
	classFlag(cmd, &filter.RetentionClass, "only those of this `CLASS`")
	cmd.Flags().StringVar(&filter.State, "state", "", "only those in this `STATE`: open or sealed")
	cmd.Flags().BoolVar(&long, "long", false, "show labels, times and the manifest's digest too")
	return cmd
}

// list shows packages as they come. A name below a producer is that of packages, or
// what follows the first part of a repository's.
func list(cmd *cobra.Command, f *flags, filter client.PackageFilter, name string, long bool) error {
	names := []string{""}
	if name != "" {
		names = []string{name, filter.Producer + "/" + name}
	}
	out := newRows(cmd.OutOrStdout(), f.json, long)
	c, err := newClient(f)
	if err != nil {
		return err
	}
	for _, filter.Name = range names {
		for p, err := range c.Packages(cmd.Context(), filter) {
			if err != nil {
				return fmt.Errorf("list packages: %w", unreached(f, err))
			}
			if err := out.add(p); err != nil {
				return err
			}
		}
	}
	return out.flush()
}

// rows prints packages, a line each.
type rows struct {
	w     io.Writer
	table *tabwriter.Writer // nil: JSON
	long  bool
	n     int
}

// tableRows is after how many lines a table is written out: a list may be long, and
// the columns of its beginning fit the rest.
const tableRows = 1000

func newRows(w io.Writer, asJSON, long bool) *rows {
	r := &rows{w: w, long: long}
	if !asJSON {
		r.table = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	}
	return r
}

func (r *rows) add(p client.Package) error {
	if r.table == nil {
		return json.NewEncoder(r.w).Encode(p)
	}
	if r.n == 0 {
		head := "PACKAGE\tSTATE\tCLASS\tEXPIRES"
		if r.long {
			head += "\tCREATED\tCHANGED\tMANIFEST\tLABELS"
		}
		fmt.Fprintln(r.table, head)
	}
	fmt.Fprintf(r.table, "%s\t%s\t%s\t%s", p.PackageName, p.State, p.RetentionClass, expiry(p))
	if r.long {
		fmt.Fprintf(r.table, "\t%s\t%s\t%s\t%s", moment(p.CreatedAt), moment(p.ChangedAt), manifestOf(p), labelText(p.Labels))
	}
	fmt.Fprintln(r.table)
	if r.n++; r.n%tableRows == 0 {
		return r.table.Flush()
	}
	return nil
}

func (r *rows) flush() error {
	if r.table == nil {
		return nil
	}
	return r.table.Flush()
}

func expiry(p client.Package) string {
	if p.ExpiresAt == nil {
		return "never"
	}
	return p.ExpiresAt.Local().Format(time.DateOnly)
}

func moment(t time.Time) string { return t.Local().Format(time.DateTime) }

func manifestOf(p client.Package) string {
	if p.ManifestDigest.IsZero() {
		return "-"
	}
	return p.ManifestDigest.String()
}

func labelText(labels map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, name+"="+labels[name])
	}
	if all == nil {
		return "-"
	}
	return strings.Join(all, ",")
}
