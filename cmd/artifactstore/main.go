// Command artifactstore is a gateway that stores build artifacts by what they
// are. Each verb of the command line has a file of its own here; they wire the
// packages together and do nothing else.
//
// Exit statuses: 0 done, 1 failed, 2 called in a wrong way, 3 a verification, repair or
// rebuild that found something stored to be wrong or missing.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit statuses besides 0.
const (
	exitFailed = 1
	exitUsage  = 2
	exitFound  = 3 // something stored is wrong or missing
)

// statusError is an error with an exit status of its own.
type statusError struct {
	status int
	error
}

// usageError is a mistake in how a command was called.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes a command line and returns its exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetIn(in)
	cmd.SetOut(out)
	cmd.SetErr(errOut)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(errOut, "artifactstore:", err)
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(errOut, "See 'artifactstore --help', or '--help' after a command.")
		return exitUsage
	}
	var own statusError
	if errors.As(err, &own) {
		return own.status
	}
	return exitFailed
}

// flags are those every command has.
type flags struct {
	config string
	server string
	caFile string
	json   bool
}

// root returns the command with all its verbs.
func root() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "artifactstore",
		Short: "Store build artifacts by their content",
		Long: `artifactstore keeps build artifacts by what they are: every blob has the name of
its own digest, is hashed as it arrives, written once, and can be proven to be
what was uploaded. "serve" runs the gateway; the other commands speak to one, or
look after its registry.

Exit status: 0 done, 1 failed, 2 called in a wrong way, 3 what is stored was
found wrong or missing.`,
		Example: `  artifactstore serve
  artifactstore put dist/app.tar.gz
  artifactstore get sha256:2c26… -o app.tar.gz
  artifactstore push dist --package ci-7/app/1.4.2
  artifactstore pull ci-7/app/1.4.2 app
  artifactstore events --follow`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&f.config, "config", os.Getenv("ARTIFACTSTORE_CONFIG"), "configuration `FILE` (YAML); without one the built-in defaults hold")
	cmd.PersistentFlags().StringVar(&f.server, "server", serverFromEnv(), "`URL` of the gateway to speak to; also ARTIFACTSTORE_SERVER")
	cmd.PersistentFlags().StringVar(&f.caFile, "ca-file", os.Getenv("ARTIFACTSTORE_CA_FILE"), "`FILE` (PEM) of the authorities that vouch for the gateway, in place of the system's; also ARTIFACTSTORE_CA_FILE")
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "print JSON, for programs")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(serveCommand(&f), putCommand(&f), getCommand(&f),
		pushCommand(&f), pullCommand(&f), lsCommand(&f), packageCommand(&f), eventsCommand(&f),
		storageCommand(&f), registryCommand(&f), authCommand(&f), loginCommand(&f), logoutCommand(&f), configCommand(&f), versionCommand(&f))
	cmd.InitDefaultHelpCmd()
	return cmd
}

func serverFromEnv() string {
	if s := os.Getenv("ARTIFACTSTORE_SERVER"); s != "" {
		return s
	}
	return "http://127.0.0.1:8080"
}

// group returns a command that only holds others.
func group(use, short, long string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: unknownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, sub := range subs {
		cmd.Example += sub.Example + "\n"
	}
	cmd.Example = trimmed(cmd.Example)
	cmd.AddCommand(subs...)
	return cmd
}

func trimmed(lines string) string { return lines[:max(0, len(lines)-1)] }

func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("unknown command %q for %q", args[0], cmd.CommandPath())
	}
	return nil
}

// atMost demands no more than n arguments.
func atMost(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef("%s takes %d argument(s) at most, not %d: usage: %s", cmd.CommandPath(), n, len(args), cmd.UseLine())
		}
		return nil
	}
}

// exactly demands n arguments.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%s takes %d argument(s), not %d: usage: %s", cmd.CommandPath(), n, len(args), cmd.UseLine())
		}
		return nil
	}
}
