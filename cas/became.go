package cas

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"artifactstore/backends"
)

// became stands for an upload that its backend no longer has because it may have
// been committed: by another request that finished the session, or by this one
// before an answer was lost. Bytes that follow are counted and dropped, and to
// commit is to find the object. Its key is the digest of the bytes, so what is
// found there is what was sent.
type became struct {
	b    backends.Backend
	size int64
}

var _ backends.Upload = (*became)(nil)

// Write implements backends.Upload.
func (u *became) Write(p []byte) (int, error) {
	u.size += int64(len(p))
	return len(p), nil
}

// Commit implements backends.Upload. Without the object the upload is unknown.
func (u *became) Commit(ctx context.Context, key string) error {
	info, err := u.b.Stat(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Size != u.size:
		return fmt.Errorf("%s: %w", key, errBytesGone)
	case err != nil:
		return err
	}
	return nil
}

// Suspend implements backends.Upload: there is nothing to go on from.
func (u *became) Suspend(context.Context) ([]byte, error) { return nil, errBytesGone }

// Abort implements backends.Upload.
func (u *became) Abort(context.Context) error { return nil }

// Close implements backends.Upload.
func (u *became) Close() error { return nil }
