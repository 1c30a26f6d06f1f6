package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// sweepBatch is how many names are read at a time.
const sweepBatch = 512

// Sweep implements backends.Backend. The age of an upload is the file system's:
// the later modification time of its two files. Backends that share the root
// sweep each other's.
func (b *Backend) Sweep(ctx context.Context, before time.Time) (removed int, err error) {
	dir, err := os.Open(b.staging)
	if err != nil {
		if gone := b.marked(); gone != nil || !isAbsent(err) {
			return 0, fmt.Errorf("sweep: %w", errors.Join(gone, err))
		}
		return 0, nil
	}
	defer dir.Close()
	for {
		entries, err := dir.ReadDir(sweepBatch)
		if err != nil && err != io.EOF {
			return removed, fmt.Errorf("sweep: %w", fault(err))
		}
		n, sweepErr := b.sweepSome(ctx, entries, before)
		removed += n
		if sweepErr != nil {
			return removed, fmt.Errorf("sweep: %w", fault(sweepErr))
		}
		if err == io.EOF {
			return removed, nil
		}
	}
}

func (b *Backend) sweepSome(ctx context.Context, entries []fs.DirEntry, before time.Time) (removed int, err error) {
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		id, isPoints := strings.CutSuffix(e.Name(), pointsSuffix)
		if !isName(id) {
			continue // not ours
		}
		if isPoints {
			err = b.sweepPoints(id, before)
		} else {
			var did bool
			if did, err = b.sweepUpload(ctx, id, before); did {
				removed++
			}
		}
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// sweepUpload removes an upload whose two files are both old. A suspended one is
// looked at under its lock, so that one resumed this moment is left alone.
func (b *Backend) sweepUpload(ctx context.Context, id string, before time.Time) (bool, error) {
	u := &upload{b: b, id: id}
	if !isOld(u.name(), before) || !isOld(u.pointsName(), before) {
		return false, nil
	}
	f, err := os.OpenFile(u.pointsName(), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return removeFile(u.name())
	}
	if err != nil {
		return false, err
	}
	u.points = &points{File: f}
	defer u.release()
	if err := u.points.lock(ctx); err != nil {
		return false, err
	}
	defer u.points.unlock()
	if !isOld(u.name(), before) || !isOld(u.pointsName(), before) {
		return false, nil
	}
	did, err := removeFile(u.name())
	if err != nil {
		return did, err
	}
	return did, u.forgetPoints()
}

// sweepPoints removes points whose upload has gone: what a crash just after
// their commit leaves. The upload never comes back, so there is no race.
func (b *Backend) sweepPoints(id string, before time.Time) error {
	name := filepath.Join(b.staging, id)
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if isOld(name+pointsSuffix, before) {
		_, err := removeFile(name + pointsSuffix)
		return err
	}
	return nil
}

// isOld reports whether a file was last written before a time, or is absent.
func isOld(name string, before time.Time) bool {
	info, err := os.Lstat(name)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return info.ModTime().Before(before)
}

func removeFile(name string) (bool, error) {
	err := os.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
