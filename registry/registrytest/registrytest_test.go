package registrytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// TestSuite runs the suite on the model itself: where this fails, the suite is
// wrong, or the model is.
func TestSuite(t *testing.T) {
	Run(t, func(t *testing.T) Opener {
		db := newMemory()
		return func(t *testing.T) registry.Registry { return &handle{memory: db} }
	})
}

// memory is a database made of a model, for this test alone.
type memory struct {
	mu      sync.Mutex
	log     []registry.Record
	model   registry.Model
	uploads map[string]registry.Upload
	claims  map[string]claimed
	keys    map[string]registry.SigningKey
	grown   chan struct{} // closed when the log grows
}

func newMemory() *memory {
	return &memory{uploads: map[string]registry.Upload{}, claims: map[string]claimed{}, keys: map[string]registry.SigningKey{}, grown: make(chan struct{})}
}

// handle is one opening of a memory.
type handle struct {
	*memory
	closed bool
}

func (h *handle) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	return nil
}

func (h *handle) Append(ctx context.Context, events ...registry.Event) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return 0, errors.New("closed")
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	if err := h.model.Apply(now, events...); err != nil {
		return 0, err
	}
	for _, e := range events {
		h.log = append(h.log, registry.Record{Position: uint64(len(h.log) + 1), Time: now, Event: e})
	}
	if len(events) > 0 {
		close(h.grown)
		h.grown = make(chan struct{})
	}
	return uint64(len(h.log)), nil
}

func (m *memory) Since(ctx context.Context, after uint64) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		for {
			m.mu.Lock()
			log := m.log
			m.mu.Unlock()
			if err := ctx.Err(); err != nil {
				yield(registry.Record{}, err)
				return
			}
			if after >= uint64(len(log)) || !yield(log[after], nil) {
				return
			}
			after++
		}
	}
}

func (m *memory) Last(context.Context) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.log)), nil
}

func (m *memory) Wait(ctx context.Context, after uint64) error {
	for {
		m.mu.Lock()
		last, grown := uint64(len(m.log)), m.grown
		m.mu.Unlock()
		if last > after {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *memory) Blob(_ context.Context, d digest.Digest) (registry.Blob, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.Blob(d)
}

func (m *memory) Blobs(ctx context.Context, after digest.Digest) iter.Seq2[registry.Blob, error] {
	return func(yield func(registry.Blob, error) bool) {
		m.mu.Lock()
		all := m.model.Blobs(after)
		m.mu.Unlock()
		for _, b := range all {
			if err := ctx.Err(); err != nil {
				yield(registry.Blob{}, err)
				return
			}
			if !yield(b, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(registry.Blob{}, err)
		}
	}
}

func (m *memory) Failed(_ context.Context, backend string, limit int) ([]digest.Digest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.Failed(backend, limit), nil
}

func (m *memory) Totals(context.Context) (registry.Totals, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.model.Totals()
	for _, u := range m.uploads {
		if u.Finished.IsZero() {
			t.Uploads++
		}
	}
	return t, nil
}

func (m *memory) Health(context.Context) error { return nil }

func (m *memory) CreateUpload(_ context.Context, u registry.Upload) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.uploads[u.ID]; taken {
		return fmt.Errorf("%w: session exists", registry.ErrConflict)
	}
	u.Version = 1
	m.uploads[u.ID] = u
	return nil
}

func (m *memory) Upload(_ context.Context, id string) (registry.Upload, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.session(id)
}

func (m *memory) session(id string) (registry.Upload, error) {
	u, ok := m.uploads[id]
	if !ok {
		return registry.Upload{}, fs.ErrNotExist
	}
	return u, nil
}

func (m *memory) guarded(id string, version int64) error {
	was, err := m.session(id)
	if err == nil && was.Version != version {
		err = registry.ErrConflict
	}
	return err
}

func (m *memory) SaveUpload(_ context.Context, u registry.Upload) (registry.Upload, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.guarded(u.ID, u.Version); err != nil {
		return registry.Upload{}, err
	}
	u.Version++
	m.uploads[u.ID] = u
	return u, nil
}

func (m *memory) DeleteUpload(_ context.Context, id string, version int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.guarded(id, version); err != nil {
		return err
	}
	delete(m.uploads, id)
	return nil
}

func (m *memory) ExpiredUploads(_ context.Context, before time.Time, limit int) ([]registry.Upload, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.SortedFunc(maps.Values(m.uploads), func(a, b registry.Upload) int {
		return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), cmp.Compare(a.ID, b.ID))
	})
	all = slices.DeleteFunc(all, func(u registry.Upload) bool { return !u.ExpiresAt.Before(before) })
	return all[:min(limit, len(all))], nil
}

func (m *memory) FinishedUploads(_ context.Context, blob digest.Digest, limit int) ([]registry.Upload, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.SortedFunc(maps.Values(m.uploads), func(a, b registry.Upload) int {
		return cmp.Or(a.ExpiresAt.Compare(b.ExpiresAt), cmp.Compare(a.ID, b.ID))
	})
	all = slices.DeleteFunc(all, func(u registry.Upload) bool { return u.Finished != blob })
	return all[:min(limit, len(all))], nil
}

func (m *memory) Check(ctx context.Context, progress func(position, last uint64)) (registry.Report, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if progress != nil {
		progress(uint64(len(m.log)), uint64(len(m.log)))
	}
	t := m.model.Totals()
	return registry.Report{Position: t.Position, Blobs: t.Blobs}, ctx.Err()
}

func (m *memory) Rebuild(ctx context.Context, progress func(position, last uint64)) (registry.Report, error) {
	report, err := m.Check(ctx, progress)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.model = registry.Model{}
	for _, r := range m.log {
		if err := m.model.Apply(r.Time, r.Event); err != nil {
			return report, err
		}
	}
	return report, err
}
