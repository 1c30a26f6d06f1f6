package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"artifactstore/gateway/client"
)

func loginCommand(f *flags) *cobra.Command {
	var user string
	var fromStdin bool
	cmd := &cobra.Command{
		Use:   "login [SERVER]",
		Short: "Keep credentials for a gateway, after seeing that they are good",
		Long: `Ask for a token, or with --user for that name's password, see that the gateway takes
it, and keep it in a file that only you can read: credentials.json in your directory
of configurations, or the file named in ARTIFACTSTORE_CREDENTIALS. All commands then
send it, to this server alone. A token in ARTIFACTSTORE_TOKEN comes before what is
kept.`,
		Example: `  artifactstore login https://artifacts.example.org
  artifactstore login https://artifacts.example.org --user ann
  echo "$TOKEN" | artifactstore login https://artifacts.example.org --password-stdin`,
		Args: atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			server, err := serverArgument(f, args)
			if err != nil {
				return err
			}
			secret, err := readSecret(cmd, user, fromStdin)
			if err != nil {
				return err
			}
			l := login{Token: secret}
			if user != "" {
				l = login{User: user, Password: secret}
			}
			return logIn(cmd, f, server, l)
		},
	}
	cmd.Flags().StringVarP(&user, "user", "u", "", "`NAME` that a password is for; without one the secret is a token")
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the token or password from standard input")
	return cmd
}

func logIn(cmd *cobra.Command, f *flags, server *url.URL, l login) error {
	c, err := clientTo(f, server, 1)
	if err != nil {
		return err
	}
	warnInClear(cmd, server)
	asks := c.Check(cmd.Context()) // without credentials
	c.Credentials = client.Credentials{Token: l.Token, User: l.User, Password: l.Password}
	if err := c.Check(cmd.Context()); err != nil {
		return refusedLogin(server, err)
	}
	if asks == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %s lets in who gives no credentials, so these may never be looked at\n", client.Origin(server))
	}
	path, err := changeCredentials(cmd.Context(), func(servers map[string]login) { servers[client.Origin(server)] = l })
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "logged in to %s; kept in %s\n", client.Origin(server), path)
	return nil
}

func refusedLogin(server *url.URL, err error) error {
	var refused *client.Error
	if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized {
		return fmt.Errorf("log in to %s: the credentials are not good; nothing was kept", client.Origin(server))
	}
	return fmt.Errorf("log in to %s: %w", client.Origin(server), unreached(&flags{server: client.Origin(server)}, err))
}

// warnInClear says when a secret goes over a network that others can listen to.
func warnInClear(cmd *cobra.Command, server *url.URL) {
	at := net.ParseIP(server.Hostname())
	if server.Scheme == "http" && server.Hostname() != "localhost" && (at == nil || !at.IsLoopback()) {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s is not https: who listens on the way can read the credentials\n", client.Origin(server))
	}
}

func logoutCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "logout [SERVER]",
		Short: "Forget the credentials for a gateway",
		Long: `Forget what "login" kept for a gateway. A token stays good: "artifactstore auth token
revoke" ends it.`,
		Example: `  artifactstore logout https://artifacts.example.org`,
		Args:    atMost(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			server, err := serverArgument(f, args)
			if err != nil {
				return err
			}
			known := false
			_, err = changeCredentials(cmd.Context(), func(servers map[string]login) {
				_, known = servers[client.Origin(server)]
				delete(servers, client.Origin(server))
			})
			switch {
			case err != nil:
				return err
			case !known:
				return fmt.Errorf("nothing was kept for %s", client.Origin(server))
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "logged out of %s\n", client.Origin(server))
			return nil
		},
	}
}

// serverArgument is the server that a command names, https where it does not say
// how to reach it, or the one of --server.
func serverArgument(f *flags, args []string) (*url.URL, error) {
	text := f.server
	if len(args) > 0 {
		text = args[0]
	}
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	return serverURL(text)
}

// maxSecret bounds a secret that is read, in bytes: some issuers' tokens are long.
const maxSecret = 64 << 10

// readSecret reads a token or a password, from a terminal without showing it.
func readSecret(cmd *cobra.Command, user string, fromStdin bool) (string, error) {
	var text []byte
	var err error
	in, isFile := cmd.InOrStdin().(*os.File)
	switch {
	case fromStdin:
		text, err = io.ReadAll(io.LimitReader(bufio.NewReader(cmd.InOrStdin()), maxSecret+1))
	case isFile && term.IsTerminal(int(in.Fd())):
		what := "Token: "
		if user != "" {
			what = "Password of " + user + ": "
		}
		fmt.Fprint(cmd.ErrOrStderr(), what)
		text, err = term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
	default:
		return "", usagef("standard input is no terminal: write --password-stdin to read the token or password from it")
	}
	secret := strings.TrimRight(string(text), "\r\n")
	switch {
	case err != nil:
		return "", fmt.Errorf("read the token or password: %w", err)
	case secret == "" || len(secret) > maxSecret:
		return "", errors.New("read the token or password: there is none, or one that is too long")
	}
	return secret, nil
}
