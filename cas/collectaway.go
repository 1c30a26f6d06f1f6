package cas

import (
	"context"
	"errors"
	"sync"
	"time"

	"artifactstore/backends"
)

// lookTime bounds the look at the backends before a run, all at once.
const lookTime = 10 * time.Second

// lookForAway returns the backends that do not work now: no removal is begun there. One
// that is full works: it wants nothing more than removals.
func (s *Store) lookForAway(ctx context.Context) map[string]bool {
	looking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	errs := make([]error, len(s.list))
	var all sync.WaitGroup
	for i, b := range s.list {
		all.Go(func() { errs[i] = b.Health(looking) })
	}
	all.Wait()
	away := map[string]bool{}
	for i, b := range s.list {
		if errs[i] != nil && !errors.Is(errs[i], backends.ErrFull) && ctx.Err() == nil {
			away[b.ID] = true
			s.log.WarnContext(ctx, "nothing is removed from a backend that does not work", "backend_id", b.ID, "error", errs[i])
		}
	}
	return away
}
