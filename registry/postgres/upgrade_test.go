package postgres_test

import (
	"context"
	"os"
	"testing"
	"testing/fstest"

	"artifactstore/registry"
	"artifactstore/registry/postgres/pgtest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// TestUpgrade: a database of the first schema gets the views of the others, as its
// log has them.
func TestUpgrade(t *testing.T) {
	url := pgtest.New(t)
	events := append(put(identity(1, 1)), registry.Event{Actor: "ci", Data: registry.BlobReleased{Blob: identity(1, 1).SHA256}})
	first(t, url, events)
	r := open(t, url)
	defer r.Close()
	compareKeeping(t, t.Context(), r, compareWithModel(t, t.Context(), r))
	if last, err := r.Last(t.Context()); err != nil || last != uint64(len(events)) {
		t.Errorf("Last after the upgrade: %d, %v, want %d", last, err, len(events))
	}
	var dropped bool
	row := connect(t, url).QueryRow(t.Context(), `SELECT dropped = (SELECT max(recorded_at) FROM events) FROM blobs`)
	if err := row.Scan(&dropped); err != nil || !dropped {
		t.Errorf("the release of the lease left no trace: %v", err)
	}
}

// first makes a database of the first schema, with a log that has an event a second.
func first(t *testing.T, url string, events []registry.Event) {
	t.Helper()
	const name = "00001_registry.sql"
	text, err := os.ReadFile("migrations/" + name)
	if err != nil {
		t.Fatal(err)
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	db := stdlib.OpenDB(*config)
	defer db.Close()
	old, err := goose.NewProvider(goose.DialectPostgres, db, fstest.MapFS{name: {Data: text}})
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
		const insert = `INSERT INTO events VALUES ($1::bigint, 'epoch'::timestamptz + $1 * interval '1 second', $2, $3, $4)`
		if _, err := db.Exec(insert, i+1, e.Data.Type(), e.Actor, data); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec(`UPDATE head SET position = $1, recorded_at = (SELECT max(recorded_at) FROM events)`, len(events)); err != nil {
		t.Fatal(err)
	}
}
