package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"artifactstore/gateway/client"
)

func newClient(f *flags) (*client.Client, error) { return clientFor(f, 1) }

// clientFor returns a client that keeps a connection for each of its jobs. It sends
// the credentials for the server that there are.
func clientFor(f *flags, jobs int) (*client.Client, error) {
	server, err := serverURL(f.server)
	if err != nil {
		return nil, err
	}
	c, err := clientTo(f, server, jobs)
	if err != nil {
		return nil, err
	}
	c.Credentials, err = credentialsFor(server)
	return c, err
}

// clientTo returns a client without credentials.
func clientTo(f *flags, server *url.URL, jobs int) (*client.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, jobs
	t.DisableCompression = true
	t.WriteBufferSize = 16 << 10 // a small file goes with its head in one write
	if f.caFile != "" {
		authorities, err := readAuthorities(f.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12}
	}
	return &client.Client{Server: server.String(), HTTP: &http.Client{Transport: t}}, nil
}

func readAuthorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// serverURL reads the address of a gateway. Its errors do not repeat one in which
// there may be a password.
func serverURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, usagef("the server is no address: want one such as https://artifacts.example.org or http://127.0.0.1:8080")
	case u.User != nil:
		return nil, usagef("the server's address has a name or a password in it: use \"artifactstore login\", or ARTIFACTSTORE_TOKEN")
	}
	return u, nil
}

// unreached says what to do where no gateway listens, or it does not let in.
func unreached(f *flags, err error) error {
	var refused *client.Error
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: no gateway listens at %s: start one with \"artifactstore serve\", or name another with --server", err, f.server)
	case errors.As(err, &refused) && refused.Status == http.StatusUnauthorized:
		return fmt.Errorf("%w: say who you are with \"artifactstore login %s\", or by a token in ARTIFACTSTORE_TOKEN", err, f.server)
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: name the file of a private authority with --ca-file", err)
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
