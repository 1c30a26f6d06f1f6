package cas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"artifactstore/backends"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// Blob is a stored blob opened for reading: an io.ReadSeekCloser that opens
// nothing before a byte is wanted. When a location fails, before the first byte
// or in the middle, it goes on from the next one at the same offset; a location
// whose object is missing or too short is recorded as failed. It ends early
// only with an error, never with a clean io.EOF.
//
// A body that is read from its first byte to its last and passes through the
// program is compared with the blob's digest: one with a wrong byte never ends
// well. What is sent from a file by the kernel is not looked at, and only a file that
// nothing has changed since it was written is sent so.
//
// Its methods may be called by one goroutine at a time, except Close.
type Blob struct {
	registry.Blob

	store  *Store
	ctx    context.Context // of the request that reads, until Close
	cancel context.CancelFunc

	mu   sync.Mutex // guards what follows; Close may come from another goroutine
	off  int64      // where the next byte is read
	next int        // locations before this one have failed on us
	rc   io.ReadCloser
	left int64 // bytes that rc will still give; 0 without rc
	away error // of a location that failed on us without proof against its bytes
	done bool
	// whole, where not nil, hashes a body that is read from its first byte on.
	whole  *whole
	rotten error // why nothing more can be given: what was given is wrong
}

// Open finds a blob by any of its digests. The context is used by all later
// reads. A blob that the store does not keep is ErrBlobUnknown; one that has no
// stored location is ErrBlobUnavailable.
func (s *Store) Open(ctx context.Context, d digest.Digest) (*Blob, error) {
	b, err := s.lookUp(ctx, d)
	if err != nil {
		return nil, err
	}
	return s.reader(ctx, b)
}

// reader opens a blob that was looked up.
func (s *Store) reader(ctx context.Context, b registry.Blob) (*Blob, error) {
	if readable(b) == "" {
		return nil, fmt.Errorf("%s: %w", b.SHA256, ErrBlobUnavailable)
	}
	b.Locations = s.away.last(b.Locations, s.now())
	ctx, cancel := context.WithCancel(ctx)
	return &Blob{Blob: b, store: s, ctx: ctx, cancel: cancel}, nil
}

// lookUp returns a blob that something keeps.
func (s *Store) lookUp(ctx context.Context, d digest.Digest) (registry.Blob, error) {
	b, err := s.reg.Blob(ctx, d)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && b.References == 0 && !b.LeasedUntil.After(s.now())) {
		return registry.Blob{}, fmt.Errorf("%s: %w", d, ErrBlobUnknown)
	}
	return b, registryError("look up "+d.String(), err)
}

// Seek implements io.Seeker. It does no I/O.
func (b *Blob) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += b.off
	case io.SeekEnd:
		offset += b.Size
	case io.SeekStart:
	default:
		return 0, fmt.Errorf("seek blob: whence %d", whence)
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek blob to %d: before the start", offset)
	}
	if offset != b.off {
		b.closeReader()
	}
	b.off = offset
	return offset, nil
}

// Read implements io.Reader.
func (b *Blob) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.off >= b.Size {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	for idle := 0; ; idle++ {
		if err := b.open(b.Size - b.off); err != nil {
			return 0, err
		}
		if passesThrough(b.rc) {
			b.watch()
		}
		n, err := b.rc.Read(p[:min(int64(len(p)), b.left)])
		if b.see(p[:n]) != nil {
			continue
		}
		b.advance(int64(n))
		if err == nil && n == 0 && idle >= idleReads {
			err = io.ErrNoProgress
		}
		if err != nil && b.left > 0 {
			b.failed(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// CopyTo writes the next n bytes to w, or those to the end if fewer are left,
// and returns how many. A location that offers a faster way out than Read (a
// file to a socket) uses it. An error of w ends the copy; an error of a location
// goes on with the next.
func (b *Blob) CopyTo(w io.Writer, n int64) (written int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(n, b.Size-b.off)
	out := &sink{w: w}
	for written < n {
		if b.left > n-written { // a copy takes all that a reader has
			b.closeReader()
		}
		if err := b.open(n - written); err != nil {
			return written, err
		}
		m, err := b.copyOut(out, n == b.Size)
		written += m
		switch {
		case out.err != nil:
			return written, out.err
		case err == errWrongBytes:
		case b.left > 0:
			b.failed(err)
		}
	}
	return written, nil
}

// copyOut copies what rc still gives to out and advances. Where a whole body passes
// through the program, and where the beginning of one has, it is compared with its
// digest before the last of it leaves.
func (b *Blob) copyOut(out *sink, all bool) (int64, error) {
	if all && passesThrough(b.rc) {
		b.watch()
	}
	if b.whole != nil {
		return b.copyThrough(out)
	}
	n, err := b.store.copyOut(b.ctx, out, b.rc)
	b.advance(n)
	return n, err
}

// Prepare opens a location for the next n bytes, or those to the end if fewer
// are left, so that a caller can learn that there is one before it promises the
// bytes to somebody. It reads none, but for a whole body of one buffer that is
// to be compared with its digest: that is then held until it is read.
func (b *Blob) Prepare(n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n = min(n, b.Size-b.off); n <= 0 {
		return nil
	}
	for {
		if err := b.open(n); err != nil || n < b.Size || n > bufferBytes || !passesThrough(b.rc) {
			return err
		}
		if held, err := b.hold(); held || err != nil {
			return err
		}
	}
}

// Close ends reading. It may be called twice, and while another goroutine reads.
func (b *Blob) Close() error {
	b.cancel()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	b.closeReader()
	b.unwatch()
	return nil
}

// open makes rc a reader at off, of the next n bytes where there is none yet,
// trying the locations in turn. It asks for exactly the bytes wanted, so that a
// backend can tell at once when its object is too short for them.
func (b *Blob) open(n int64) error {
	switch {
	case b.done:
		return fs.ErrClosed
	case b.rotten != nil:
		return b.rotten
	}
	if b.left > 0 {
		return nil
	}
	b.closeReader()
	for ; b.next < len(b.Locations); b.next++ {
		l := b.Locations[b.next]
		if l.State != registry.Stored {
			continue
		}
		rc, err := b.openAt(l, n)
		if err == nil {
			b.rc, b.left = rc, n
			b.store.away.worked(l.BackendID)
			return nil
		}
		if b.ctx.Err() != nil {
			return b.ctx.Err()
		}
		b.judge(l, err)
	}
	if b.away != nil {
		return fmt.Errorf("%s: %w: %w", b.SHA256, ErrBackendUnavailable, b.away)
	}
	return fmt.Errorf("%s: %w", b.SHA256, ErrBlobUnavailable)
}

func (b *Blob) openAt(l registry.Location, n int64) (io.ReadCloser, error) {
	backend := b.store.backend(l.BackendID)
	if backend == nil {
		return nil, fmt.Errorf("backend %q is not configured", l.BackendID)
	}
	rc, err := backend.Open(b.ctx, b.SHA256.Key(), b.off, n)
	if err == nil && touched(rc, l) {
		rc = struct{ io.ReadCloser }{rc} // past the program, which looks at it
	}
	return rc, err
}

// touched reports whether somebody has changed an object since the store wrote it.
func touched(rc io.ReadCloser, l registry.Location) bool {
	d, ok := rc.(backends.Dated)
	return ok && d.ChangedAt().After(l.RecordedAt)
}

func (b *Blob) advance(n int64) {
	b.off += n
	b.left -= n
}

// failed leaves the location that rc reads from, which ended with err before it
// gave all it should.
func (b *Blob) failed(err error) {
	if err == nil || err == io.EOF {
		err = backends.ErrShort
	}
	if b.ctx.Err() == nil {
		b.judge(b.Locations[b.next], err)
	}
	b.closeReader()
	b.next++
}

// judge records a location as failed where the error says that its object is
// missing or too short: a backend that cannot be reached proves nothing about
// the bytes.
func (b *Blob) judge(l registry.Location, err error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		b.store.markFailed(b.ctx, b.SHA256, l, registry.Missing)
	case errors.Is(err, backends.ErrShort):
		b.store.markFailed(b.ctx, b.SHA256, l, registry.Truncated)
	default:
		if errors.Is(err, backends.ErrUnavailable) {
			b.store.away.failed(l.BackendID, b.store.now())
		}
		b.away = err
		b.store.log.WarnContext(b.ctx, "read failed; trying another location",
			"blob", b.SHA256.String(), "backend_id", l.BackendID, "error", err)
	}
}

func (b *Blob) closeReader() {
	if b.rc != nil {
		b.rc.Close()
	}
	b.rc, b.left = nil, 0
}

// markTimeout bounds how long a reader waits for its finding to be recorded.
const markTimeout = 10 * time.Second

// markFailed records that a stored location no longer has the blob's bytes. The
// event names the write that the reader saw, so that what a push has repaired
// since has not failed.
func (s *Store) markFailed(ctx context.Context, blob digest.Digest, seen registry.Location, reason registry.Reason) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
	defer cancel()
	log := s.log.With("blob", blob.String(), "backend_id", seen.BackendID, "reason", string(reason))
	err := s.append(ctx, event(actorGateway, registry.LocationFailed{
		Blob: blob, BackendID: seen.BackendID, Reason: reason, RecordedAt: seen.RecordedAt,
	}))
	switch {
	case errors.Is(err, registry.ErrConflict): // found by another reader too, or repaired
	case err != nil:
		log.ErrorContext(ctx, "a location failed and could not be recorded", "error", err)
	default:
		log.ErrorContext(ctx, "a location failed")
	}
}

// actorGateway is the actor of what the gateway itself finds out.
const actorGateway = "gateway"
