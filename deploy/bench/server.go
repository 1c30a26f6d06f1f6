package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a process under measurement.
type server struct {
	name    string
	address string
	cmd     *exec.Cmd
	fields  string // header lines of every request
}

// startServer starts a program in a fresh directory, told by the environment
// where to listen, and waits until it answers a path. What it says is in log.txt
// there.
func startServer(name, dir, ready, program string, args ...string) (*server, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log.txt"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &server{name: name, address: address, cmd: exec.Command(program, args...)}
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = dir, log, log
	s.cmd.Env = append(os.Environ(), "ARTIFACTSTORE_LISTEN="+address, "REGISTRY_HTTP_ADDR="+address)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := s.wait(ready, 20*time.Second); err != nil {
		s.stop()
		return nil, fmt.Errorf("%s does not serve: %w; see %s", name, err, log.Name())
	}
	return s, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// wait polls until the server answers.
func (s *server) wait(path string, most time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	for {
		c, err := dial(s.address)
		if err == nil {
			_, err = c.do("GET", path, "", nil)
			c.Close()
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends the process as an operator would.
func (s *server) stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.cmd.Wait()
}

// ticks is how many of them a second has in /proc: USER_HZ, which is 100 on all
// architectures Go runs on.
const ticks = 100

// cpu returns the CPU time the process has used, user's and system's.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// Behind the command's name in parentheses, utime and stime are fields 12 and 13.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var sum int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

// peak returns the most memory the process had resident, in MiB.
func (s *server) peak() string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.Atoi(strings.Fields(rest)[0])
			return strconv.Itoa(kib >> 10)
		}
	}
	return "?"
}
