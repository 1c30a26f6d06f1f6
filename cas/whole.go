package cas

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"artifactstore/cas/digest"
)

// whole compares a body that is read from its first byte to its last with the
// blob's BLAKE3, so that no reader is given a complete body with a wrong byte. Where a
// backend's bytes pass through the program they are hashed on their way; a file that
// the kernel sends does not. One that was changed since it was written is not left to the
// kernel; what a disk loses without a trace is what verification is for.
type whole struct {
	hash *digest.Check
	at   int64 // bytes seen
	from []int // the locations that gave them
}

// errWrongBytes means that the bytes read are not the blob's.
var errWrongBytes = errors.New("the stored bytes are not the blob's")

// watch begins to hash at the first byte of a blob.
func (b *Blob) watch() {
	switch {
	case b.off > 0 || b.whole != nil && b.whole.at == 0:
	case b.whole != nil: // read before, and read again
		b.whole.hash.Reset()
		b.whole.at, b.whole.from = 0, nil
	default:
		b.whole = &whole{hash: digest.NewCheck()}
	}
}

// unwatch ends the hashing: what was read is not a whole body.
func (b *Blob) unwatch() {
	if b.whole != nil {
		b.whole.hash.Release()
		b.whole = nil
	}
}

// see takes the next bytes, before anybody is given them. With the last of them
// it decides: the locations that gave a wrong body are to be examined and the last
// of them is left. Where some of it was given away, there is no more to read.
func (b *Blob) see(p []byte) error {
	w := b.whole
	if w == nil {
		return nil
	}
	if w.at != b.off { // there was a seek
		b.unwatch()
		return nil
	}
	w.hash.Write(p)
	w.at += int64(len(p))
	if !slices.Contains(w.from, b.next) {
		w.from = append(w.from, b.next)
	}
	if w.at < b.Size {
		return nil
	}
	defer b.unwatch()
	if w.hash.Sum() == b.BLAKE3 {
		return nil
	}
	for _, i := range w.from {
		b.store.doubtLater(b.Blob, b.Locations[i])
	}
	b.closeReader()
	b.next++
	if b.off > 0 {
		b.rotten = fmt.Errorf("%s: %w: %w", b.SHA256, ErrBlobUnavailable, errWrongBytes)
	}
	return errWrongBytes
}

// copyThrough copies what rc still gives to out through a buffer, in full ones, so
// that a blob of one buffer is judged before a byte of it has left. It advances the
// blob. An error is the reader's, or of wrong bytes; out has its own.
func (b *Blob) copyThrough(out *sink) (written int64, err error) {
	buf, err := b.store.buffers.take(b.ctx)
	if err != nil {
		return 0, err
	}
	defer b.store.buffers.giveBack(buf)
	for b.left > 0 {
		n, err := fill(b.rc, buf[:min(bufferBytes, b.left)])
		if wrong := b.see(buf[:n]); wrong != nil {
			return written, wrong
		}
		m, failed := out.Write(buf[:n])
		b.advance(int64(m))
		written += int64(m)
		if failed != nil || err != nil {
			return written, cause(err)
		}
	}
	return written, nil
}

// hold reads and judges the whole body that rc gives, and puts it in the place of rc.
// It returns false where the location gave none, or a wrong one, and was left.
func (b *Blob) hold() (bool, error) {
	buf, err := b.store.buffers.take(b.ctx)
	if err != nil {
		return false, err
	}
	body := &held{buffers: b.store.buffers, buf: buf}
	n, err := fill(b.rc, buf[:b.left])
	b.watch()
	switch {
	case err != nil && int64(n) < b.left:
		b.failed(cause(err))
	case b.see(buf[:n]) == nil:
		b.rc.Close()
		body.Reader = bytes.NewReader(buf[:n])
		b.rc = body
		return true, nil
	}
	return false, body.Close()
}

// held is a body in a buffer, which it gives back. As an io.WriterTo it needs no
// other to be copied.
type held struct {
	*bytes.Reader
	buffers *buffers
	buf     *[bufferBytes]byte
}

// Close implements io.Closer.
func (h *held) Close() error {
	h.buffers.giveBack(h.buf)
	return nil
}

// cause returns what a reader that fill read from failed with.
func cause(err error) error {
	var source *SourceError
	if errors.As(err, &source) {
		return source.Err
	}
	return err
}

// passesThrough reports whether the bytes of the reader pass through the program.
func passesThrough(r io.Reader) bool {
	_, fast := r.(io.WriterTo)
	return !fast
}
