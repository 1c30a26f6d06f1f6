// Package cas is the content-addressed store: the engine between the faces of
// the gateway and the two leaves it drives, the registry (what is known) and
// the backends (where bytes are), which do not know each other.
//
// # Order of effects
//
// A put makes the bytes durable on the backend first and appends the events
// second, so a crash between the two leaves an object that no row names:
// garbage, never a lie. An answer is given only after both. A read looks the
// blob up, and opens an object only when a byte is wanted.
//
//	Put     read → hash → [upload staged] → digest checked → Commit → Append
//	Open    Blob (registry) … first Read → Open (backend), the next location on failure
//	Release Append
//
// What is already there in state stored is not written again; what is there but
// failed is, and so a push heals it.
package cas

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"artifactstore/backends"
	"artifactstore/registry"
)

// Options are what a Store is made of.
type Options struct {
	Registry registry.Registry
	Backends []Backend
	Policy   Policy
	// BufferedBytes bounds the memory of all transfers together; 0 is 256 MiB.
	BufferedBytes int64
	// UploadGrace is how long an upload session, and a blob in a repository that
	// no manifest names yet, are kept after they were last touched; 0 is 24 hours.
	UploadGrace time.Duration
	// Collection says when what nothing needs may go.
	Collection Collection
	// Now is the clock leases are counted by; nil is time.Now.
	Now func() time.Time
	// Sleep waits for a time or for the end of the context, whose error it then
	// returns; nil does.
	Sleep func(context.Context, time.Duration) error
	// Log receives what an operator should know; nil is slog.Default().
	Log *slog.Logger
}

// Backend is a configured backend and the name that locations carry.
type Backend struct {
	ID string
	backends.Backend
}

// Store is the engine. All methods may be called concurrently.
type Store struct {
	reg        registry.Registry
	list       []Backend // in the order of the configuration
	policy     Policy
	buffers    *buffers
	grace      time.Duration
	collection Collection
	counts     counts
	position   position
	holder     string   // this process, in turns
	tasks      sync.Map // names of tasks in which it takes part
	now        func() time.Time
	sleep      func(context.Context, time.Duration) error
	takers     takers
	away       away          // for readers
	doubts     chan doubtful // locations to be examined by RunVerifications
	log        *slog.Logger
}

// New returns a store over an open registry and open backends, which stay the
// caller's to close. It refuses backends of one name, and a policy that names
// what is not configured.
func New(o Options) (*Store, error) {
	s := &Store{reg: o.Registry, list: o.Backends, policy: o.Policy, grace: o.UploadGrace, now: o.Now, sleep: o.Sleep, log: o.Log, holder: newHolder(), doubts: make(chan doubtful, mostDoubts)}
	if s.now == nil {
		s.now = time.Now
	}
	if s.sleep == nil {
		s.sleep = sleep
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.grace == 0 {
		s.grace = 24 * time.Hour
	}
	s.collection = o.Collection.withDefaults()
	if err := s.collection.check(s.grace); err != nil {
		return nil, err
	}
	if o.BufferedBytes == 0 {
		o.BufferedBytes = 256 << 20
	}
	s.buffers = newBuffers(o.BufferedBytes)
	if err := checkBackends(s.list); err != nil {
		return nil, err
	}
	if err := s.policy.check(s.list); err != nil {
		return nil, err
	}
	return s, nil
}

// checkBackends refuses ids that a location could not be told apart by.
func checkBackends(list []Backend) error {
	seen := map[string]bool{}
	for i, b := range list {
		if b.ID == "" || seen[b.ID] {
			return fmt.Errorf("backend %d: id %q is empty or taken", i+1, b.ID)
		}
		seen[b.ID] = true
	}
	return nil
}

// Backends returns the configured backends, in the configuration's order.
func (s *Store) Backends() []Backend { return slices.Clone(s.list) }

// backend returns a configured backend, nil for an unknown id: a location may
// name a backend that a later configuration no longer has.
func (s *Store) backend(id string) backends.Backend {
	for _, b := range s.list {
		if b.ID == id {
			return b.Backend
		}
	}
	return nil
}

// BufferedBytes returns the memory that transfers hold at the moment.
func (s *Store) BufferedBytes() int64 { return s.buffers.inUse() }

// Events yields the records after a position, as [registry.Log.Since] does.
func (s *Store) Events(ctx context.Context, after uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for r, err := range s.reg.Since(ctx, after) {
			if !yield(r, registryError("read events", err)) {
				return
			}
		}
	}
}

// WaitEvents returns nil when the log holds a record after a position, or the
// context's error.
func (s *Store) WaitEvents(ctx context.Context, after uint64) error {
	return registryError("wait for events", s.reg.Wait(ctx, after))
}

// Totals returns the counts kept by the registry.
func (s *Store) Totals(ctx context.Context) (Totals, error) {
	t, err := s.reg.Totals(ctx)
	return t, registryError("read totals", err)
}

// RegistryHealth returns nil when the registry can be read and written.
func (s *Store) RegistryHealth(ctx context.Context) error {
	return registryError("check registry", s.reg.Health(ctx))
}

// DefaultBackend returns the id of the backend that takes what no rule routes.
func (s *Store) DefaultBackend() string { return s.policy.Default }

// event stamps data with its actor.
func event(actor string, data registry.Data) registry.Event {
	return registry.Event{Actor: actor, Data: data}
}

// registryError names the act that failed and turns what a caller branches on
// into this package's errors.
func registryError(verb string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, registry.ErrUnavailable):
		return fmt.Errorf("%s: %w: %w", verb, ErrRegistryUnavailable, err)
	case errors.Is(err, registry.ErrFull):
		return fmt.Errorf("%s: %w: %w", verb, ErrFull, err)
	}
	return fmt.Errorf("%s: %w", verb, err)
}

// backendError does the same for a backend.
func backendError(verb, id string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, backends.ErrUnavailable):
		return fmt.Errorf("%s on %s: %w: %w", verb, id, ErrBackendUnavailable, err)
	case errors.Is(err, backends.ErrFull):
		return fmt.Errorf("%s on %s: %w: %w", verb, id, ErrFull, err)
	}
	return fmt.Errorf("%s on %s: %w", verb, id, err)
}
