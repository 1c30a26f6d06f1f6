package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"artifactstore/cas/digest"
)

func getCommand(f *flags) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "get DIGEST",
		Short: "Fetch a blob and verify it",
		Long: `Fetch a blob by its digest (sha256:, sha512: or blake3:) and verify every byte. A
file named with --output appears whole and verified, or not at all; on standard
output the bytes have gone by when a damage is found, and the exit status is 1.`,
		Example: `  artifactstore get sha256:2c26… --output app.tar.gz
  artifactstore get blake3:af13… | tar x`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := digest.Parse(args[0])
			if err != nil {
				return usageError{err}
			}
			if output == "" || output == "-" {
				out := cmd.OutOrStdout()
				if output == "" && isTerminal(out) {
					return usagef("standard output is a terminal: name a file with --output FILE, or insist with --output -")
				}
				_, err := fetch(cmd, f, d, out)
				return err
			}
			return fetchFile(cmd, f, d, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write; - is standard output")
	return cmd
}

// fetchFile writes a blob to a file that takes its name only when it is whole.
func fetchFile(cmd *cobra.Command, f *flags, d digest.Digest, name string) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	id, err := fetch(cmd, f, d, tmp)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(tmp.Name(), 0o644); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), name); err != nil {
		return err
	}
	if f.json {
		return printJSON(cmd, struct {
			digest.Identity
			File string `json:"file"`
		}{id, name})
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "verified: %s in %s\n", humanize.IBytes(uint64(id.Size)), name)
	return nil
}

func fetch(cmd *cobra.Command, f *flags, d digest.Digest, w io.Writer) (digest.Identity, error) {
	c := newClient(f)
	size := int64(-1)
	if isTerminal(cmd.ErrOrStderr()) { // only a bar needs to know beforehand
		var err error
		if size, err = c.Size(cmd.Context(), d); err != nil {
			return digest.Identity{}, fmt.Errorf("get %s: %w", d, err)
		}
	}
	p := startProgress(cmd.ErrOrStderr(), "get", size)
	id, err := c.Get(cmd.Context(), d, p.writer(w))
	p.stop(err == nil)
	return id, err
}
