package main

import (
	"fmt"
	"os"

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
	return &cobra.Command{
		Use:     "check",
		Short:   "Say whether the configuration is right, and where it is not",
		Example: `  artifactstore config check --config artifactstore.yaml`,
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := config.Load(f.config, os.Environ()); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "the configuration is right")
			return err
		},
	}
}

func configShowCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Show the configuration that holds, every key of it",
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
