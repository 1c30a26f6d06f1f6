package cas

import (
	"context"
	"io"

	"artifactstore/cas/digest"
)

// streamDepth is how many buffers one upload may have under way. Two let the
// hashes and the writes overlap; two more smooth over a slow write.
const streamDepth = 4

// stream copies r, of which first holds the first full buffer, to w and through
// the put's hasher. It gives every buffer back before it returns, and the
// hasher has then seen all that w has.
func (p *put) stream(ctx context.Context, r io.Reader, first *[bufferBytes]byte, w io.Writer) error {
	l := startLine(p.buffers, p.hash)
	defer l.stop()
	buf, n, last := first, bufferBytes, false
	for {
		l.work <- chunk{buf, n}
		if _, err := w.Write(buf[:n]); err != nil {
			return backendError("write upload", p.backendID, err)
		}
		if last {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return &SourceError{err}
		}
		buf = l.buffer()
		var err error
		n, err = fill(r, buf[:])
		last = err == io.EOF
		if n == 0 || (err != nil && !last) {
			l.free <- buf
			if last {
				return nil
			}
			return err
		}
	}
}

// line is the assembly line of one upload: the caller reads and writes, a
// goroutine hashes. Hashing takes longer than either, so the upload goes as
// fast as the two hashes do. A buffer is the hasher's from work to free; the
// caller may still read from it meanwhile.
type line struct {
	pool *buffers
	work chan chunk
	free chan *[bufferBytes]byte
	lent int // buffers this upload has, in whosever hands
}

type chunk struct {
	buf *[bufferBytes]byte
	n   int
}

// startLine takes over a first buffer, which the caller already has.
func startLine(pool *buffers, h *digest.Hasher) *line {
	l := &line{pool, make(chan chunk, streamDepth), make(chan *[bufferBytes]byte, streamDepth), 1}
	go func() {
		for c := range l.work {
			h.Write(c.buf[:c.n])
			l.free <- c.buf
		}
	}()
	return l
}

// buffer returns a hashed buffer, or borrows one more while that costs nobody a
// wait, or waits for the hasher.
func (l *line) buffer() *[bufferBytes]byte {
	select {
	case buf := <-l.free:
		return buf
	default:
	}
	if l.lent < streamDepth {
		if buf := l.pool.tryTake(); buf != nil {
			l.lent++
			return buf
		}
	}
	return <-l.free
}

// stop waits for the hasher and gives all buffers back. The caller has none.
func (l *line) stop() {
	close(l.work)
	for range l.lent {
		l.pool.giveBack(<-l.free)
	}
}

// fill reads until p is full (nil) or r ends (io.EOF). Any other end of r is a
// *SourceError: io.ReadFull would make a torn stream look like a finished one.
func fill(r io.Reader, p []byte) (n int, err error) {
	for idle := 0; n < len(p); {
		m, err := r.Read(p[n:])
		n += m
		switch {
		case err == io.EOF:
			return n, io.EOF
		case err != nil:
			return n, &SourceError{err}
		case m > 0:
			idle = 0
		default:
			if idle++; idle == 100 {
				return n, &SourceError{io.ErrNoProgress}
			}
		}
	}
	return n, nil
}
