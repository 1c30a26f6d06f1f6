package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTime bounds how long a gateway may take from its start to its first
// answer, on a machine with much else to do.
const startTime = 60 * time.Second

// server is a gateway in a process of its own.
type server struct {
	cmd     *exec.Cmd
	url     string // once it serves
	serving chan struct{}
	ended   chan struct{}
	err     error // of the process, once it has ended

	mu  sync.Mutex
	log strings.Builder
}

// launch starts a gateway in a directory, on any free port, and does not wait.
func launch(program, dir string, env ...string) (*server, error) {
	s := &server{cmd: exec.Command(program, "serve", "--no-access-log"), serving: make(chan struct{}), ended: make(chan struct{})}
	s.cmd.Dir = dir
	s.cmd.Env = append(append(os.Environ(), "ARTIFACTSTORE_LISTEN=127.0.0.1:0"), env...)
	return s, s.begin()
}

func (s *server) begin() error {
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			s.heard(lines.Text())
		}
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	return nil
}

// heard takes a line of the log.
func (s *server) heard(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(&s.log, line)
	var said struct{ Msg, Address string }
	if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "serving" && s.url == "" {
		s.url = said.Address
		close(s.serving)
	}
}

func (s *server) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// wait returns nil when the gateway serves.
func (s *server) wait() error {
	select {
	case <-s.serving:
		return nil
	case <-s.ended:
		return fmt.Errorf("the gateway ended before it served: %v\n%s", s.err, s.logged())
	case <-time.After(startTime):
		return fmt.Errorf("the gateway does not serve after %v:\n%s", startTime, s.logged())
	}
}

// kill ends the process the hard way and waits for its end.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.ended
}

// stop ends it the soft way and returns how it ended.
func (s *server) stop() error {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
		return s.err
	case <-time.After(startTime):
		s.kill()
		return fmt.Errorf("the gateway does not stop:\n%s", s.logged())
	}
}

// start starts a gateway that ends with the test.
func start(t *testing.T, program, dir string, env ...string) *server {
	t.Helper()
	s, err := launch(program, dir, env...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	if err := s.wait(); err != nil {
		t.Fatal(err)
	}
	return s
}
