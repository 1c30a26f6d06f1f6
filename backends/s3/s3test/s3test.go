// Package s3test gives tests S3 servers to talk to: a real Ceph RGW, versitygw,
// and gofakes3 in process. It is used by tests only.
//
// An address in ARTIFACTSTORE_TEST_RGW or ARTIFACTSTORE_TEST_VERSITYGW, of the
// form http://ACCESS:SECRET@HOST:PORT/BUCKET, is a server that runs already (the
// scripts in deploy/dev write such a line). Otherwise the first test that asks
// starts one for its test binary with those scripts, which install what is
// missing; it goes down, by pid, when the test binary has ended, however it
// ended. A server that cannot be had fails the test: nothing is skipped.
package s3test

import (
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Server is an S3 service with an empty or shared bucket.
type Server struct {
	Name        string // "rgw", "versitygw" or "gofakes3"
	EndpointURL string
	Region      string
	AccessKey   string
	SecretKey   string
	Bucket      string
}

// All returns every server: with -short only the one in process.
func All(t testing.TB) []Server {
	t.Helper()
	if testing.Short() {
		return []Server{Fake(t)}
	}
	return []Server{Fake(t), Versitygw(t), RGW(t)}
}

// Prefix returns a key prefix that no other test uses.
func Prefix() string { return "t-" + strings.ToLower(rand.Text()[:12]) }

// Fake returns gofakes3 in this process, with an empty bucket, until the test
// ends. It checks no signature and no payload hash.
func Fake(t testing.TB) Server {
	t.Helper()
	store := s3mem.New()
	if err := store.CreateBucket("artifacts"); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(gofakes3.New(store, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	t.Cleanup(front.Close)
	return Server{Name: "gofakes3", EndpointURL: front.URL, Region: "us-east-1", AccessKey: "any", SecretKey: "any", Bucket: "artifacts"}
}

// RGW returns a real Ceph RGW.
func RGW(t testing.TB) Server { t.Helper(); return rgw.get(t) }

// Versitygw returns versitygw over a folder.
func Versitygw(t testing.TB) Server { t.Helper(); return versitygw.get(t) }

var (
	rgw       = &shared{name: "rgw", script: "rgw.sh", variable: "ARTIFACTSTORE_TEST_RGW", region: "default"}
	versitygw = &shared{name: "versitygw", script: "versitygw.sh", variable: "ARTIFACTSTORE_TEST_VERSITYGW", region: "us-east-1"}
)

// shared is a server that one test binary starts once.
type shared struct {
	name, script, variable, region string

	once   sync.Once
	server Server
	err    error
}

func (s *shared) get(t testing.TB) Server {
	t.Helper()
	s.once.Do(func() { s.server, s.err = s.find() })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server
}

func (s *shared) find() (Server, error) {
	if address := os.Getenv(s.variable); address != "" {
		return s.parse(address)
	}
	address, err := s.start()
	if err != nil {
		return Server{}, err
	}
	return s.parse(address)
}

// start runs the script that starts the server until this process ends.
func (s *shared) start() (address string, err error) {
	script, err := scriptPath(s.script)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "artifactstore-"+s.name+"-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command(script, "up", dir, "--while", strconv.Itoa(os.Getpid())).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("start %s: %w\n%s", s.name, err, out)
	}
	env, err := os.ReadFile(filepath.Join(dir, "env"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(env)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), s.variable+"="); ok {
			return value, nil
		}
	}
	return "", fmt.Errorf("start %s: %s/env does not say %s", s.name, dir, s.variable)
}

func (s *shared) parse(address string) (Server, error) {
	u, err := url.Parse(address)
	if err != nil || u.User == nil || len(u.Path) < 2 {
		return Server{}, fmt.Errorf("%s: want http://ACCESS:SECRET@HOST:PORT/BUCKET", s.variable)
	}
	secret, _ := u.User.Password()
	return Server{
		Name: s.name, Region: s.region, EndpointURL: u.Scheme + "://" + u.Host,
		AccessKey: u.User.Username(), SecretKey: secret, Bucket: u.Path[1:],
	}, nil
}

// scriptPath finds a script of deploy/dev from the folder a test runs in.
func scriptPath(name string) (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		script := filepath.Join(dir, "deploy", "dev", name)
		if _, err := os.Stat(script); err == nil {
			return script, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("no deploy/dev/%s above the test's folder", name)
		}
		dir = parent
	}
}
