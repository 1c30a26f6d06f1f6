package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"artifactstore/registry"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to this program's, one process at a time.
func migrate(ctx context.Context, o Options) (err error) {
	c, err := o.connConfig(ctx, nil)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*c)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.PingContext(ctx); err != nil {
		return translate(ctx, err)
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // a second between tries, five minutes in all
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true),
		goose.WithGoMigrations(derive(o)))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	return bringUp(ctx, p)
}

// derive is migration 4: what 00002 and 00003 added to the views is derived from the
// log that there is already, by a rebuild. It is recorded as made when the views
// are, and making it twice is as good as once.
func derive(o Options) *goose.Migration {
	up := func(ctx context.Context, db *sql.DB) error {
		var last int64
		if err := db.QueryRowContext(ctx, headSQL).Scan(&last); err != nil || last == 0 {
			return err
		}
		r := &Registry{options: o, ended: make(chan struct{})}
		_, err := r.rebuild(ctx, derivedViews, nil)
		return err
	}
	return goose.NewGoMigration(4, &goose.GoFunc{RunDB: up}, nil)
}

// bringUp looks before it takes the lock, which costs a second where somebody
// else holds it.
func bringUp(ctx context.Context, p *goose.Provider) error {
	if up, err := isUp(ctx, p); up || err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate the schema: %w", translate(ctx, err))
	}
	_, err := isUp(ctx, p)
	return err
}

// isUp reports whether the schema is this program's. A newer one is
// registry.ErrSchema.
func isUp(ctx context.Context, p *goose.Provider) (bool, error) {
	sources := p.ListSources()
	mine := sources[len(sources)-1].Version
	theirs, err := p.GetDBVersion(ctx)
	if err != nil {
		// goose makes its table when it looks for the version: two processes that
		// come to an empty database at once may collide there. Up does it in peace.
		return false, nil
	}
	if theirs > mine {
		return false, fmt.Errorf("%w: the database has version %d, this program knows %d: start a newer program", registry.ErrSchema, theirs, mine)
	}
	return theirs == mine, nil
}
