package cas

import (
	"context"
	"errors"
	"sync"
	"time"
)

// The pause between two sweeps is a quarter of the upload grace, so that what was
// abandoned is gone soon after its time, within bounds: sweeping is cheap, but
// it lists what is staged.
const (
	minSweepPause = 500 * time.Millisecond
	maxSweepPause = time.Hour
)

// Schedule says how often background work is done.
type Schedule struct {
	Collect time.Duration // expiry and collection
	Orphans time.Duration // the walk over each backend for orphans
}

// Upkeep returns the tasks that end what is over: upload sessions, packages, blobs
// that nothing needs, and orphans, of each backend by itself.
func (s *Store) Upkeep(every Schedule) []Task {
	tasks := []Task{
		{Name: "sweep", Every: min(max(s.grace/4, minSweepPause), maxSweepPause), Run: s.sweep},
		{Name: turnExpire, Every: every.Collect, Run: func(ctx context.Context, t *Turn) error {
			n, err := s.expire(ctx, t, ExpireOptions{})
			if n > 0 {
				s.log.InfoContext(ctx, "packages expired", "expired", n)
			}
			return err
		}},
		{Name: turnCollect, Every: every.Collect, Run: func(ctx context.Context, t *Turn) error {
			report, err := s.collect(ctx, t, CollectOptions{})
			s.logCollected("collected what nothing needs", report)
			return err
		}},
	}
	for _, b := range s.list {
		tasks = append(tasks, Task{Name: turnOrphans + b.ID, Every: every.Orphans, Run: func(ctx context.Context, t *Turn) error {
			report, err := s.orphans(ctx, t, b.ID, OrphanOptions{})
			if len(report.Strange) > 0 {
				s.log.WarnContext(ctx, "there are objects that are none of the store's; they are left alone", "backend_id", b.ID, "keys", report.Strange)
			}
			s.logCollected("removed objects that nothing has recorded", report)
			return err
		}})
	}
	return tasks
}

func (s *Store) logCollected(what string, r CollectReport) {
	if r.Removed > 0 || r.Blobs > 0 || r.Waiting > 0 {
		s.log.Info(what, "blobs", r.Blobs, "bytes", r.Bytes, "removed", r.Removed, "orphans", r.Orphans, "waiting", r.Waiting, "failed", r.Failed)
	}
}

// expireBatch is how many sessions are ended at a time: few enough to hold in
// memory with the states of their hashes.
const expireBatch = 200

// sweep ends the upload sessions whose time is over, and removes what uploads left
// behind that never ended, from every backend.
//
// A session's bytes may be older than its row by a request that took the session
// up and brought nothing, which may have lasted as long as the grace: only
// what is twice as old is nobody's.
func (s *Store) sweep(ctx context.Context, _ *Turn) error {
	failed := s.endSessions(ctx)
	before := s.now().Add(-2 * s.grace)
	errs := make([]error, len(s.list))
	var all sync.WaitGroup
	for i, b := range s.list {
		all.Go(func() {
			n, err := b.Sweep(ctx, before)
			if n > 0 {
				s.log.InfoContext(ctx, "removed abandoned uploads", "backend_id", b.ID, "removed", n)
			}
			errs[i] = backendError("sweep", b.ID, err)
		})
	}
	all.Wait()
	return errors.Join(failed, errors.Join(errs...))
}

func (s *Store) endSessions(ctx context.Context) error {
	for {
		n, err := s.ExpireUploads(ctx, expireBatch)
		if n > 0 {
			s.log.InfoContext(ctx, "ended upload sessions that had expired", "ended", n)
		}
		if err != nil || n == 0 {
			return err
		}
	}
}
