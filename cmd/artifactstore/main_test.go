package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"artifactstore/registry/postgres/pgtest"
)

// TestMain lets the test binary be the command: run under the name
// artifactstore, which is first in PATH, it is the program itself, with the race
// detector where the tests have it.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "artifactstore" {
		forget()
	}
	testscript.Main(cleaning{m}, map[string]func(){"artifactstore": main, "oidc-issuer": issuerMain})
}

// cleaning ends and removes after the tests what several of them used.
type cleaning struct{ *testing.M }

func (c cleaning) Run() int {
	code := c.M.Run()
	pgtest.Stop()
	if release.dir != "" {
		os.RemoveAll(release.dir)
	}
	return code
}

// forget unsets what is set for the developer's own gateway.
func forget() {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "ARTIFACTSTORE_") && !strings.HasPrefix(name, "ARTIFACTSTORE_TEST_") {
			os.Unsetenv(name)
		}
	}
}

// command returns the path of the program that is the test binary.
func command(t *testing.T) string {
	t.Helper()
	name, err := exec.LookPath("artifactstore")
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// release is the program as it is shipped, once a test wanted it.
var release struct {
	once sync.Once
	dir  string
	err  error
}

// shipped builds the program as it is shipped: without the race detector, whose
// memory and speed are others.
func shipped(t *testing.T) string {
	t.Helper()
	release.once.Do(func() {
		if release.dir, release.err = os.MkdirTemp("", "artifactstore-built-"); release.err != nil {
			return
		}
		build := exec.Command("go", "build", "-trimpath", "-o", release.dir, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stderr = os.Stderr
		release.err = build.Run()
	})
	if release.err != nil {
		t.Fatal(release.err)
	}
	return filepath.Join(release.dir, "artifactstore")
}
