package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be the command: run under the name
// artifactstore, which is first in PATH, it is the program itself, with the race
// detector where the tests have it.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "artifactstore" {
		forget()
	}
	testscript.Main(m, map[string]func(){"artifactstore": main})
}

// forget unsets what is set for the developer's own gateway.
func forget() {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "ARTIFACTSTORE_") {
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

// shipped builds the program as it is shipped: without the race detector, whose
// memory and speed are others.
func shipped(t *testing.T) string {
	t.Helper()
	name, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "artifactstore-built-")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "artifactstore")
	build := exec.Command("go", "build", "-trimpath", "-o", name, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	return name, build.Run()
})
