package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

const (
	uploadColumns = `id, principal, repository, backend_id, offset, hash, state, finished, version, expires_at`

	insertUpload = `INSERT INTO uploads (` + uploadColumns + `) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9)`

	selectUpload = `SELECT ` + uploadColumns + ` FROM uploads WHERE id = ?1`

	updateUpload = `UPDATE uploads
SET backend_id = ?3, offset = ?4, hash = ?5, state = ?6, finished = ?7, expires_at = ?8, version = version + 1
WHERE id = ?1 AND version = ?2`

	deleteUpload = `DELETE FROM uploads WHERE id = ?1 AND version = ?2`

	selectExpired = `SELECT ` + uploadColumns + ` FROM uploads WHERE expires_at < ?1 ORDER BY expires_at, id LIMIT ?2 + 0`

	selectFinished = `SELECT ` + uploadColumns + ` FROM uploads WHERE finished = ?1 ORDER BY expires_at, id LIMIT ?2 + 0`
)

// CreateUpload implements registry.Uploads.
func (r *Registry) CreateUpload(ctx context.Context, u registry.Upload) error {
	err := r.write(ctx, func(t *transaction) error {
		_, err := t.conn.exec(context.Background(), insertUpload, u.ID, u.Principal, u.Repository, u.BackendID,
			u.Offset, state(u.Hash), state(u.State), sum(u.Finished), micros(u.ExpiresAt))
		return err
	})
	if err != nil {
		return fmt.Errorf("create upload %s: %w", u.ID, err)
	}
	return nil
}

// Upload implements registry.Uploads.
func (r *Registry) Upload(ctx context.Context, id string) (registry.Upload, error) {
	var found []registry.Upload
	err := r.read(ctx, func(c *conn) (err error) {
		found, err = uploads(c, selectUpload, id)
		return err
	})
	if err == nil && len(found) == 0 {
		err = errAbsent
	}
	if err != nil {
		return registry.Upload{}, fmt.Errorf("upload %s: %w", id, err)
	}
	return found[0], nil
}

// SaveUpload implements registry.Uploads.
func (r *Registry) SaveUpload(ctx context.Context, u registry.Upload) (registry.Upload, error) {
	var saved registry.Upload
	err := r.write(ctx, func(t *transaction) (err error) {
		saved, err = t.saveUpload(u)
		return err
	})
	if err != nil {
		return registry.Upload{}, fmt.Errorf("save upload %s: %w", u.ID, err)
	}
	return saved, nil
}

func (t *transaction) saveUpload(u registry.Upload) (registry.Upload, error) {
	changed, err := t.conn.exec(context.Background(), updateUpload, u.ID, u.Version, u.BackendID, u.Offset,
		state(u.Hash), state(u.State), sum(u.Finished), micros(u.ExpiresAt))
	if err != nil {
		return registry.Upload{}, err
	}
	found, err := uploads(t.conn, selectUpload, u.ID)
	if err != nil {
		return registry.Upload{}, err
	}
	if err := guard(changed, len(found)); err != nil {
		return registry.Upload{}, err
	}
	return found[0], nil
}

// DeleteUpload implements registry.Uploads.
func (r *Registry) DeleteUpload(ctx context.Context, id string, version int64) error {
	err := r.write(ctx, func(t *transaction) error {
		changed, err := t.conn.exec(context.Background(), deleteUpload, id, version)
		if err != nil || changed == 1 {
			return err
		}
		found, err := uploads(t.conn, selectUpload, id)
		if err != nil {
			return err
		}
		return guard(changed, len(found))
	})
	if err != nil {
		return fmt.Errorf("delete upload %s: %w", id, err)
	}
	return nil
}

// guard tells why a statement with a version changed nothing.
func guard(changed int64, found int) error {
	switch {
	case changed == 1:
		return nil
	case found == 0:
		return errAbsent
	default:
		return fmt.Errorf("%w: the session has another version", registry.ErrConflict)
	}
}

// ExpiredUploads implements registry.Uploads.
func (r *Registry) ExpiredUploads(ctx context.Context, before time.Time, limit int) ([]registry.Upload, error) {
	var found []registry.Upload
	err := r.read(ctx, func(c *conn) (err error) {
		found, err = uploads(c, selectExpired, micros(before), int64(max(limit, 0)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("expired uploads: %w", err)
	}
	return found, nil
}

// FinishedUploads implements registry.Uploads.
func (r *Registry) FinishedUploads(ctx context.Context, blob digest.Digest, limit int) ([]registry.Upload, error) {
	var found []registry.Upload
	err := r.read(ctx, func(c *conn) (err error) {
		found, err = uploads(c, selectFinished, blob.Sum(), int64(max(limit, 0)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("uploads of %s: %w", blob, err)
	}
	return found, nil
}

// uploads runs a query for uploadColumns.
func uploads(c *conn, sql string, args ...driver.Value) ([]registry.Upload, error) {
	var found []registry.Upload
	err := c.query(context.Background(), sql, func(row []driver.Value) error {
		found = append(found, registry.Upload{
			ID:         row[0].(string),
			Principal:  row[1].(string),
			Repository: row[2].(string),
			BackendID:  row[3].(string),
			Offset:     row[4].(int64),
			Hash:       bytesOf(row[5]),
			State:      bytesOf(row[6]),
			Finished:   digestOf(digest.SHA256, row[7]),
			Version:    row[8].(int64),
			ExpiresAt:  moment(row[9]),
		})
		return nil
	}, args...)
	return found, err
}

// state is a state's column: NULL before there is one.
func state(b []byte) driver.Value {
	if b == nil {
		return nil
	}
	return b
}
