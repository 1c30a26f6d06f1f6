package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"artifactstore/registry"
)

func TestNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	open(t, path).Close()
	if err := script(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)"); err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), Options{Path: path})
	if !errors.Is(err, registry.ErrSchema) {
		t.Fatalf("open of a newer schema: %v, %v", r, err)
	}
}

func TestNotADatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	text := []byte("#!/bin/sh\n# this is long enough to be read as a page, and it is not one\nexit 0\n")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := Open(t.Context(), Options{Path: path}); err == nil {
		r.Close()
		t.Fatal("a shell script was opened as a registry")
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(text) {
		t.Errorf("the file was changed: %q, %v", after, err)
	}
}

func TestAnotherProgramsDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cookies.db")
	if err := script(t, path, "CREATE TABLE cookies (name)"); err != nil {
		t.Fatal(err)
	}
	if r, err := Open(t.Context(), Options{Path: path}); err == nil {
		r.Close()
		t.Error("another program's database was opened")
	}
	if tables := rows(t, path, "SELECT name FROM sqlite_schema"); len(tables) != 1 {
		t.Errorf("it has now %d tables and indexes", len(tables))
	}
}

func TestOpenTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	var group sync.WaitGroup
	for n := range uint64(8) {
		group.Go(func() {
			r, err := Open(context.Background(), Options{Path: path})
			if err != nil {
				t.Errorf("open: %v", err)
				return
			}
			if _, err := r.Append(context.Background(), put(n)...); err != nil {
				t.Errorf("append: %v", err)
			}
			if err := r.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
	group.Wait()
	if last, err := open(t, path).Last(t.Context()); err != nil || last != 24 {
		t.Errorf("the log ends with %d, %v", last, err)
	}
}

func TestStrangePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c#d%20&mode=memory", "régistre?.db")
	r := open(t, path)
	mustAppend(t, r, put(1)...)
	if report := check(t, r); len(report.Problems) > 0 || report.Blobs != 1 {
		t.Errorf("check: %+v", report)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// TestPragmas shows that every connection has what durability and the
// constraints stand on.
func TestPragmas(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	want := func(c *conn, pragma string, value any) {
		t.Helper()
		if err := c.query(t.Context(), "PRAGMA "+pragma, func(row []driver.Value) error {
			if row[0] != value {
				t.Errorf("%s is %v, not %v", pragma, row[0], value)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	err := r.write(t.Context(), func(x *transaction) error {
		want(x.conn, "journal_mode", "wal")
		want(x.conn, "synchronous", int64(2))
		want(x.conn, "foreign_keys", int64(1))
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for range 3 {
		err := r.read(t.Context(), func(c *conn) error {
			want(c, "query_only", int64(1))
			want(c, "busy_timeout", int64(10_000))
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestClosed(t *testing.T) {
	r, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "registry.db")})
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() { waiting <- r.Wait(context.Background(), 0) }()
	deadline := time.Now().Add(10 * time.Second)
	for r.news.waiters() == 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("Wait over Close: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	_, err = r.Check(t.Context(), nil)
	for name, err := range map[string]error{"Health": r.Health(t.Context()), "Wait": r.Wait(t.Context(), 0), "Check": err} {
		if !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

// waiters is how many calls wait.
func (n *news) waiters() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.waiting
}
