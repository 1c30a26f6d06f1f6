package postgres_test

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"artifactstore/registry"
	"artifactstore/registry/postgres"
	"artifactstore/registry/postgres/pgtest"
)

// TestServerAwayAndBack stops the server under an open registry and starts it
// again.
func TestServerAwayAndBack(t *testing.T) {
	server := pgtest.Start(t)
	r := open(t, server.New(t))
	defer r.Close()
	ctx := t.Context()
	if _, err := r.Append(ctx, put(identity(1, 1))...); err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"Append": func() error { _, err := r.Append(ctx, put(identity(1, 2))...); return err },
		"Blob":   func() error { _, err := r.Blob(ctx, identity(1, 1).SHA256); return err },
		"Last":   func() error { _, err := r.Last(ctx); return err },
		"Totals": func() error { _, err := r.Totals(ctx); return err },
		"Health": func() error { return r.Health(ctx) },
		"Check":  func() error { _, err := r.Check(ctx, nil); return err },
		"Upload": func() error { return r.CreateUpload(ctx, registry.Upload{ID: "u1", ExpiresAt: time.Unix(0, 0)}) },
		"Since": func() error {
			for _, err := range r.Since(ctx, 0) {
				return err
			}
			return nil
		},
	}
	waited := make(chan error)
	go func() { waited <- r.Wait(ctx, 3) }()

	server.Stop(t)
	for name, call := range calls {
		began := time.Now()
		if err := call(); !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("%s with the server away: %v, want ErrUnavailable", name, err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("%s with the server away took %s", name, took)
		}
	}
	server.Start(t)
	for name, call := range calls {
		if err := call(); err != nil {
			t.Errorf("%s with the server back: %v", name, err)
		}
	}
	if err := <-waited; err != nil {
		t.Errorf("a wait over a restart: %v", err)
	}
}

// TestServerThatIsSilent: a server that takes connections and never answers must
// not hold a caller for longer than the bound.
func TestServerThatIsSilent(t *testing.T) {
	dir, err := os.MkdirTemp("", "pg") // short: a socket's path has 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	silent, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	began := time.Now()
	_, err = postgres.Open(t.Context(), postgres.Options{URL: "postgres:///x?user=y&host=" + url.QueryEscape(dir), Timeout: 100 * time.Millisecond})
	if !errors.Is(err, registry.ErrUnavailable) || time.Since(began) > 20*time.Second {
		t.Errorf("Open: %v after %s, want ErrUnavailable soon", err, time.Since(began))
	}
}

// TestLockedHead: somebody who sits on the head's lock makes appends fail after the
// bound, and nothing of them is left.
func TestLockedHead(t *testing.T) {
	address := pgtest.New(t)
	r, err := postgres.Open(t.Context(), postgres.Options{URL: address, Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	conn := connect(t, address)
	run(t, conn, "BEGIN; SELECT FROM head FOR UPDATE")
	if _, err := r.Append(t.Context(), put(identity(1, 1))...); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("Append beside a lock: %v, want ErrUnavailable", err)
	}
	run(t, conn, "ROLLBACK")
	if last, err := r.Append(t.Context(), put(identity(1, 1))...); err != nil || last != 3 {
		t.Errorf("Append after the lock: %d, %v", last, err)
	}
}

// TestReadsSurviveLostConnections: after a fail-over every pooled connection is dead,
// and none has been idle for long enough to be looked at before it is used.
func TestReadsSurviveLostConnections(t *testing.T) {
	address := pgtest.New(t)
	r := open(t, address)
	defer r.Close()
	conn := connect(t, address)
	for range 5 {
		var readers sync.WaitGroup
		for range 30 { // so that the pool is full of connections
			readers.Go(func() {
				if _, err := r.Totals(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		readers.Wait()
		run(t, conn, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'artifactstore' AND datname = current_database()`)
		if _, err := r.Last(t.Context()); err != nil {
			t.Errorf("Last after all connections were lost: %v", err)
		}
	}
}

// TestAppendsSurviveLostConnections: the writer's connection was closed while nobody
// used it, and not long ago. Nothing has been sent on it, so nothing is refused.
func TestAppendsSurviveLostConnections(t *testing.T) {
	address := pgtest.New(t)
	r := open(t, address)
	defer r.Close()
	conn := connect(t, address)
	for i := range 5 {
		if _, err := r.Append(t.Context(), put(identity(1, 2*i))...); err != nil {
			t.Fatal(err)
		}
		run(t, conn, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'artifactstore' AND datname = current_database()`)
		if _, err := r.Append(t.Context(), put(identity(1, 2*i+1))...); err != nil {
			t.Errorf("Append after its connection was lost: %v", err)
		}
	}
}

// TestURLIsAskedForAtEachConnection: a rotated secret is used without a restart.
func TestURLIsAskedForAtEachConnection(t *testing.T) {
	server := pgtest.Start(t)
	right := server.New(t)
	current := right
	r, err := postgres.Open(t.Context(), postgres.Options{Timeout: 5 * time.Second, URLFunc: func(context.Context) (string, error) {
		if current == "" {
			return "", os.ErrNotExist
		}
		return current, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, c := range []struct {
		url  string
		want error
	}{{right, nil}, {"postgres:///nowhere?user=postgres&host=/nonexistent", registry.ErrUnavailable}, {"", registry.ErrUnavailable}, {right, nil}} {
		current = c.url
		server.Stop(t)
		server.Start(t)
		if _, err := r.Last(t.Context()); !errors.Is(err, c.want) {
			t.Errorf("with URL %q: %v, want %v", c.url, err, c.want)
		}
	}
}

// TestNewerSchema: a program must not touch what it does not know.
func TestNewerSchema(t *testing.T) {
	address := pgtest.New(t)
	open(t, address).Close()
	run(t, connect(t, address), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)")
	r, err := postgres.Open(t.Context(), postgres.Options{URL: address})
	if !errors.Is(err, registry.ErrSchema) {
		if err == nil {
			r.Close()
		}
		t.Errorf("Open: %v, want ErrSchema", err)
	}
}

// TestOpenedByManyAtOnce: gateways that start together on an empty database.
func TestOpenedByManyAtOnce(t *testing.T) {
	address := pgtest.New(t)
	errs := make(chan error)
	const gateways = 4
	for range gateways {
		go func() {
			r, err := postgres.Open(t.Context(), postgres.Options{URL: address, Timeout: 30 * time.Second})
			if err == nil {
				err = r.Close()
			}
			errs <- err
		}()
	}
	for range gateways {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
