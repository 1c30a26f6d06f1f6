// Package clients_test runs the tools that people push and pull images with
// against a gateway in a process of its own, and compares every digest on both
// sides. install.sh brings the tools; what is said of a tool in docs/oci.md is
// what its test here does, so a tool that cannot be installed or started fails the
// tests.
package clients_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startTime bounds how long a server may take from its start to its first
// answer, on a machine with much else to do.
const startTime = 60 * time.Second

// commandTime bounds a command, and a daemon's life: a client that tries again
// and again, where it must not have to, fails its test.
const commandTime = 4 * time.Minute

func TestClients(t *testing.T) {
	if testing.Short() {
		t.Skip("make clients and make test run the real clients")
	}
	w := &world{tools: install(t), images: buildImages(t), client: http.DefaultClient}
	w.gateway = serve(t, build(t), t.TempDir(), "ARTIFACTSTORE_LISTEN=127.0.0.1:0")
	for _, client := range []struct {
		name string
		run  func(*testing.T, *world)
	}{
		{"skopeo", skopeo},
		{"crane", crane},
		{"oras", oras},
		{"regctl", regctl},
		{"helm", helm},
		{"buildah", buildah},
		{"podman", podman},
		{"docker", docker},
		{"containerd", containerd},
	} {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			client.run(t, w)
		})
	}
}

// world is what all clients find.
type world struct {
	tools   string // the directory that install.sh filled
	images  images
	gateway string       // host:port
	client  *http.Client // of the test's own, to see what clients left behind
	secure  bool         // TLS
}

// install runs install.sh, whose messages are shown as they come.
func install(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../bin/clients")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("./install.sh", dir)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("install.sh: %v", err)
	}
	return dir
}

// build builds the gateway as it is shipped.
func build(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "artifactstore")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "artifactstore/cmd/artifactstore")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// serve starts a gateway in a directory and returns its host and port.
func serve(t *testing.T, program, data string, env ...string) string {
	t.Helper()
	cmd := exec.Command(program, "serve", "--no-access-log")
	cmd.Dir, cmd.Env = data, append(os.Environ(), env...)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, cmd)
	serving := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(log); lines.Scan(); {
			var said struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &said) == nil && said.Msg == "serving" {
				serving <- said.Address
			}
		}
	}()
	select {
	case address := <-serving:
		_, host, _ := strings.Cut(address, "://")
		return host
	case <-time.After(startTime):
		t.Fatalf("the gateway does not serve after %v", startTime)
	}
	return ""
}

// start starts a process that is ended softly after the test.
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(startTime, func() { cmd.Process.Kill() })
		defer kill.Stop()
		cmd.Wait()
	})
}

// await starts a daemon and waits until ready says that it answers.
func await(t *testing.T, cmd *exec.Cmd, ready func() error) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	start(t, cmd)
	deadline := time.Now().Add(startTime)
	for ready() != nil {
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("%s does not answer: %v\n%s", cmd, ready(), text)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// shell is where a client's commands run: a home and a working directory of
// their own, and the tools first in PATH.
type shell struct {
	t         *testing.T
	dir, path string
	env       []string
}

func (w *world) shell(t *testing.T, env ...string) shell {
	home, debian := t.TempDir(), filepath.Join(w.tools, "debian/usr")
	path := strings.Join([]string{filepath.Join(w.tools, "bin"), debian + "/sbin", debian + "/bin", "/usr/sbin", os.Getenv("PATH")}, ":")
	env = append(env, "HOME="+home, "XDG_RUNTIME_DIR="+home, "PATH="+path)
	return shell{t, t.TempDir(), path, append(os.Environ(), env...)}
}

// command makes a command of a line whose words have no blanks.
func (s shell) command(line string) *exec.Cmd {
	words := strings.Fields(line)
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	s.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, find(words[0], s.path), words[1:]...)
	cmd.Env, cmd.Dir = s.env, s.dir
	return cmd
}

// find returns the first program of a name in a path, or the name.
func find(name, path string) string {
	for dir := range strings.SplitSeq(path, ":") {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name)
		}
	}
	return name
}

// run runs a command line and returns what it said, trimmed.
func (s shell) run(format string, args ...any) string {
	s.t.Helper()
	cmd := s.command(fmt.Sprintf(format, args...))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s%s", cmd, err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// same fails the test where a client says something else than it must.
func (s shell) same(what, got, want string) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

var anyDigest = regexp.MustCompile(`sha256:[0-9a-f]{64}`)
