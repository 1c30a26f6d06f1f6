package cas

import (
	"context"
	"io"

	"artifactstore/cas/digest"
)

// streamDepth is how many buffers one upload may have under way. Two let the
// hashes and the writes overlap; two more smooth over a slow write.
const streamDepth = 4

// stream copies r, of which the put's first buffer is full, to w and through the
// put's hasher. It gives every buffer back before it returns, and the hasher has
// then seen all that w has.
func (p *put) stream(ctx context.Context, r io.Reader, w io.Writer) error {
	l := startLine(p.buffers, p.hash, p.first)
	p.first = nil
	defer l.stop()
	for n, last := bufferBytes, false; ; {
		if _, err := w.Write(l.hash(n)); err != nil {
			return backendError("write upload", p.backendID, err)
		}
		if last {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return &SourceError{err}
		}
		var err error
		n, err = fill(r, l.buffer())
		last = err == io.EOF
		if n == 0 && last {
			return nil
		}
		if err != nil && !last {
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
	mine *[bufferBytes]byte // the buffer in the caller's hands, nil when it has none
	lent int                // buffers this upload has, in whosever hands
}

type chunk struct {
	buf *[bufferBytes]byte
	n   int
}

// startLine takes over a first buffer, which the caller already has.
func startLine(pool *buffers, h *digest.Hasher, first *[bufferBytes]byte) *line {
	l := &line{
		pool: pool,
		work: make(chan chunk, streamDepth),
		free: make(chan *[bufferBytes]byte, streamDepth),
		mine: first,
		lent: 1,
	}
	go func() {
		for c := range l.work {
			h.Write(c.buf[:c.n])
			l.free <- c.buf
		}
	}()
	return l
}

// hash gives the first n bytes of the caller's buffer to the hasher and returns
// them, to be read until the next call of buffer.
func (l *line) hash(n int) []byte {
	buf := l.mine
	l.mine = nil
	l.work <- chunk{buf, n}
	return buf[:n]
}

// buffer returns a buffer to read into: one that is hashed, or one more from the
// pool while that costs nobody a wait, or the next that the hasher is done with.
// Where another transfer waits for its first, this one gives back all it can do
// without.
func (l *line) buffer() []byte {
	for l.lent > 1 && l.pool.wanted() {
		l.pool.giveBack(<-l.free)
		l.lent--
	}
	l.mine = l.next()
	return l.mine[:]
}

func (l *line) next() *[bufferBytes]byte {
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

// stop waits for the hasher and gives all buffers back.
func (l *line) stop() {
	close(l.work)
	if l.mine != nil {
		l.free <- l.mine
	}
	for range l.lent {
		l.pool.giveBack(<-l.free)
	}
}

// idleReads is how often in a row a reader may return nothing without an error,
// as in package bufio.
const idleReads = 100

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
			if idle++; idle == idleReads {
				return n, &SourceError{io.ErrNoProgress}
			}
		}
	}
	return n, nil
}
