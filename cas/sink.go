package cas

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
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

// ReadFrom hands the source on to a writer that can take it. A file is handed on
// as it is, which is how it goes to a socket without passing through the program;
// any other source is watched for its own error.
func (s *sink) ReadFrom(r io.Reader) (int64, error) {
	to, ok := s.w.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{s}, r)
	}
	if isFile(r) {
		n, err := to.ReadFrom(r)
		if err != nil && !ofFile(err) {
			s.err = err
		}
		return n, err
	}
	source := &watched{r: r}
	n, err := to.ReadFrom(source)
	if err != nil && err != source.err {
		s.err = err
	}
	return n, err
}

func isFile(r io.Reader) bool {
	if l, ok := r.(*io.LimitedReader); ok {
		r = l.R
	}
	_, ok := r.(*os.File)
	return ok
}

// ofFile reports whether an error of sending a file is the file's. The system
// call reports the faults of both sides; EIO is the file's, since a socket never
// has it.
func ofFile(err error) bool {
	var ofPath *fs.PathError
	return errors.Is(err, syscall.EIO) || errors.As(err, &ofPath)
}

// watched is a reader that remembers its own error.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != io.EOF {
		w.err = err
	}
	return n, err
}
