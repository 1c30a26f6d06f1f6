package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"artifactstore/cmd/config"
)

func configCommand(f *flags) *cobra.Command {
	return group("config", "Check or show the configuration",
		`The configuration is the built-in defaults, then the file named with --config,
then environment variables: a key's path in capitals, such as
ARTIFACTSTORE_LISTEN or ARTIFACTSTORE_REGISTRY_URL.`,
		configCheckCommand(f), configShowCommand(f))
}

func configCheckCommand(f *flags) *cobra.Command {
	var producer, class string
	var probing bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say whether the configuration is right, and where it is not",
		Long: `Say whether the configuration is right; each mistake is shown with its file, line
and column, and how the gateway learns who asks. The certificate and its key are
read and compared, and so are the hashes of tokens and passwords. With --producer or
--retention-class, say where the bytes of such an upload go and how long they are
kept. With --probe, open the registry (which is created where it is missing) and
every backend, and see whether they work.`,
		Example: `  artifactstore config check --config artifactstore.yaml
  artifactstore config check --producer ci-7 --retention-class release
  artifactstore config check --probe`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(f.config, os.Environ())
			if err != nil {
				return err
			}
			var found verdict
			if found.Warnings, err = checkEncryption(c, time.Now()); err != nil {
				return err
			}
			if err := checkAuth(c); err != nil {
				return err
			}
			found.Warnings = append(found.Warnings, warnings(c)...)
			found.Access = accessOf(c)
			if producer != "" || class != "" {
				if found.Route, err = explain(c, producer, class); err != nil {
					return err
				}
			}
			if probing {
				found.Probe = probe(cmd.Context(), c)
			}
			return found.show(cmd, f)
		},
	}
	cmd.Flags().StringVar(&producer, "producer", "", "`NAME` of a producer to explain the way of")
	cmd.Flags().StringVar(&class, "retention-class", "", "`CLASS` to explain the way of")
	cmd.Flags().BoolVar(&probing, "probe", false, "open the registry and the backends")
	return cmd
}

// verdict is what "config check" found of a configuration that is right.
type verdict struct {
	Access   access   `json:"access"`
	Warnings []string `json:"warnings,omitempty"`
	Route    *route   `json:"route,omitempty"`
	Probe    []part   `json:"probe,omitempty"`
}

func (v verdict) show(cmd *cobra.Command, f *flags) error {
	if f.json {
		if err := printJSON(cmd, v); err != nil {
			return err
		}
		return failedParts(v.Probe)
	}
	out := cmd.OutOrStdout()
	fmt.Fprintln(out, "the configuration is right")
	fmt.Fprintln(out, v.Access)
	for _, w := range v.Warnings {
		fmt.Fprintln(out, "warning:", w)
	}
	if v.Route != nil {
		fmt.Fprintln(out, v.Route)
	}
	for _, p := range v.Probe {
		fmt.Fprintln(out, p)
	}
	return failedParts(v.Probe)
}

func configShowCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show the configuration that holds, every key of it",
		Long: `Show the configuration that holds, every key of it, as a file that can be given to
--config. A password in registry.url is not shown; of other
secrets there are only references.`,
		Example: `  artifactstore config show > artifactstore.yaml`,
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(f.config, os.Environ())
			if err != nil {
				return err
			}
			text, err := c.YAML()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}
