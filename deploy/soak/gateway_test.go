package soak

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"artifactstore/backends/s3/s3test"
)

// startTime bounds how long a gateway may take to its first answer, on a machine
// with much else to do.
const startTime = 60 * time.Second

// shape is one registry and one bucket, for as many gateways as want.
type shape struct {
	program, dir string
	server       s3test.Server
	prefix       string
	starting     sync.Mutex // of gateways, or the database
}

func newShape(t *testing.T, server s3test.Server, url string) *shape {
	t.Helper()
	s := &shape{dir: t.TempDir(), server: server, prefix: s3test.Prefix()}
	s.program = filepath.Join(s.dir, "artifactstore")
	if out, err := exec.Command("go", "build", "-o", s.program, "artifactstore/cmd/artifactstore").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for name, content := range map[string]string{
		"url": url, "access": server.AccessKey, "secret": server.SecretKey,
		"artifactstore.yaml": fmt.Sprintf(`listen: 127.0.0.1:0
registry: {url_ref: file:%[1]s/url}
backends:
  - id: rgw
    type: s3
    endpoint_url: %[2]s
    region: %[3]s
    bucket: %[4]s
    key_prefix: %[5]s
    path_style: true
    access_key_ref: file:%[1]s/access
    secret_key_ref: file:%[1]s/secret
    multipart_threshold_bytes: 5242880
    multipart_chunk_bytes: 5242880
`, s.dir, server.EndpointURL, server.Region, server.Bucket, s.prefix),
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// command returns a run of the program on this shape.
func (s *shape) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.program, append(args, "--config", "artifactstore.yaml")...)
	cmd.Dir = s.dir
	return cmd
}

// process is one run of a gateway.
type process struct {
	cmd     *exec.Cmd
	serving chan string // its address
	ended   chan struct{}

	mu  sync.Mutex
	log strings.Builder
}

func (s *shape) launch(env ...string) (*process, error) {
	p := &process{cmd: s.command("serve", "--no-access-log"), serving: make(chan string, 1), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			p.heard(lines.Text())
		}
		p.cmd.Wait() // how it ended stands in its log
		close(p.ended)
	}()
	return p, nil
}

func (p *process) heard(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(&p.log, line)
	var said struct{ Msg, Address string }
	if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "serving" {
		p.serving <- said.Address
	}
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// wait returns the address once the gateway serves.
func (p *process) wait() (string, error) {
	select {
	case url := <-p.serving:
		return url, nil
	case <-p.ended:
		return "", fmt.Errorf("the gateway ended before it served:\n%s", p.logged())
	case <-time.After(startTime):
		return "", fmt.Errorf("the gateway does not serve after %v:\n%s", startTime, p.logged())
	}
}

// kill ends the process the hard way and waits for its end.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// gateway is one that is killed and started again; its address changes.
type gateway struct {
	address atomic.Value // string
	process *process
	env     []string
	kills   int
}

func (g *gateway) url() string { return g.address.Load().(string) }

func (g *gateway) start(s *shape) error {
	p, err := s.launch(g.env...)
	if err != nil {
		return err
	}
	g.process = p
	url, err := p.wait()
	if err == nil {
		g.address.Store(url)
	}
	return err
}

// restart starts the gateway while the database is there.
func (g *gateway) restart(s *shape) error {
	s.starting.Lock()
	defer s.starting.Unlock()
	return g.start(s)
}

// suffer kills the gateway at random moments, until done is closed, and leaves it
// serving.
func (g *gateway) suffer(s *shape, pause func() time.Duration, done <-chan struct{}) error {
	for {
		select {
		case <-done:
			return nil
		case <-time.After(pause()):
		}
		g.process.kill()
		if log := g.process.logged(); strings.Contains(log, `"msg":"panic"`) {
			return fmt.Errorf("the gateway says:\n%s", log)
		}
		g.kills++
		if err := g.restart(s); err != nil {
			return err
		}
	}
}
