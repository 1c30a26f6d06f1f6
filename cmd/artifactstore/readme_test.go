package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"artifactstore/cmd/config"
)

const repository = "../.."

// README is the text, and the shell examples in it.
func readme(t *testing.T) (text string, examples []string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	text = string(raw)
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		examples = append(examples, block[1])
	}
	return text, examples
}

// TestReadmeCommandsExist demands that every command, flag, target and file that
// README names is there.
func TestReadmeCommandsExist(t *testing.T) {
	text, _ := readme(t)
	commands := regexp.MustCompile(`(?:bin/|\x60)artifactstore((?: [a-z-]+)*[^\n\x60|>]*)`).FindAllStringSubmatch(text, -1)
	if len(commands) < 8 {
		t.Errorf("found only %q", commands)
	}
	for _, c := range commands {
		checkCommandLine(t, strings.Fields(c[1]))
	}
	makefile, err := os.ReadFile(filepath.Join(repository, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range regexp.MustCompile(`(?m)(?:^|\x60)make ([a-z-]+)`).FindAllStringSubmatch(text, -1) {
		if !regexp.MustCompile(`(?m)^` + target[1] + `:`).Match(makefile) {
			t.Errorf("there is no make %s", target[1])
		}
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(repository, link[1])); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
}

// TestReadmeConfigurations loads every piece of configuration in README.
func TestReadmeConfigurations(t *testing.T) {
	text, _ := readme(t)
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Error("README shows no configuration")
	}
	for _, block := range blocks {
		name := filepath.Join(t.TempDir(), "readme.yaml")
		if err := os.WriteFile(name, []byte(block[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load(name, nil); err != nil {
			t.Error(err)
		}
	}
}

// checkCommandLine finds the verb, and all flags as its own.
func checkCommandLine(t *testing.T, args []string) {
	t.Helper()
	cmd, rest, err := root().Find(args)
	if err != nil {
		t.Errorf("artifactstore %s: %v", strings.Join(args, " "), err)
		return
	}
	if len(rest) > 0 && cmd.HasSubCommands() && !strings.HasPrefix(rest[0], "-") {
		t.Errorf("artifactstore %s: no command %q", strings.Join(args, " "), rest[0])
	}
	for _, arg := range rest {
		if strings.HasPrefix(arg, "--") && flag(cmd, strings.TrimPrefix(arg, "--")) == nil {
			t.Errorf("artifactstore %s: no flag %s", strings.Join(args, " "), arg)
		}
	}
}

func flag(cmd *cobra.Command, name string) *pflag.Flag {
	cmd.InitDefaultHelpFlag()
	if f := cmd.Flags().Lookup(name); f != nil {
		return f
	}
	return cmd.InheritedFlags().Lookup(name)
}

// TestHelpHasExamples demands of every command a sentence and an example that is
// a call of it.
func TestHelpHasExamples(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if name := cmd.Name(); name == "help" || name == "completion" {
			return
		}
		if cmd.Short == "" || !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: %q, examples %q", cmd.CommandPath(), cmd.Short, cmd.Example)
		}
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			_, call, ok := strings.Cut(line, "artifactstore ")
			if !ok {
				t.Errorf("%s: an example calls something else: %q", cmd.CommandPath(), line)
				continue
			}
			call, _, _ = strings.Cut(call, " | ")
			call, _, _ = strings.Cut(call, " > ")
			checkCommandLine(t, strings.Fields(call))
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root())
}
