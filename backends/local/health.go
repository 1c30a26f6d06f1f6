package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"artifactstore/backends"
)

// minFree is how much room a backend in health has, in bytes.
const minFree = 1 << 20

// Health implements backends.Backend. It reads the marker, gives it a new
// modification time, makes that durable (one fsync of a file that holds one
// line; it creates nothing), and asks for the free space. A disk that is
// not mounted, read-only, failing or full shows itself.
func (b *Backend) Health(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- b.probe() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("local backend in %s: %w", b.root, fault(err))
		}
		return nil
	case <-ctx.Done():
		return ctx.Err() // a disk that hangs holds the goroutine, not the caller
	}
}

func (b *Backend) probe() error {
	name := filepath.Join(b.root, formatName)
	if err := b.marked(); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return err
	}
	if string(text) != format {
		return fmt.Errorf("its format file says %q", clip(text))
	}
	now := time.Now()
	if err := os.Chtimes(name, now, now); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if _, err := os.Lstat(b.staging); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return b.room()
}

// room returns ErrFull where the file system has no space or no files left. Some
// count no files (zero of zero).
func (b *Backend) room() error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(b.root, &st); err != nil {
		return &os.PathError{Op: "statfs", Path: b.root, Err: err}
	}
	if free := uint64(st.Bavail) * uint64(st.Bsize); free < minFree {
		return fmt.Errorf("%w: %d bytes free", backends.ErrFull, free)
	}
	if st.Files > 0 && st.Ffree == 0 {
		return fmt.Errorf("%w: no room for another file", backends.ErrFull)
	}
	return nil
}
