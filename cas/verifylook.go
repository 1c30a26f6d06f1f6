package cas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"artifactstore/backends"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// examiner reads objects to find out whether they are what they should be. It
// belongs to one goroutine.
type examiner struct {
	b    backends.Backend
	pace *pace
	wait func(context.Context, time.Duration) error
	hash *digest.Hasher
	buf  []byte
}

func (s *Store) newExaminer(b backends.Backend, p *pace) *examiner {
	return &examiner{b: b, pace: p, wait: s.sleep, hash: digest.NewHasher(), buf: make([]byte, bufferBytes)}
}

// patience are the pauses before a backend that did not answer is asked again. An
// object is given up after the last; the pauses together are longer than most
// services need to start anew.
var patience = []time.Duration{
	200 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second,
}

// look reads an object whole and compares it with an identity. A read that breaks
// is gone on with at the byte where it broke. An error is the context's, or
// ErrBackendUnavailable where the backend as a whole does not work.
func (x *examiner) look(ctx context.Context, id digest.Identity) (Result, error) {
	x.hash.Reset()
	for try := 0; ; try++ {
		err := x.stream(ctx, id)
		if r, ok := x.result(id, err); ok {
			return r, nil
		}
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if try == len(patience) {
			return x.giveUp(ctx, err)
		}
		if x.wait(ctx, patience[try]) != nil {
			return "", context.Cause(ctx)
		}
	}
}

// stream hashes an object from the byte where the hash is, and one byte more than
// it should have at most.
func (x *examiner) stream(ctx context.Context, id digest.Identity) error {
	rc, err := x.b.Open(ctx, id.SHA256.Key(), x.hash.Size(), -1)
	if err != nil {
		return err
	}
	defer rc.Close()
	for idle := 0; x.hash.Size() <= id.Size; {
		n, err := rc.Read(x.buf[:min(int64(len(x.buf)), id.Size+1-x.hash.Size())])
		x.hash.Write(x.buf[:n])
		switch {
		case err == io.EOF:
			return x.pace.take(ctx, n)
		case err != nil:
			return err
		case n > 0:
			idle = 0
		default:
			if idle++; idle > idleReads {
				return io.ErrNoProgress
			}
		}
		if err := x.pace.take(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// result judges what was read, false where a read must be tried again.
func (x *examiner) result(id digest.Identity, err error) (Result, bool) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Missing, true
	case errors.Is(err, backends.ErrShort):
		return Truncated, true
	case err != nil:
		return "", false
	case x.hash.Size() < id.Size:
		return Truncated, true
	case x.hash.Identity() != id:
		return Mismatch, true
	}
	return Intact, true
}

// giveUp decides over an object that could not be read for as long as patience
// lasts. Where the backend says that it is well, or full, it is this object's fault.
func (x *examiner) giveUp(ctx context.Context, err error) (Result, error) {
	health := x.b.Health(ctx)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case health != nil && !OnlyFull(health):
		return "", fmt.Errorf("%w: %w", ErrBackendUnavailable, health)
	case errors.Is(err, backends.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return Undecided, nil
	}
	return Unreadable, nil
}

// examine looks at a location, and where it seems to have failed, asks the registry
// again and looks a second time. One that is known to have failed is taken at its word.
func (s *Store) examine(ctx context.Context, x *examiner, b registry.Blob, l registry.Location) (Result, error) {
	r, err := x.look(ctx, b.Identity)
	if err != nil || !r.IsFailure() || l.State == registry.Failed {
		return r, err
	}
	now, err := s.reg.Blob(ctx, b.SHA256)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", registryError("look up "+b.SHA256.String(), err)
	}
	if at := locationOn(now, l.BackendID); at == nil || !at.RecordedAt.Equal(l.RecordedAt) {
		return Changed, nil
	}
	return x.look(ctx, b.Identity)
}

// locationOn returns a blob's location on a backend, nil without one.
func locationOn(b registry.Blob, backendID string) *registry.Location {
	for i := range b.Locations {
		if b.Locations[i].BackendID == backendID {
			return &b.Locations[i]
		}
	}
	return nil
}
