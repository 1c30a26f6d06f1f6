package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"artifactstore/backends"
)

// fault gives an error of the file system the name callers branch on, and keeps
// its words. What has none is a failure to be reported.
func fault(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%w: %w", backends.ErrFull, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("%w: %w", backends.ErrUnavailable, err)
	}
	return err
}

// isAbsent reports whether an error says that a file is not there. Below a file
// (ENOTDIR) there is nothing either.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// absent is fault for a look-up. A disk that is not mounted has no objects at
// all, and to call each of them absent would be a lie that others act on: where
// the root has lost its marker, the backend is unavailable.
func (b *Backend) absent(err error) error {
	if !isAbsent(err) {
		return fault(err)
	}
	if gone := b.marked(); gone != nil {
		return gone
	}
	return fs.ErrNotExist
}

// marked returns nil where the root is there and ours.
func (b *Backend) marked() error {
	_, err := os.Lstat(filepath.Join(b.root, formatName))
	if isAbsent(err) {
		return fmt.Errorf("%w: %s has no format file any more; is its disk mounted?", backends.ErrUnavailable, b.root)
	}
	return fault(err)
}
