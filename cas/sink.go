package cas

import (
	"context"
	"errors"
	"io"
	"syscall"
)

// copyOut copies all of r to w. A reader that is an io.WriterTo knows a faster
// way; any other is copied through a buffer of the store's.
func (s *Store) copyOut(ctx context.Context, w *sink, r io.Reader) (int64, error) {
	if fast, ok := r.(io.WriterTo); ok {
		return fast.WriteTo(w)
	}
	buf, err := s.buffers.take(ctx)
	if err != nil {
		return 0, err
	}
	defer s.buffers.giveBack(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, r, buf[:])
}

// sink is a writer that remembers its own error, so that after a copy the
// writer's fault can be told from the reader's: the one ends the copy, the
// other is what a second location is for.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	s.err = err
	return n, err
}

// ReadFrom hands the source itself to a writer that can take it, which is how a
// file goes to a socket without passing through the program. The system call
// behind that reports the faults of both sides; EIO is the file's, since a
// socket never has it.
func (s *sink) ReadFrom(r io.Reader) (int64, error) {
	from, ok := s.w.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{s}, r)
	}
	n, err := from.ReadFrom(r)
	if err != nil && !errors.Is(err, syscall.EIO) {
		s.err = err
	}
	return n, err
}
