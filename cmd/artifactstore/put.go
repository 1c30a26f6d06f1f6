package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"artifactstore/gateway/client"
)

func putCommand(f *flags) *cobra.Command {
	var o client.PutOptions
	cmd := &cobra.Command{
		Use:   "put FILE|-",
		Short: "Store a file, or standard input, and print its digest",
		Long: `Store a file, or standard input with "-", and print its digest on standard
output. The bytes are hashed on the way: what arrives damaged is refused.`,
		Example: `  artifactstore put dist/app.tar.gz
  artifactstore put --retention-class release dist/app.tar.gz
  tar c dist | artifactstore put -`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := newClient(f)
			if err != nil {
				return err
			}
			in, size, err := source(cmd, args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			p := startProgress(cmd.ErrOrStderr(), "put "+args[0], size)
			stored, err := c.Put(cmd.Context(), p.reader(in), o)
			p.stop(err == nil)
			if err != nil {
				return fmt.Errorf("put %s: %w", args[0], unreached(f, err))
			}
			return showStored(cmd, f, stored)
		},
	}
	cmd.Flags().StringVar(&o.Producer, "producer", "", "`NAME` of who made the file; routes it")
	cmd.Flags().StringVar(&o.RetentionClass, "retention-class", "", "`CLASS` that says how long it is kept, and routes it")
	return cmd
}

// source opens a file, or standard input for "-", whose size is -1.
func source(cmd *cobra.Command, name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(cmd.InOrStdin()), -1, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	if info.IsDir() {
		file.Close()
		return nil, 0, usagef("%s is a directory; put takes a file", name)
	}
	return file, info.Size(), nil
}

// showStored prints the digest where programs look, and the rest where people
// do.
func showStored(cmd *cobra.Command, f *flags, s client.Stored) error {
	if f.json {
		return printJSON(cmd, s)
	}
	how, until := "stored", "kept for ever"
	if s.Existed {
		how = "was there already"
	}
	if s.LeasedUntil != nil {
		until = "kept until " + s.LeasedUntil.Local().Format(time.DateOnly)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s on %s, %s\n", how, humanize.IBytes(uint64(s.Size)), s.BackendID, until)
	fmt.Fprintln(cmd.OutOrStdout(), s.Digest)
	return nil
}

func printJSON(cmd *cobra.Command, v any) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(v)
}
