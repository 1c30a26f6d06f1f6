package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"artifactstore/registry"
)

//go:embed migrations/*.sql
var files embed.FS

func migrations() fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the embedded folder has this name
	}
	return sub
}

// openAttempts bounds how often an opening that met another one starts again, other than for a lock.
// Each migration is one immediate transaction, so of processes that
// migrate at once one does it; the others fail on what is there already, and
// find nothing left to do when they look again.
const openAttempts = 20

// migrate brings the database to this program's schema.
func migrate(ctx context.Context, path string, busy time.Duration) error {
	connector, err := sqlite.NewConnector(dsn(path, busy, "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"))
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, migrations(), goose.WithGoMigrations(derive(path, busy)))
	if err != nil {
		return err
	}
	began := time.Now()
	for attempt := 1; ; attempt++ {
		err := ours(ctx, db)
		if err == nil {
			err = up(ctx, provider)
		}
		if !met(err) || attempt >= openAttempts && (!isBusy(err) || time.Since(began) > busy) {
			return err
		}
		if err := sleep(ctx, time.Duration(min(attempt, openAttempts))*5*time.Millisecond); err != nil {
			return err
		}
	}
}

// derive is migration 4: what 0002 and 0003 added to the views is derived from the
// log that there is already. It is recorded as made when the views are, and making it
// twice is as good as once.
func derive(path string, busy time.Duration) *goose.Migration {
	up := func(ctx context.Context, db *sql.DB) error {
		var last int64
		if err := db.QueryRowContext(ctx, "SELECT position FROM head").Scan(&last); err != nil || last == 0 {
			return err
		}
		c, err := openReplay(ctx, path, busy)
		if err != nil {
			return err
		}
		p := &replay{conn: c, views: derivedViews, gate: newGate()}
		err = inOrder(ctx, p.catchUp, func(ctx context.Context) error { return p.rebuild(ctx, busy) })
		return errors.Join(err, c.close())
	}
	return goose.NewGoMigration(4, &goose.GoFunc{RunDB: up}, nil)
}

// ours returns an error if another program's tables are in the file. A file of
// ours is empty, or has goose's table, which is made before all others.
func ours(ctx context.Context, db *sql.DB) error {
	var foreign bool
	err := db.QueryRowContext(ctx, `SELECT count(*) > 0 AND sum(name = 'goose_db_version') = 0 FROM sqlite_schema`).Scan(&foreign)
	if err == nil && foreign {
		err = errors.New("the file is a database of another program")
	}
	return err
}

// met reports whether an error may come from another opening at the same time: a
// lock, a table that is there already, a version that is recorded already.
func met(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) &&
		(isBusy(err) || primary(e) == sqlite3.SQLITE_ERROR || primary(e) == sqlite3.SQLITE_CONSTRAINT)
}

func up(ctx context.Context, provider *goose.Provider) error {
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > target {
		return fmt.Errorf("%w: the database has schema version %d, this program knows versions up to %d: run a newer artifactstore",
			registry.ErrSchema, current, target)
	}
	if current == target {
		return nil
	}
	_, err = provider.Up(ctx)
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
