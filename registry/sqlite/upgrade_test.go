package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite"

	"artifactstore/registry"
)

// TestUpgrade: a database of the first schema gets the views of the others, as its
// log has them.
func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	events := append(put(1), registry.Event{Actor: "ci", Data: registry.BlobReleased{Blob: blob(1).SHA256}})
	first(t, path, events)
	r := open(t, path)
	if report := check(t, r); len(report.Problems) > 0 || report.Position != uint64(len(events)) {
		t.Errorf("after the upgrade: %+v", report)
	}
	if dropped := rows(t, path, "SELECT dropped FROM blobs"); len(dropped) != 1 || dropped[0][0] != int64(len(events)) {
		t.Errorf("the release of the lease: %v", dropped)
	}
	mustAppend(t, r, push("team/app", 1)...)
}

// first makes a database of the first schema, with a log whose times are the positions.
func first(t *testing.T, path string, events []registry.Event) {
	t.Helper()
	const name = "0001_registry.sql"
	text, err := fs.ReadFile(migrations(), name)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", dsn(path, 0, "journal_mode(WAL)"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	old, err := goose.NewProvider(goose.DialectSQLite3, db, fstest.MapFS{name: {Data: text}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Up(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i, e := range events {
		data, err := registry.EncodeData(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		insert := fmt.Sprintf("INSERT INTO events VALUES (%d, %[1]d, ?, ?, ?, ?)", i+1)
		if _, err := db.Exec(insert, e.Data.Type(), e.Actor, e.Data.Subject(), data); err != nil {
			t.Fatal(err)
		}
	}
}
