package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"artifactstore/backends"
)

// Open implements backends.Backend.
func (b *Backend) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	name, err := b.begin(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("open object: %w", err)
	}
	if off < 0 {
		return nil, fmt.Errorf("open %s: offset %d", key, off)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", key, b.absent(err))
	}
	left, changed, err := seek(f, off, n)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s: %w", key, fault(err))
	}
	return &reader{ctx: ctx, file: f, left: left, key: key, changed: changed}, nil
}

// seek goes to the offset and returns how many bytes are to be read, and when the
// file was last changed.
func seek(f *os.File, off, n int64) (left int64, changed time.Time, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, changed, err
	}
	if !info.Mode().IsRegular() {
		return 0, changed, fs.ErrNotExist
	}
	left = info.Size() - off
	if left < 0 || left < n {
		return 0, changed, fmt.Errorf("%w: %d bytes at %d wanted, it has %d", backends.ErrShort, max(n, 0), off, info.Size())
	}
	if n >= 0 {
		left = n
	}
	if off > 0 {
		_, err = f.Seek(off, io.SeekStart)
	}
	return left, changedAt(info), err
}

// reader reads a part of a file.
type reader struct {
	ctx     context.Context
	file    *os.File
	left    int64
	key     string
	changed time.Time
}

// ChangedAt implements backends.Dated: with the time of the inode, which every write,
// rename and change of rights moves, and nobody can set back. The kernel's clock for it
// goes in steps of up to ten milliseconds.
func (r *reader) ChangedAt() time.Time { return r.changed }

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.file.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	return n, r.ended(err)
}

// ended turns the end of the file before the end of the part into ErrShort:
// somebody cut the object after it was opened.
func (r *reader) ended(err error) error {
	if err == io.EOF && r.left > 0 {
		return fmt.Errorf("read %s: %w: %d bytes are missing", r.key, backends.ErrShort, r.left)
	}
	if err == io.EOF || err == nil {
		return err
	}
	return fmt.Errorf("read %s: %w", r.key, fault(err))
}

// sliceBytes is how much is handed to an io.ReaderFrom before looking at the
// context again.
const sliceBytes = 64 << 20

// WriteTo implements io.WriterTo. A destination that is an io.ReaderFrom is given
// the file itself, which is how the kernel sends it to a socket (sendfile).
func (r *reader) WriteTo(w io.Writer) (written int64, err error) {
	to, ok := w.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{w}, struct{ io.Reader }{r})
	}
	for r.left > 0 {
		if err := r.ctx.Err(); err != nil {
			return written, err
		}
		part := min(r.left, sliceBytes)
		n, err := to.ReadFrom(&io.LimitedReader{R: r.file, N: part})
		r.left -= n
		written += n
		if err == nil && n < part {
			err = r.ended(io.EOF)
		}
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	if err := r.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("close %s: %w", r.key, err)
	}
	return nil
}
