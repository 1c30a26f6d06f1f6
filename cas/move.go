package cas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// A move does what a [Plan] says, a blob at a time, and each step can be the last of
// its process:
//
//	copy     what is missing where the routing wants the blob, hashed on the way
//	verify   read back every location that stays and was never verified
//	switch   location_removing (moved): from now on nobody is sent to the old one
//	remove   Delete → location_removed
//
// The old location goes when all that stay have been there for the grace. A run that
// comes earlier copies, and a later one goes on. The registry begins no removal without
// another stored location. What a run has left of removals, a collection ends.
const turnMove = "move"

// MoveOptions say how blobs are moved.
type MoveOptions struct {
	// Grace is how long every new location must have been there before an old one is
	// removed; 0 is the grace of collection, less than nothing is none.
	Grace          time.Duration
	BytesPerSecond int64  // of all copies and of what is read back together; 0 is no bound
	Concurrency    int    // blobs at once; 0 is 4
	By             string // the actor of its events; "" is the gateway
	// Progress, which may be nil, is told from time to time how far the run is, from 0 to 1.
	Progress func(done float64, so MoveReport)
	// Waiting, which may be nil, is told who is at it, where somebody is.
	Waiting func(*TakenError)
}

// MoveReport is what a run did. One that goes on with another says what it did itself.
type MoveReport struct {
	Copied       int64            `json:"copied"`
	CopiedBytes  int64            `json:"copied_bytes"`
	Removed      int64            `json:"removed"` // old locations
	RemovedBytes int64            `json:"removed_bytes"`
	Left         int64            `json:"left"`               // blobs that could not be moved; a later run tries again
	LeftWhy      string           `json:"left_why,omitempty"` // of one of them
	Waiting      int64            `json:"waiting"`            // old locations whose grace is not over
	Until        time.Time        `json:"until,omitzero"`     // when the last of these may go
	Failed       map[string]int64 `json:"failed,omitempty"`   // deletes, by backend; a collection goes on with them
}

// Move brings every blob where the routing wants it and takes it away from where it
// does not. It waits for its turn, and goes on with a run that was not finished.
func (s *Store) Move(ctx context.Context, o MoveOptions) (report MoveReport, err error) {
	switch {
	case o.Grace == 0:
		o.Grace = s.collection.grace()
	case o.Grace < 0:
		o.Grace = 0
	}
	if o.By == "" {
		o.By = actorGateway
	}
	if o.Concurrency == 0 {
		o.Concurrency = 4
	}
	err = s.WaitTurn(ctx, turnMove, o.Waiting, func(ctx context.Context, t *Turn) error {
		m := &mover{copier: s.newCopier(o.BytesPerSecond, o.By), o: o, turn: t, away: s.lookForAway(ctx)}
		err := m.run(ctx)
		report = m.report
		report.Copied, report.CopiedBytes = m.copies.Load(), m.bytes.Load()
		return err
	})
	return report, err
}

// mover is a run under way.
type mover struct {
	*copier
	o    MoveOptions
	turn *Turn
	away map[string]bool // backends from which nothing is removed in this run

	mu     sync.Mutex // guards what follows
	report MoveReport
	ready  []old // of the page
}

// old is a location that is to be removed.
type old struct {
	blob digest.Digest
	size int64
	on   string
}

func (m *mover) run(ctx context.Context) error {
	var after digest.Digest
	if state := m.turn.State(); len(state) > 0 {
		if err := json.Unmarshal(state, &after); err != nil {
			return fmt.Errorf("the state of %s is none: %w", turnMove, err)
		}
	}
	for {
		n, last, err := m.page(ctx, after)
		if err != nil {
			return err
		}
		if n < walkStep {
			m.turn.keep(nil)
			return nil
		}
		after = last
		state, err := json.Marshal(after)
		if err == nil {
			err = m.turn.SetState(ctx, state)
		}
		if err != nil {
			return err
		}
		if m.o.Progress != nil {
			so := m.report
			so.Copied, so.CopiedBytes = m.copies.Load(), m.bytes.Load()
			m.o.Progress(share(after), so)
		}
	}
}

// page moves some blobs, and returns how many and the last.
func (m *mover) page(ctx context.Context, after digest.Digest) (n int, last digest.Digest, err error) {
	work := newCrew(ctx, m.o.Concurrency)
	for b, err := range m.reg.Blobs(ctx, after) {
		if err != nil {
			work.cancel(registryError("walk blobs", err))
			break
		}
		work.do(func(ctx context.Context) error { return m.one(ctx, b) })
		last = b.SHA256
		if n++; n == walkStep {
			break
		}
	}
	if err := work.wait(); err != nil {
		return n, last, err
	}
	return n, last, m.remove(ctx)
}

// one copies a blob to where it is wanted, and notes what may be removed then.
func (m *mover) one(ctx context.Context, b registry.Blob) error {
	w, err := m.wanted(ctx, b)
	if err != nil {
		return err
	}
	_, left, why, err := m.copyAll(ctx, b, w.routed)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		m.leave(why)
		return nil
	}
	leaving := m.leaving(b, w)
	if len(leaving) == 0 {
		return nil
	}
	proven, err := m.proven(ctx, b.SHA256, w.routed, len(leaving))
	if err != nil || !proven {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range leaving {
		m.ready = append(m.ready, old{b.SHA256, b.Size, id})
	}
	return nil
}

func (m *mover) leave(why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report.Left++
	m.report.LeftWhy = why.Error()
}

// proven reports whether all locations that stay have been there for the grace and
// are known to be right.
func (m *mover) proven(ctx context.Context, blob digest.Digest, stay []string, leaving int) (bool, error) {
	b, err := m.reg.Blob(ctx, blob)
	if err != nil {
		return false, unlessCollected(blob, err)
	}
	var newest time.Time
	for _, id := range stay {
		if l := locationOn(b, id); l != nil && l.RecordedAt.After(newest) {
			newest = l.RecordedAt
		}
	}
	if due := newest.Add(m.o.Grace); due.After(m.now()) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.report.Waiting += int64(leaving)
		if due.After(m.report.Until) {
			m.report.Until = due
		}
		return false, nil
	}
	for _, id := range stay {
		if l := locationOn(b, id); l != nil && l.State == registry.Stored && l.VerifiedAt.IsZero() {
			if err := m.doubtAtPace(ctx, b, *l, m.o.By, m.pace); err != nil {
				return false, err
			}
		}
	}
	if b, err = m.reg.Blob(ctx, blob); err != nil {
		return false, unlessCollected(blob, err)
	}
	for _, id := range stay {
		if l := locationOn(b, id); l == nil || l.State != registry.Stored || l.VerifiedAt.IsZero() {
			m.leave(fmt.Errorf("%s on %s could not be verified", blob, id))
			return false, nil
		}
	}
	return true, nil
}

func unlessCollected(blob digest.Digest, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return registryError("look up "+blob.String(), err)
}

// remove removes the old locations of a page.
func (m *mover) remove(ctx context.Context) error {
	list := m.ready
	m.ready = nil
	if len(list) == 0 {
		return nil
	}
	report := CollectReport{Failed: m.report.Failed}
	err := m.asRemover(ctx, &report, m.away, func(ctx context.Context, r *remover) error {
		var events []registry.LocationRemoving
		for _, o := range list {
			if !r.leftAlone(o.on) {
				events = append(events, registry.LocationRemoving{Blob: o.blob, BackendID: o.on, Cause: registry.Moved})
			}
		}
		begun, err := r.begin(ctx, events)
		if err != nil {
			return err
		}
		gone, err := r.delete(ctx, begun)
		if err != nil {
			return err
		}
		for _, one := range gone {
			i := slices.IndexFunc(list, func(o old) bool { return o.blob == one.Blob && o.on == one.BackendID })
			m.report.Removed++
			m.report.RemovedBytes += list[i].size
		}
		_, err = r.end(ctx, gone, nil)
		return err
	})
	m.report.Failed = maps.Clone(report.Failed)
	return err
}
