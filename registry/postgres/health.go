package postgres

import (
	"context"
	"fmt"

	"artifactstore/registry"

	"github.com/jackc/pgx/v5/pgxpool"
)

const healthSQL = `SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean FROM head`

// Health implements [registry.Views]. It writes nothing: a full disk shows itself
// at the next append.
func (r *Registry) Health(ctx context.Context) error {
	readOnly, err := read(ctx, r, "health", func(ctx context.Context, conn *pgxpool.Conn) (readOnly bool, err error) {
		err = conn.QueryRow(ctx, healthSQL).Scan(&readOnly)
		return readOnly, err
	})
	if err == nil && readOnly {
		err = fmt.Errorf("%w: the database is read-only: a standby?", registry.ErrUnavailable)
	}
	return err
}
