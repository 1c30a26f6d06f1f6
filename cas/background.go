package cas

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"
)

// Task is work that is done again and again, by one of the gateways of a store at a
// time.
type Task struct {
	Name  string        // of the turn, such as "collect"
	Every time.Duration // from the beginning of a run to that of the next, over all gateways
	// Run does the work. Its context ends when the gateway stops or the turn is lost.
	// An error is logged; the next run tries again.
	Run func(ctx context.Context, t *Turn) error
}

// Background does tasks, each when it is due and nobody else is at it, until the
// context ends and those under way have. A run that broke off or was interrupted is
// due at once: it goes on from what it kept with [Turn.SetState].
func (s *Store) Background(ctx context.Context, tasks ...Task) {
	var all sync.WaitGroup
	for _, task := range tasks {
		s.tasks.Store(task.Name, true)
		all.Go(func() {
			for ctx.Err() == nil && s.sleep(ctx, s.tend(ctx, task)) == nil {
			}
		})
	}
	all.Wait()
}

// lookAgain is the longest time until a task is looked at again: another gateway
// may have died with it.
const lookAgain = turnLasting / 2

// tend does a task where it is due, and returns after what time to look again.
func (s *Store) tend(ctx context.Context, task Task) time.Duration {
	n, err := s.noteOf(ctx, task.Name)
	if err == nil {
		if left := n.left(task.Every, s.now()); left > 0 {
			return min(left, lookAgain)
		}
		due := func(n note) bool { return n.left(task.Every, s.now()) <= 0 }
		err = s.inTurn(ctx, task.Name, due, task.Every, task.Run)
	}
	var taken *TakenError
	switch {
	case err == nil, ctx.Err() != nil, errors.As(err, &taken):
	case errors.Is(err, ErrTurnLost):
		s.log.Info("background work stopped: another process may be at it", "task", task.Name, "error", err)
	default:
		s.log.Warn("background work failed; the next run tries again", "task", task.Name, "error", err)
	}
	return min(task.Every, lookAgain)
}

// Completed returns when each task that this process takes part in last ended well,
// wherever it ran. What never did is not in it.
func (s *Store) Completed(ctx context.Context) (map[string]time.Time, error) {
	all := map[string]time.Time{}
	for name := range maps.Collect(s.tasks.Range) {
		n, err := s.noteOf(ctx, name.(string))
		if err != nil {
			return nil, err
		}
		if !n.Done.IsZero() {
			all[name.(string)] = n.Done
		}
	}
	return all, nil
}
