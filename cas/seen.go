package cas

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// Collection deletes objects while uploads write them. What keeps an upload from
// acknowledging bytes that a delete takes is one number: the event that records
// a location says the position of the log that was known before its bytes were
// committed, and the registry refuses it while a removal of the object is under
// way or where one has ended after that position. Any position known before will
// do, an older one is only more cautious, so none is asked for on the way: the
// last one that this process has heard of is at hand.

// position is where the log was when this process last heard of it. It is not the highest
// position ever heard of: a log that a database's failover has cut short gives its
// last positions anew, and what was heard of the old ones would not be cautious.
type position struct{ known atomic.Uint64 }

func (p *position) saw(last uint64) { p.known.Store(last) }

// append adds events as [registry.Log.Append] does, and notes how far the log is.
func (s *Store) append(ctx context.Context, events ...registry.Event) error {
	last, err := s.reg.Append(ctx, events...)
	if err == nil {
		s.position.saw(last)
	}
	return err
}

// seen returns a position of the log that is known now. It is never 0, which would
// say that none is known: no removal ends at position 1, before any has begun.
func (s *Store) seen(ctx context.Context) (uint64, error) {
	if s.position.known.Load() == 0 {
		if err := s.look(ctx); err != nil {
			return 0, err
		}
	}
	return max(1, s.position.known.Load()), nil
}

// look asks the registry how far the log is.
func (s *Store) look(ctx context.Context) error {
	last, err := s.reg.Last(ctx)
	if err != nil {
		return registryError("read the log's position", err)
	}
	s.position.saw(last)
	return nil
}

// How long an upload waits for the end of a removal of its content, and how often
// it looks. It is shorter than the patience of common clients.
const (
	removalPatience = 20 * time.Second
	removalPause    = 100 * time.Millisecond
)

// afterRemoval waits until no removal of a blob from a backend is under way, and
// then asks how far the log is: bytes that are committed from here on say so.
func (s *Store) afterRemoval(ctx context.Context, blob digest.Digest, backendID string) error {
	for waited := time.Duration(0); ; waited += removalPause {
		removing, err := s.removing(ctx, blob, backendID)
		switch {
		case err != nil:
			return err
		case !removing:
			return s.look(ctx)
		case waited >= removalPatience:
			return fmt.Errorf("store %s on %s: %w", blob, backendID, ErrRemoving)
		}
		if err := s.sleep(ctx, removalPause); err != nil {
			return err
		}
	}
}

// removing reports whether a removal of a blob from a backend is under way.
func (s *Store) removing(ctx context.Context, blob digest.Digest, backendID string) (bool, error) {
	_, err := s.reg.Removal(ctx, blob, backendID)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, registryError("look up the removal of "+blob.String(), err)
}

// sleep waits for a time, or for the end of the context.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
