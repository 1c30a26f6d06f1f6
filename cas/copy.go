package cas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"artifactstore/backends"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// copier makes blobs stored on more backends. A copy is hashed on its way, so what
// is recorded is the blob:
//
//	Open ─► hash ─► Begin, Write …, Commit ─► location_recorded, or location_repaired
//
// A crash in between leaves staged bytes, or an object without a row; the next copy
// writes over it. Its methods may be called by several goroutines.
type copier struct {
	*Store
	pace *pace
	by   string // the actor of its events

	copies, bytes atomic.Int64 // made

	mu       sync.Mutex
	failures map[string]int       // of a backend in a row
	resting  map[string]time.Time // until when a backend is left alone
}

func (s *Store) newCopier(bytesPerSecond int64, by string) *copier {
	return &copier{
		Store: s, by: by, pace: &pace{rate: bytesPerSecond, now: time.Now, wait: s.sleep},
		failures: map[string]int{}, resting: map[string]time.Time{},
	}
}

// restTime is how long a backend that fails again and again is left alone.
const restTime = time.Minute

// errResting means that a backend has failed again and again just now.
var errResting = errors.New("it is left alone for now, because it fails")

// copyAll makes a blob stored on all the desired backends, as far as it can be: it
// returns what was made, what is left, and why. An error is one that ends the run.
func (c *copier) copyAll(ctx context.Context, b registry.Blob, desired []string) (made, left []string, why, err error) {
	for _, id := range missing(b, desired) {
		err := c.copyTo(ctx, b, id)
		switch {
		case err == nil:
			made = append(made, id)
		case ctx.Err() != nil:
			return made, left, why, context.Cause(ctx)
		case errors.Is(err, ErrRegistryUnavailable):
			return made, left, why, err
		case errors.Is(err, ErrBlobUnavailable) && !c.readableNow(ctx, b.SHA256):
			// Not a copy that is missing: all there was has failed. Repair lists it.
		default:
			left, why = append(left, id), err
		}
	}
	return made, left, why, nil
}

// readableNow reports whether a blob still has a stored location; where that is not
// known, yes.
func (s *Store) readableNow(ctx context.Context, blob digest.Digest) bool {
	b, err := s.reg.Blob(ctx, blob)
	return readable(b) != "" || err != nil && !errors.Is(err, fs.ErrNotExist)
}

// copyTo makes a blob, as the registry has it, stored on a backend. Where nothing
// has it to copy from it is ErrBlobUnavailable.
func (c *copier) copyTo(ctx context.Context, b registry.Blob, to string) error {
	if c.rests(to) {
		return backendError("copy "+b.SHA256.String(), to, errResting)
	}
	if removing, err := c.removing(ctx, b.SHA256, to); err != nil || removing {
		return errors.Join(err, fmt.Errorf("copy %s to %s: %w", b.SHA256, to, ErrRemoving))
	}
	seen, err := c.seen(ctx)
	if err != nil {
		return err
	}
	away := fmt.Errorf("copy %s to %s: %w", b.SHA256, to, ErrBlobUnavailable)
	for _, at := range b.Locations {
		if at.State != registry.Stored || at.BackendID == to {
			continue
		}
		err := c.transfer(ctx, b.Identity, at.BackendID, to)
		if err == nil {
			return c.copied(ctx, b, at.BackendID, to, seen)
		}
		if err := c.blame(ctx, b, at, to, err); err != nil {
			return err
		}
		away = errors.Join(away, fmt.Errorf("from %s: %w", at.BackendID, err))
	}
	return away
}

// transfer writes a blob from one backend to another. It is a *SourceError where
// from does not have it.
func (c *copier) transfer(ctx context.Context, id digest.Identity, from, to string) error {
	source := c.backend(from)
	if source == nil {
		return &SourceError{fmt.Errorf("%w: %q", ErrBackendUnknown, from)}
	}
	if c.rests(from) {
		return &SourceError{errors.Join(errResting, backends.ErrUnavailable)}
	}
	rc, err := source.Open(ctx, id.SHA256.Key(), 0, -1)
	if err != nil {
		return &SourceError{err}
	}
	defer rc.Close()
	err = c.write(ctx, id, &pacedReader{rc, ctx, c.pace}, to)
	if err == nil {
		c.worked(from)
		c.worked(to)
	}
	return err
}

// pacedReader reads at a bounded rate.
type pacedReader struct {
	io.Reader
	ctx  context.Context
	pace *pace
}

// Read implements io.Reader.
func (r *pacedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if wait := r.pace.take(r.ctx, n); wait != nil {
		return n, wait
	}
	return n, err
}

// blame looks after what went wrong with a copy. It returns nil where another source
// may do: one that does not have the blob is examined, and so marked as failed.
func (c *copier) blame(ctx context.Context, b registry.Blob, at registry.Location, to string, err error) error {
	var source *SourceError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.As(err, &source):
		c.failed(to)
		return err
	case errors.Is(err, backends.ErrUnavailable):
		c.failed(at.BackendID)
		return nil
	case c.backend(at.BackendID) == nil:
		return nil
	}
	return c.doubtAtPace(ctx, b, at, c.by, c.pace)
}

// copied records a copy. Where somebody else's came first, that is as good.
func (c *copier) copied(ctx context.Context, b registry.Blob, from, to string, seen uint64) error {
	c.copies.Add(1)
	c.bytes.Add(b.Size)
	if stateOn(b, to) == registry.Failed {
		return c.repaired(ctx, b.SHA256, to, sourceBackend+from, seen, c.by)
	}
	err := c.append(ctx, event(c.by, registry.LocationRecorded{Blob: b.SHA256, BackendID: to, Seen: seen}))
	if !errors.Is(err, registry.ErrConflict) {
		return registryError("record the copy of "+b.SHA256.String(), err)
	}
	now, err := c.reg.Blob(ctx, b.SHA256)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return registryError("look up "+b.SHA256.String(), err)
	case stateOn(now, to) == registry.Stored:
		return nil
	}
	return fmt.Errorf("copy %s to %s: %w", b.SHA256, to, ErrRemoving)
}

func (c *copier) rests(backendID string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resting[backendID].After(c.now())
}

func (c *copier) failed(backendID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures[backendID]++; c.failures[backendID] >= enoughFailures {
		c.resting[backendID] = c.now().Add(restTime)
	}
}

func (c *copier) worked(backendID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures[backendID] = 0
}

// crew does several things at once, until one of them fails.
type crew struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	all    sync.WaitGroup
	free   chan struct{}
}

func newCrew(ctx context.Context, atOnce int) *crew {
	ctx, cancel := context.WithCancelCause(ctx)
	return &crew{ctx: ctx, cancel: cancel, free: make(chan struct{}, atOnce)}
}

// do does something as soon as somebody is free, and nothing after a failure.
func (c *crew) do(f func(context.Context) error) {
	select {
	case <-c.ctx.Done():
		return
	case c.free <- struct{}{}:
	}
	c.all.Go(func() {
		defer func() { <-c.free }()
		if err := f(c.ctx); err != nil {
			c.cancel(err)
		}
	})
}

// wait waits for what is being done and returns why it was not all done.
func (c *crew) wait() error {
	c.all.Wait()
	err := context.Cause(c.ctx)
	c.cancel(nil)
	return err
}
