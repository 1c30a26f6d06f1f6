package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Server is one PostgreSQL server of this process.
type Server struct {
	bin      string // folder of the programs
	dir      string // everything of this server: data, socket, log
	settings []string
	as       *syscall.Credential // nil: this process's own user
	process  *os.Process         // nil while stopped
	ended    chan struct{}       // closed when process has ended
}

// Start starts a server for one test or benchmark alone, which may stop and
// start it. Settings are "name=value"; without any it is as durable as
// PostgreSQL is by default. It is removed when the test ends.
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	notShort(tb)
	s, err := newServer(settings...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.remove)
	return s
}

// New returns the URL of a new, empty database on this server. It goes with the
// server.
func (s *Server) New(tb testing.TB) string {
	tb.Helper()
	_, u := newDatabase(tb, s.URL())
	return u
}

// URL is the address of the database "postgres" on the server.
func (s *Server) URL() string {
	return "postgres:///postgres?user=postgres&host=" + url.QueryEscape(s.dir)
}

func newServer(settings ...string) (*Server, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	as, err := credential()
	if err != nil {
		return nil, err
	}
	dir, err := newDir(as)
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, settings: settings, as: as}
	if err := s.initialise(); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

func (s *Server) initialise() error {
	cmd := s.command("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--pgdata="+s.data())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return s.start()
}

// credential returns the user that PostgreSQL's programs must run as, nil when
// this process's own will do.
func credential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err, err2)
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

// Start starts the server again after [Server.Stop].
func (s *Server) Start(tb testing.TB) {
	tb.Helper()
	if err := s.start(); err != nil {
		tb.Fatal(err)
	}
}

// Stop ends the server at once, as a crash does: connections break, and
// nothing listens. What was committed is recovered by Start.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	if s.process == nil {
		tb.Fatal("the server is not running")
	}
	s.end()
}

// start starts the server and waits until it answers.
func (s *Server) start() error {
	args := []string{"-D", s.data(), "-k", s.dir, "-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=128MB"}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	if err := s.launch(s.command("postgres", args...)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		err := execute(ctx, s.URL(), "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			s.process = nil
			return fmt.Errorf("PostgreSQL ended: %s", s.log())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not answer: %w: %s", err, s.log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// launch runs a command until it ends. The thread that starts it lives as long
// as it does, because Linux sends Pdeathsig when that thread ends.
func (s *Server) launch(cmd *exec.Cmd) error {
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended stands in its log
			close(ended)
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process, s.ended = cmd.Process, ended
	return nil
}

func (s *Server) log() string {
	b, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

func (s *Server) end() {
	if s.process == nil {
		return
	}
	_ = s.process.Signal(syscall.SIGQUIT) // immediate shutdown; an error means that it has ended
	<-s.ended
	s.process = nil
}

func (s *Server) remove() {
	s.end()
	_ = os.RemoveAll(s.dir) // what stays is swept by a later run
}
