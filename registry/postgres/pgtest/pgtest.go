// Package pgtest makes PostgreSQL databases for tests.
//
// [New] returns the URL of a new, empty database. It is on the server that
// ARTIFACTSTORE_TEST_POSTGRES names (the URL of a role that may create
// databases), or else on a server of this test binary's own, started at the
// first New in a temporary directory, on a unix socket, without fsync. [Main]
// ends that server after the tests; should the test process be killed, the
// kernel ends it.
//
// PostgreSQL's programs refuse to run as root: a root process runs them as the
// user postgres. Where they are missing, a root process on Debian installs them
// with apt-get and says so; otherwise the test fails with the command to run.
package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Env names the environment variable with the URL of a server to use.
const Env = "ARTIFACTSTORE_TEST_POSTGRES"

var shared struct {
	sync.Mutex
	server *Server
}

// Main runs a package's tests, ends the server that [New] started, and exits. A
// package with a TestMain of its own calls [Stop] after its tests instead.
func Main(m *testing.M) {
	code := m.Run()
	Stop()
	os.Exit(code)
}

// Stop ends the server that [New] started, if any, and removes its data.
func Stop() {
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.remove()
		shared.server = nil
	}
}

// New returns the URL of a new, empty database, which is dropped when the test
// ends.
func New(tb testing.TB) string {
	tb.Helper()
	notShort(tb)
	server := os.Getenv(Env)
	if server == "" {
		server = sharedServer(tb).URL()
	}
	name, u := newDatabase(tb, server)
	tb.Cleanup(func() { statement(tb, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return u
}

// notShort keeps make check free of servers: make test runs what this skips.
func notShort(tb testing.TB) {
	tb.Helper()
	if testing.Short() {
		tb.Skip("needs PostgreSQL, which -short does not start")
	}
}

func sharedServer(tb testing.TB) *Server {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		s, err := newServer("fsync=off", "full_page_writes=off", "synchronous_commit=off")
		if err != nil {
			tb.Fatal(err)
		}
		shared.server = s
	}
	return shared.server
}

// newDatabase creates a database beside the one that a URL names.
func newDatabase(tb testing.TB, server string) (name, address string) {
	tb.Helper()
	u, err := url.Parse(server)
	if err != nil {
		tb.Fatalf("%s: %v", Env, err)
	}
	name = "test_" + strings.ToLower(rand.Text()[:16])
	statement(tb, server, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
	u.Path = "/" + name
	return name, u.String()
}

func statement(tb testing.TB, server, sql string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := execute(ctx, server, sql); err != nil {
		tb.Errorf("%s: %v", sql, err)
	}
}

func execute(ctx context.Context, server, sql string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}
