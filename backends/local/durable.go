package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// A durable object is these calls, in this order:
//
//	openat(.staging/ID, O_CREAT|O_EXCL)    Begin
//	pwrite64 ...                           Write; every 16 MiB sync_file_range(SYNC_FILE_RANGE_WRITE)
//	mkdirat(DIR)                           Commit: for each folder of the key not known to be durable (folders.go)
//	utimensat, fchmod(0440)                the time of the commit; nobody writes any more
//	fsync(FILE)                            the bytes, before a name leads to them
//	fsync(PARENT OF DIR)                   for each folder of the key not known to be durable
//	renameat(.staging/ID, KEY)             whole or not at all
//	fsync(DIR)                             the name
//
// So a put costs two syncs where its folder was used before, which the disk
// remembers. Folders are made before the file's fsync and synced after it: on a
// file system with a journal that one fsync writes them too, and theirs finds
// nothing to do. The folder a file is renamed out of is not synced: a name that
// comes back after a power failure is a second name of a committed object,
// which Resume refuses (it has two links) and Sweep removes.
//
// A removal is unlinkat(KEY), fsync(DIR).

// step is one of these calls.
type step struct {
	op   string // "mkdir", "utimes", "chmod", "sync file", "sync folder", "rename", "unlink"
	path string
}

// disk does the steps and remembers which folders are durable.
type disk struct {
	run func(s step, do func() error) error
	folders
}

// newDisk returns a disk whose steps go through run: a test sees their order
// there, and lets them fail before or after their effect. nil just does them.
func newDisk(run func(step, func() error) error) *disk {
	if run == nil {
		run = func(_ step, do func() error) error { return do() }
	}
	return &disk{run: run}
}

// do runs a step unless the caller has gone.
func (d *disk) do(ctx context.Context, op, path string, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.run(step{op, path}, f)
}

// publish makes the bytes of f, which is the file from, durable under the name
// to, somewhere below the durable folder base.
func (d *disk) publish(ctx context.Context, f *os.File, from, base, to string) error {
	dir := filepath.Dir(to)
	folders, err := d.make(ctx, base, dir)
	if err != nil {
		return err
	}
	if err := d.seal(ctx, f); err != nil {
		return err
	}
	if err := d.syncFile(ctx, f); err != nil {
		return err
	}
	if err := d.syncParents(ctx, folders); err != nil {
		return err
	}
	return d.rename(ctx, f, from, to)
}

// rename is the last two steps. A rename that reports an error may have been
// done (its reply lost, as on a network file system): the file itself tells.
func (d *disk) rename(ctx context.Context, f *os.File, from, to string) error {
	err := d.do(ctx, "rename", to, func() error { return rename(from, to) })
	if err != nil && !isFile(f, to) {
		return err
	}
	return d.syncFolder(ctx, filepath.Dir(to))
}

// isFile reports whether name leads to f.
func isFile(f *os.File, name string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(name)
	return err == nil && os.SameFile(open, named)
}

// seal gives the file its last modification time and takes its write bits.
func (d *disk) seal(ctx context.Context, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	now := time.Now()
	err = d.do(ctx, "utimes", f.Name(), func() error { return os.Chtimes(f.Name(), now, now) })
	if err != nil {
		return err
	}
	return d.do(ctx, "chmod", f.Name(), func() error { return f.Chmod(info.Mode().Perm() &^ 0o222) })
}

// errUnsynced is for good: after a failed fsync the kernel may drop what it could
// not write and call the next fsync a success.
var errUnsynced = errors.New("the disk did not take the bytes")

func (d *disk) syncFile(ctx context.Context, f *os.File) error {
	return d.do(ctx, "sync file", f.Name(), func() error {
		if err := f.Sync(); err != nil {
			return fmt.Errorf("%w: %w", errUnsynced, err)
		}
		return nil
	})
}

// syncFolder syncs names. Unlike a file's it may be tried again: names go through
// the journal, and a file system whose journal fails takes no more writes.
func (d *disk) syncFolder(ctx context.Context, dir string) error {
	return d.do(ctx, "sync folder", dir, func() error {
		return syncNames(dir)
	})
}

// unsynced are folders that exist and whose names are not known to be on disk.
type unsynced struct {
	parents []string // the folders that have the names, innermost first
	known   []string // what is known once those are synced
}

// make makes the folders from base down to dir. Another commit may have made one
// a moment ago and not synced it yet, so that it exists says nothing.
func (d *disk) make(ctx context.Context, base, dir string) (unsynced, error) {
	if dir == base || d.isKnown(dir) {
		return unsynced{}, nil
	}
	parent := filepath.Dir(dir)
	above, err := d.make(ctx, base, parent)
	if err != nil {
		return unsynced{}, err
	}
	known, err := d.makeOne(ctx, parent, dir)
	if err != nil {
		return unsynced{}, err
	}
	return unsynced{append([]string{parent}, above.parents...), append(above.known, known)}, nil
}

// makeOne makes a folder, or all its like where that is worth it and possible: a disk
// that is nearly full may have room for one. It returns what is known to be there.
func (d *disk) makeOne(ctx context.Context, parent, dir string) (known string, err error) {
	if isPair(dir) && d.isCrowded(parent) {
		all := allPairs(parent)
		if d.do(ctx, "mkdir", all, func() error { return makePairs(parent) }) == nil {
			return all, nil
		}
	}
	return dir, d.do(ctx, "mkdir", dir, func() error { return makeFolder(dir) })
}

// syncParents makes what make made durable, and remembers it.
func (d *disk) syncParents(ctx context.Context, u unsynced) error {
	for _, p := range u.parents {
		if err := d.syncFolder(ctx, p); err != nil {
			return err
		}
	}
	d.remember(u.known)
	return nil
}

// makeDurable makes the folders from base down to dir durable.
func (d *disk) makeDurable(ctx context.Context, base, dir string) error {
	folders, err := d.make(ctx, base, dir)
	if err != nil {
		return err
	}
	return d.syncParents(ctx, folders)
}

// makeAll makes dir and what is missing above it durable.
func (d *disk) makeAll(ctx context.Context, dir string) error {
	base := dir
	for {
		info, err := os.Stat(base)
		if err == nil && !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: base, Err: syscall.ENOTDIR}
		}
		if err == nil || !errors.Is(err, fs.ErrNotExist) || base == filepath.Dir(base) {
			break
		}
		base = filepath.Dir(base)
	}
	return d.makeDurable(ctx, base, dir)
}

// remove removes a file durably. It reports a file that was not there, after
// having synced the folder all the same.
func (d *disk) remove(ctx context.Context, name string) error {
	err := d.do(ctx, "unlink", name, func() error { return os.Remove(name) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if syncErr := d.syncFolder(ctx, filepath.Dir(name)); syncErr != nil {
		return syncErr
	}
	return err
}
