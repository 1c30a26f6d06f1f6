package main

import (
	"crypto/rand"
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
output the bytes have gone by when a damage is found, and the exit status is 1.
A connection that breaks is taken up again at the byte where it broke.`,
		Example: `  artifactstore get sha256:2c26… --output app.tar.gz
  artifactstore get blake3:af13… | tar x`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := digest.Parse(args[0])
			if err != nil {
				return usageError{err}
			}
			if output != "" && output != "-" {
				return fetchFile(cmd, f, d, output)
			}
			out := cmd.OutOrStdout()
			switch {
			case f.json:
				return usagef("--json needs --output FILE: standard output is the blob")
			case output == "" && isTerminal(out):
				return usagef("standard output is a terminal: name a file with --output FILE, or insist with --output -")
			}
			_, err = fetch(cmd, f, d, out)
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`FILE` to write; - is standard output")
	return cmd
}

// fetchFile writes a blob to a file.
func fetchFile(cmd *cobra.Command, f *flags, d digest.Digest, name string) error {
	id, err := replace(name, func(w io.Writer) (digest.Identity, error) { return fetch(cmd, f, d, w) })
	if err != nil {
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

// replace lets write fill a file that takes its name only when write has
// succeeded. What is there and no regular file, such as a device or a pipe, is
// written to as it is.
func replace(name string, write func(io.Writer) (digest.Identity, error)) (digest.Identity, error) {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		out, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return digest.Identity{}, err
		}
		return writeTo(out, write)
	}
	part := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+"."+rand.Text()[:8]+".part")
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return digest.Identity{}, err
	}
	defer os.Remove(part)
	id, err := writeTo(out, write)
	if err != nil {
		return id, err
	}
	return id, os.Rename(part, name)
}

func writeTo(out *os.File, write func(io.Writer) (digest.Identity, error)) (digest.Identity, error) {
	id, err := write(out)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return id, err
}

func fetch(cmd *cobra.Command, f *flags, d digest.Digest, w io.Writer) (digest.Identity, error) {
	c, err := newClient(f)
	if err != nil {
		return digest.Identity{}, err
	}
	size := int64(-1)
	if isTerminal(cmd.ErrOrStderr()) { // only a bar needs to know beforehand
		if size, err = c.Size(cmd.Context(), d); err != nil {
			return digest.Identity{}, fmt.Errorf("get %s: %w", d, unreached(f, err))
		}
	}
	p := startProgress(cmd.ErrOrStderr(), "get", size)
	id, err := c.Get(cmd.Context(), d, p.writer(w))
	p.stop(err == nil)
	return id, unreached(f, err)
}
