package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const uploadColumns = `id, principal, repository, backend_id, "offset", hash, state, finished, version, expires_at`

// The schema's triggers keep the number of open sessions.
const (
	createUploadSQL = `INSERT INTO uploads (` + uploadColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9)`

	uploadSQL = `SELECT ` + uploadColumns + ` FROM uploads WHERE id = $1`

	saveUploadSQL = `
UPDATE uploads SET backend_id = $3, "offset" = $4, hash = $5, state = $6, finished = $7, expires_at = $8, version = version + 1
WHERE id = $1 AND version = $2 RETURNING ` + uploadColumns

	deleteUploadSQL = `DELETE FROM uploads WHERE id = $1 AND version = $2`

	expiredUploadsSQL = `
SELECT ` + uploadColumns + ` FROM uploads WHERE expires_at < $1 ORDER BY expires_at, id LIMIT $2`

	finishedUploadsSQL = `
SELECT ` + uploadColumns + ` FROM uploads WHERE finished = $1 ORDER BY expires_at, id LIMIT $2`
)

// CreateUpload implements [registry.Uploads].
func (r *Registry) CreateUpload(ctx context.Context, u registry.Upload) error {
	_, err := write(ctx, r, "create upload", func(ctx context.Context, conn *pgxpool.Conn) (int64, error) {
		tag, err := conn.Exec(ctx, createUploadSQL, u.ID, u.Principal, u.Repository, u.BackendID, u.Offset, u.Hash, u.State, u.Finished.Sum(), microseconds(u.ExpiresAt))
		return tag.RowsAffected(), err
	})
	return err
}

// microseconds is what the database keeps of a time.
func microseconds(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// Upload implements [registry.Uploads].
func (r *Registry) Upload(ctx context.Context, id string) (registry.Upload, error) {
	if !storable(id) {
		return registry.Upload{}, noUpload()
	}
	return read(ctx, r, "upload", func(ctx context.Context, conn *pgxpool.Conn) (registry.Upload, error) {
		u, err := oneUpload(ctx, conn, uploadSQL, id)
		if errors.Is(err, pgx.ErrNoRows) {
			err = fs.ErrNotExist
		}
		return u, err
	})
}

// noUpload is the error for an id without a session. It does not repeat the id,
// which is a capability.
func noUpload() error { return fmt.Errorf("upload: %w", fs.ErrNotExist) }

// SaveUpload implements [registry.Uploads].
func (r *Registry) SaveUpload(ctx context.Context, u registry.Upload) (registry.Upload, error) {
	if !storable(u.ID) {
		return registry.Upload{}, noUpload()
	}
	return write(ctx, r, "save upload", func(ctx context.Context, conn *pgxpool.Conn) (registry.Upload, error) {
		saved, err := oneUpload(ctx, conn, saveUploadSQL, u.ID, u.Version, u.BackendID, u.Offset, u.Hash, u.State, u.Finished.Sum(), microseconds(u.ExpiresAt))
		if errors.Is(err, pgx.ErrNoRows) {
			err = whyStale(ctx, conn, u.ID)
		}
		return saved, err
	})
}

// DeleteUpload implements [registry.Uploads].
func (r *Registry) DeleteUpload(ctx context.Context, id string, version int64) error {
	if !storable(id) {
		return noUpload()
	}
	_, err := write(ctx, r, "delete upload", func(ctx context.Context, conn *pgxpool.Conn) (int64, error) {
		tag, err := conn.Exec(ctx, deleteUploadSQL, id, version)
		if err == nil && tag.RowsAffected() == 0 {
			err = whyStale(ctx, conn, id)
		}
		return tag.RowsAffected(), err
	})
	return err
}

// whyStale says why no session has an id and a version: there is none with the
// id, or it has moved on.
func whyStale(ctx context.Context, conn *pgxpool.Conn, id string) error {
	u, err := oneUpload(ctx, conn, uploadSQL, id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fs.ErrNotExist
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: the session is at version %d", registry.ErrConflict, u.Version)
}

// ExpiredUploads implements [registry.Uploads].
func (r *Registry) ExpiredUploads(ctx context.Context, before time.Time, limit int) ([]registry.Upload, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	return read(ctx, r, "read expired uploads", func(ctx context.Context, conn *pgxpool.Conn) ([]registry.Upload, error) {
		rows, err := conn.Query(ctx, expiredUploadsSQL, before, limit)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, scanUpload)
	})
}

// FinishedUploads implements [registry.Uploads].
func (r *Registry) FinishedUploads(ctx context.Context, blob digest.Digest, limit int) ([]registry.Upload, error) {
	return some(ctx, r, "read uploads of "+blob.String(), scanUpload, finishedUploadsSQL, blob.Sum(), max(limit, 0))
}

func oneUpload(ctx context.Context, conn *pgxpool.Conn, sql string, args ...any) (registry.Upload, error) {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return registry.Upload{}, err
	}
	return pgx.CollectExactlyOneRow(rows, scanUpload)
}

func scanUpload(row pgx.CollectableRow) (registry.Upload, error) {
	var u registry.Upload
	var finished []byte
	err := row.Scan(&u.ID, &u.Principal, &u.Repository, &u.BackendID, &u.Offset, &u.Hash, &u.State, &finished, &u.Version, &u.ExpiresAt)
	u.Finished = digestOf(digest.SHA256, finished)
	u.ExpiresAt = u.ExpiresAt.UTC()
	return u, err
}
