package postgres_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"artifactstore/registry"
	"artifactstore/registry/postgres"
	"artifactstore/registry/postgres/pgtest"
	"artifactstore/registry/registrytest"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// TestMain runs the tests, or is one of the processes that they start. No
// goroutine may be left at the end.
func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		os.Exit(child(url))
	}
	code := m.Run()
	pgtest.Stop()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func TestRegistry(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) registrytest.Opener {
		url := pgtest.New(t)
		return func(t *testing.T) registry.Registry { return open(t, url) }
	})
}

func TestRetention(t *testing.T) {
	registrytest.RunRetention(t, func(t *testing.T) func(t *testing.T) registrytest.Keeping {
		url := pgtest.New(t)
		return func(t *testing.T) registrytest.Keeping { return open(t, url) }
	})
}

func TestClaims(t *testing.T) {
	registrytest.RunClaims(t, func(t *testing.T) func(t *testing.T) registrytest.Claiming {
		url := pgtest.New(t)
		return func(t *testing.T) registrytest.Claiming { return open(t, url) }
	})
}

// open opens a database for a caller that closes it.
func open(t testing.TB, url string) *postgres.Registry {
	t.Helper()
	r, err := postgres.Open(t.Context(), postgres.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// connect returns a connection of the test's own.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// run runs statements without arguments.
func run(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
