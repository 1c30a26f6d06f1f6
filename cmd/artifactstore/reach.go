package main

import (
	"errors"
	"fmt"
	"net/http"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"artifactstore/gateway/client"
)

func newClient(f *flags) *client.Client { return &client.Client{Server: f.server} }

// clientFor returns a client that keeps a connection for each of its jobs.
func clientFor(f *flags, jobs int) *client.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, jobs
	t.DisableCompression = true
	t.WriteBufferSize = 16 << 10 // a small file goes with its head in one write
	return &client.Client{Server: f.server, HTTP: &http.Client{Transport: t}}
}

// unreached says what to do where no gateway listens.
func unreached(f *flags, err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w: no gateway listens at %s: start one with \"artifactstore serve\", or name another with --server", err, f.server)
	}
	return err
}

func jobsFlag(cmd *cobra.Command, jobs *int) {
	cmd.Flags().IntVarP(jobs, "jobs", "j", defaultJobs, "`NUMBER` of files on their way at once")
}

// classFlag adds --retention-class, and --class as a short way to write it.
func classFlag(cmd *cobra.Command, class *string, usage string) {
	cmd.Flags().StringVar(class, "retention-class", "", usage+"; --class for short")
	cmd.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "class" {
			name = "retention-class"
		}
		return pflag.NormalizedName(name)
	})
}
