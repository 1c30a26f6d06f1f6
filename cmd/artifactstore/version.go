package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = ""

// built names the version, or the commit that the Go tool built from.
func built() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return "unknown"
}

func versionCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show which version this is",
		Example: `  artifactstore version
  artifactstore version --json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.json {
				return printJSON(cmd, map[string]string{"version": built(), "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "artifactstore %s (%s, %s/%s)\n", built(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
