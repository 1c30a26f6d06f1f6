package rot

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/backends/local"
	"artifactstore/backends/s3"
	"artifactstore/backends/s3/s3test"
)

// store is a store with the backends main and copy, the program that works on it,
// and a gateway that serves it.
type store struct {
	t            *testing.T
	program, dir string
	url          string           // of the gateway
	stop         func()           // ends the gateway
	main         backends.Backend // behind the gateway's back
	root         string           // of main, where it is a directory
}

const onLocal = `  - {id: main, type: local, root: main}
`

const onRGW = `  - id: main
    type: s3
    endpoint_url: %s
    region: %s
    bucket: %s
    key_prefix: %s
    path_style: true
    access_key_ref: env:ROT_ACCESS
    secret_key_ref: env:ROT_SECRET
`

const rest = `  - {id: copy, type: local, root: copy}
routing: {default: main, rules: [{retention_class: release, backend: copy}]}
`

// newStore makes an empty one with main in a directory, or on a server, and starts
// its gateway.
func newStore(t *testing.T, registry string, server *s3test.Server) *store {
	t.Helper()
	s := &store{t: t, dir: t.TempDir()}
	s.program = filepath.Join(s.dir, "artifactstore")
	if out, err := exec.Command("go", "build", "-o", s.program, "artifactstore/cmd/artifactstore").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	main := onLocal
	if server != nil {
		prefix := s3test.Prefix()
		main = fmt.Sprintf(onRGW, server.EndpointURL, server.Region, server.Bucket, prefix)
		t.Setenv("ROT_ACCESS", server.AccessKey)
		t.Setenv("ROT_SECRET", server.SecretKey)
		s.main = openRGW(t, *server, prefix)
	}
	text := "listen: 127.0.0.1:0\nregistry: {url_ref: file:" + s.dir + "/url}\nbackends:\n" + main + rest
	for name, content := range map[string]string{"url": registry, "artifactstore.yaml": text} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.serve()
	if server == nil {
		s.root = filepath.Join(s.dir, "main")
		b, err := local.Open(context.Background(), local.Options{Root: s.root})
		if err != nil {
			t.Fatal(err)
		}
		s.main = b
	}
	return s
}

func openRGW(t *testing.T, server s3test.Server, prefix string) backends.Backend {
	t.Helper()
	b, err := s3.Open(context.Background(), s3.Options{
		EndpointURL: server.EndpointURL, Region: server.Region, Bucket: server.Bucket, KeyPrefix: prefix, PathStyle: true,
		Memory:      s3.NewMemory(64 << 20),
		Credentials: func(context.Context) (string, string, error) { return server.AccessKey, server.SecretKey, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// command returns a run of the program on this store.
func (s *store) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.program, append(args, "--config", "artifactstore.yaml")...)
	cmd.Dir = s.dir
	return cmd
}

// startTime bounds how long a gateway may take to its first answer, on a machine
// with much else to do.
const startTime = 60 * time.Second

// serve starts a gateway that ends with the test.
func (s *store) serve() {
	s.t.Helper()
	cmd := s.command("serve", "--no-access-log")
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	address, ended := make(chan string, 1), make(chan struct{})
	var log strings.Builder
	var mu sync.Mutex
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var said struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &said) == nil && said.Msg == "serving" {
				address <- said.Address
			}
			mu.Lock()
			fmt.Fprintln(&log, lines.Text())
			mu.Unlock()
		}
		cmd.Wait()
	}()
	s.stop = func() { cmd.Process.Kill(); <-ended }
	s.t.Cleanup(s.stop)
	select {
	case s.url = <-address:
	case <-ended:
	case <-time.After(startTime):
	}
	if s.url == "" {
		mu.Lock()
		defer mu.Unlock()
		s.t.Fatalf("the gateway does not serve:\n%s", log.String())
	}
}

// report is what storage verify says.
type report struct {
	Status    string
	Locations int64
	Seen      int64
	Results   map[string]int64
	Repaired  int64
	Orphans   int64
	Failures  []struct{ Blob, Reason, Repaired string }
}

// verify runs the command and demands its exit status.
func (s *store) verify(status int, args ...string) report {
	s.t.Helper()
	cmd := s.command(append([]string{"storage", "verify", "--json"}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		s.t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil || got != status || r.Status != "done" {
		s.t.Fatalf("%v: exit status %d, want %d: %v\n%s%s", cmd.Args, got, status, err, out, stderr.String())
	}
	return r
}
