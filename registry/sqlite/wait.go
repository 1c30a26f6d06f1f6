package sqlite

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// askEvery is how often the log's end is read while somebody waits, for what
// other processes append: less than the second that registry.Log promises. What
// this process appends is told at once.
const askEvery = 400 * time.Millisecond

// news wakes those who wait for the log to grow. One goroutine asks the
// database for all of them, and none runs while nobody waits.
type news struct {
	ask func() (uint64, error)

	mu       sync.Mutex
	position uint64        // the largest that is known
	changed  chan struct{} // closed when position grows or the asking failed
	err      error         // of the last asking
	waiting  int
	quit     chan struct{} // ends the goroutine that asks; nil while none runs
	ended    sync.WaitGroup
}

func newNews(ask func() (uint64, error)) *news {
	return &news{ask: ask, changed: make(chan struct{})}
}

// tell says that the log has grown to a position.
func (n *news) tell(position uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.grow(position)
}

func (n *news) grow(position uint64) {
	if position > n.position {
		n.position = position
		n.wake()
	}
}

func (n *news) wake() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// join makes sure that the database is asked; leave says that it need not be
// for this caller any more.
func (n *news) join() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waiting++; n.waiting == 1 {
		n.err = nil
		quit := make(chan struct{})
		n.quit = quit
		n.ended.Go(func() { n.run(quit) })
	}
}

func (n *news) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waiting--; n.waiting == 0 {
		close(n.quit)
		n.quit = nil
	}
}

func (n *news) run(quit chan struct{}) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		position, err := n.ask()
		n.mu.Lock()
		n.err = err
		n.grow(position)
		if err != nil {
			n.wake()
		}
		n.mu.Unlock()
	}
}

// state returns what is known, and a channel that is closed when it changes.
func (n *news) state() (position uint64, changed <-chan struct{}, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.position, n.changed, n.err
}

// stop waits for the goroutine; nobody waits any more.
func (n *news) stop() { n.ended.Wait() }

// Wait implements registry.Log.
func (r *Registry) Wait(ctx context.Context, after uint64) error {
	if err := r.wait(ctx, after); err != nil {
		return fmt.Errorf("wait for an event after %d: %w", after, err)
	}
	return nil
}

func (r *Registry) wait(ctx context.Context, after uint64) error {
	last, err := r.position(ctx)
	if err != nil || last > after {
		return err
	}
	if err := r.gate.enter(); err != nil {
		return err
	}
	defer r.gate.leave()
	r.news.join()
	defer r.news.leave()
	for {
		// What was committed after the first look and before the join is told
		// or asked for like everything later.
		position, changed, err := r.news.state()
		if position > after {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-r.gate.closing:
			return errClosed
		}
	}
}
