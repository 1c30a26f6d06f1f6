package sqlite

import (
	"context"
	"fmt"

	"artifactstore/registry"
)

// Health implements registry.Views. It reads the head of the log and takes the
// write lock; after a write that failed it also writes, for a full disk still
// gives the lock away. That another process holds the lock is not
// ill health.
func (r *Registry) Health(ctx context.Context) error {
	_, err := r.position(ctx)
	if err == nil {
		err = r.write(ctx, func(t *transaction) error {
			if !r.writer.failed.Load() {
				return nil
			}
			if _, err := t.conn.exec(context.Background(), "UPDATE head SET position = position"); err != nil {
				return fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
			}
			return nil
		})
	}
	if err != nil && !isBusy(err) {
		return fmt.Errorf("registry health: %w", err)
	}
	return nil
}
