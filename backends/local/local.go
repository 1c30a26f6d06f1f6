// Package local is a backend in a directory.
//
//	<root>/format                the layout and its version; without it the directory is not ours
//	<root>/.staging/<id>         an upload on its way
//	<root>/.staging/<id>.points  where that upload may be resumed, once it was suspended
//	<root>/<key prefix>/<key>    an object: the bytes and nothing else, read-only
//
// A key's segments are folders and a file of the same names, so that an object
// can be looked at with any tool; only a first segment "format" is written
// "=format". Several backends with different key prefixes may share a root;
// they share its staging folder. Keys that name a folder of another key (a
// beside a/b) cannot both be kept.
//
// Durability is in durable.go: which calls, in which order, and why. What goes
// over when is in upload.go (one upload) and points.go (an upload's suspending,
// resuming, and who may go on with it). A crash leaves a staging file and
// nothing else; Sweep removes it by age.
//
// What it does not do: it keeps no index, no checksum and no second copy, does
// not remove folders that became empty, and does not reserve space for an
// announced size.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"artifactstore/backends"
)

// Options say where a backend keeps its objects.
type Options struct {
	Root      string // a directory; made where it is missing
	KeyPrefix string // a folder below Root, of the form of a key; "" for Root itself
}

// Backend is a backends.Backend in a directory.
type Backend struct {
	root    string // absolute
	staging string
	prefix  string // "" or the key prefix with a slash at its end
	disk    *disk
}

// names of what a root holds besides objects; none can be a key's file.
const (
	stagingName = ".staging"
	formatName  = "format"
	escape      = "=" // before a first segment that is formatName
)

// modes before the umask. Objects lose their write bits when they are committed.
const (
	dirMode  = 0o750
	fileMode = 0o640
)

// Open returns the backend in a directory, which it makes and marks on the
// first time. It refuses a directory that holds something else and a layout it
// does not know.
func Open(ctx context.Context, o Options) (*Backend, error) {
	b, err := newBackend(o, newDisk(nil))
	if err != nil {
		return nil, fmt.Errorf("local backend: %w", err)
	}
	if err := b.claimRoot(ctx); err != nil {
		return nil, fmt.Errorf("local backend in %s: %w", b.root, fault(err))
	}
	return b, nil
}

func newBackend(o Options, d *disk) (*Backend, error) {
	if o.Root == "" {
		return nil, errors.New("no root directory given")
	}
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, err
	}
	b := &Backend{root: root, staging: filepath.Join(root, stagingName), disk: d}
	if o.KeyPrefix != "" {
		if err := backends.CheckKey(o.KeyPrefix); err != nil {
			return nil, fmt.Errorf("key prefix: %w", err)
		}
		b.prefix = o.KeyPrefix + "/"
	}
	return b, nil
}

// path returns the file of a key.
func (b *Backend) path(key string) (string, error) {
	if err := backends.CheckKey(key); err != nil {
		return "", err
	}
	return b.file(b.prefix + key), nil
}

// file returns the file or folder of a full key, its prefix included.
func (b *Backend) file(full string) string {
	if first, _, _ := strings.Cut(full, "/"); first == formatName {
		full = escape + full
	}
	return filepath.Join(b.root, filepath.FromSlash(full))
}

var _ backends.Prober = (*Backend)(nil)

// Stat implements backends.Backend.
func (b *Backend) Stat(ctx context.Context, key string) (backends.Info, error) {
	name, err := b.begin(ctx, key)
	if err != nil {
		return backends.Info{}, fmt.Errorf("stat object: %w", err)
	}
	info, err := os.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return backends.Info{}, fmt.Errorf("stat %s: %w", key, b.absent(err))
	}
	return backends.Info{Key: key, Size: info.Size(), ModTime: info.ModTime()}, nil
}

// Absent implements backends.Prober.
func (b *Backend) Absent(key string) bool {
	name, err := b.path(key)
	if err != nil {
		return false
	}
	_, err = os.Lstat(name)
	return errors.Is(err, fs.ErrNotExist)
}

// Delete implements backends.Backend. The folder is synced also where the
// object was gone: an earlier Delete may have removed it and failed to say so.
func (b *Backend) Delete(ctx context.Context, key string) error {
	name, err := b.begin(ctx, key)
	if err != nil {
		return fmt.Errorf("delete object: %w", err)
	}
	if info, err := os.Lstat(name); err == nil && info.IsDir() {
		return nil
	}
	err = b.disk.remove(ctx, name)
	if err != nil && isAbsent(err) {
		if err = b.absent(err); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", key, fault(err))
	}
	return nil
}

// begin is how every operation on a key starts.
func (b *Backend) begin(ctx context.Context, key string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return b.path(key)
}

var _ backends.Backend = (*Backend)(nil)
