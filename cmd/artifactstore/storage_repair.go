package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"artifactstore/cas"
)

func storageRepairCommand(f *flags) *cobra.Command {
	var backend string
	var from []string
	cmd := &cobra.Command{
		Use:   "repair",
		Short: "Mend failed locations from another backend, or from a file",
		Long: `Mend every location that is known to have failed: from another backend that has
the blob, hashed while it is copied, or because the object is right again. With
--from, only what a file is: its bytes say which blob that is.

What cannot be mended is listed with the packages that need it. It is mended by
the next push of the same content, by a file, or not needed any more when those
packages are gone. The exit status is 3 while something is left.`,
		Example: `  artifactstore storage repair
  artifactstore storage repair --backend rgw --json
  artifactstore storage repair --from backup/app.tar.gz`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, f, func(ctx context.Context, s *cas.Store) error {
				if backend != "" {
					if _, err := chosenBackend(s, backend); err != nil {
						return err
					}
				}
				if len(from) > 0 {
					return repairFrom(ctx, cmd, f, s, from, backend)
				}
				return repairAll(ctx, cmd, f, s, backend)
			})
		},
	}
	cmd.Flags().StringVar(&backend, "backend", "", "`ID` of the backend to mend; all without it")
	cmd.Flags().StringArrayVar(&from, "from", nil, "`FILE` with the bytes of a blob; may be given several times")
	return cmd
}

// repairReport is what storage repair prints as JSON.
type repairReport struct {
	cas.Repairs
	Locations []cas.Repair `json:"locations"`
}

func repairAll(ctx context.Context, cmd *cobra.Command, f *flags, s *cas.Store, backend string) error {
	report := repairReport{Locations: []cas.Repair{}}
	n, err := s.Repair(ctx, cas.RepairOptions{Backend: backend, By: byCommand, Each: func(r cas.Repair) {
		if f.json {
			report.Locations = append(report.Locations, r)
		} else {
			showRepair(cmd, r)
		}
	}})
	report.Repairs = n
	if err != nil {
		return err
	}
	if f.json {
		err = printJSON(cmd, report)
	} else {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s repaired, %d left\n", plural(n.Repaired, "location"), n.Left)
	}
	if err == nil && n.Left > 0 {
		err = statusError{exitFound, fmt.Errorf("%s could not be repaired", plural(n.Left, "location"))}
	}
	return err
}

func showRepair(cmd *cobra.Command, r cas.Repair) {
	out := cmd.OutOrStdout()
	if r.Source != "" {
		fmt.Fprintf(out, "repaired %s on %s (%s) from %s\n", r.Blob, r.BackendID, r.Reason, r.Source)
		return
	}
	fmt.Fprintf(out, "LEFT %s on %s (%s, %s): %s\n", r.Blob, r.BackendID, r.Reason, humanize.IBytes(uint64(r.Size)), r.Error)
	switch {
	case len(r.Packages) > 0:
		fmt.Fprintf(out, "     needed by %s\n", strings.Join(r.Packages, ", "))
	case !r.LeasedUntil.IsZero():
		fmt.Fprintf(out, "     needed by no package; leased until %s\n", r.LeasedUntil.Format("2006-01-02 15:04 MST"))
	default:
		fmt.Fprintln(out, "     needed by no package")
	}
}

func repairFrom(ctx context.Context, cmd *cobra.Command, f *flags, s *cas.Store, names []string, backend string) error {
	report := repairReport{Locations: []cas.Repair{}}
	var failed error
	for _, name := range names {
		done, err := repairFromFile(ctx, s, name, backend)
		report.Repaired += int64(len(done))
		report.Locations = append(report.Locations, done...)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
		} else if !f.json && len(done) == 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "%s: none of its blob's locations has failed\n", name)
		}
	}
	if f.json {
		return errors.Join(failed, printJSON(cmd, report))
	}
	for _, r := range report.Locations {
		showRepair(cmd, r)
	}
	return failed
}

func repairFromFile(ctx context.Context, s *cas.Store, name, backend string) ([]cas.Repair, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return s.RepairFrom(ctx, file, filepath.Base(name), backend, byCommand)
}
