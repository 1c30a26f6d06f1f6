package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"artifactstore/cmd/config"
)

// packagesDoc returns the blocks of docs/packages.md in a language.
func packagesDoc(t *testing.T, language string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "docs", "packages.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, block[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("docs/packages.md has no %s", language)
	}
	return blocks
}

// docWalk is a gateway, and a folder in which the examples of a text are done.
type docWalk struct {
	dir string
	env []string
}

func newDocWalk(t *testing.T) *docWalk {
	w := &docWalk{dir: t.TempDir()}
	g := start(t, command(t), w.dir)
	port := strings.TrimPrefix(g.url, "http://127.0.0.1:")
	if err := os.WriteFile(filepath.Join(w.dir, ".curlrc"), []byte("connect-to = \"127.0.0.1:8080:127.0.0.1:"+port+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.env = append(os.Environ(), "CURL_HOME="+w.dir, "no_proxy=*", "ARTIFACTSTORE_SERVER="+g.url)
	return w
}

// do runs a script as a person would, who stops where something fails, and returns
// all that it says.
func (w *docWalk) do(t *testing.T, script string, env ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-eu", "-c", script)
	shell.Dir, shell.Env = w.dir, append(w.env, env...)
	var out bytes.Buffer
	shell.Stdout, shell.Stderr = &out, &out
	if err := shell.Run(); err != nil {
		t.Fatalf("%v of\n%s\n%s", err, script, out.String())
	}
	return out.String()
}

func says(t *testing.T, out string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in what the examples print:\n%s", want, out)
		}
	}
}

// TestPackagesDocWalk does what docs/packages.md says, word for word and in its
// order.
func TestPackagesDocWalk(t *testing.T) {
	w := newDocWalk(t)
	out := w.do(t, strings.Join(packagesDoc(t, "sh"), ""))
	says(t, out,
		"ci-7/app/1.4.2 sealed: 2 files", "verified: 2 files", // push, pull
		"ci-7/app/1.5.0", "is of class release, expires: never", // ls, renew
		"ci-7/app/1.4.3 open: 1 file (",                                   // two parts
		`"path":"bin/tool"`, `"manifest_digest":"sha256:`, "\nbin/tool\n", // curl, tar
		"(package_held)", "hold:      case-1138, by anonymous at ", "no longer under the hold case-1138",
		"ci-7/tool/0.1 is deleted", "ci-7/tool/0.2", // why
	)
	w.do(t, "diff -r dist deployed && cmp digest digest && tar xf tool.tar && cmp bin/tool dist/bin/app")
}

// TestPackagesDocJob runs the steps of the job, each as its runner does.
func TestPackagesDocJob(t *testing.T) {
	blocks := packagesDoc(t, "yaml")
	var file struct {
		Jobs map[string]struct {
			Steps []struct{ Name, Run, If, Uses string }
		}
	}
	if err := yaml.Unmarshal([]byte(blocks[0]), &file); err != nil {
		t.Fatal(err)
	}
	w := newDocWalk(t)
	ran := 0
	for _, step := range file.Jobs["package"].Steps {
		if step.Run != "" {
			ran++
			w.do(t, step.Run, "GITHUB_RUN_NUMBER=7", "GITHUB_REF_NAME=main", "GITHUB_SHA=4f2a91c")
		}
	}
	if ran != 4 {
		t.Errorf("%d steps were run", ran)
	}
	w.do(t, "diff -r dist deployed")
	says(t, w.do(t, "artifactstore ls --label commit=4f2a91c --long"), "ci-app/app/7", "release", "branch=main,commit=4f2a91c")

	name := filepath.Join(t.TempDir(), "packages.yaml")
	if err := os.WriteFile(name, []byte(blocks[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(name, nil); err != nil {
		t.Error(err)
	}
}
