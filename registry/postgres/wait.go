package postgres

import (
	"context"
	"sync"
	"time"
)

// tail knows how far the log reaches, for those that wait for more of it. What
// this process appends it is told; of others it learns by asking, one question
// for all that wait, and none while nobody waits.
type tail struct {
	last func(context.Context) (uint64, error)
	poll time.Duration

	mu      sync.Mutex
	seen    uint64
	grown   chan struct{} // closed and replaced when seen grows
	waiting int
	ask     chan struct{} // somebody came who may not know what others did: ask at once

	stop    context.CancelFunc
	stopped chan struct{}
	closed  <-chan struct{}
}

func newTail(last func(context.Context) (uint64, error), poll time.Duration) *tail {
	ctx, stop := context.WithCancel(context.Background())
	t := &tail{last: last, poll: poll, grown: make(chan struct{}), ask: make(chan struct{}, 1),
		stop: stop, stopped: make(chan struct{}), closed: ctx.Done()}
	go t.run(ctx)
	return t
}

// advance says that the log reaches a position.
func (t *tail) advance(last uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last > t.seen {
		t.seen = last
		close(t.grown)
		t.grown = make(chan struct{})
	}
}

// Wait implements [registry.Log]. While the database does not answer it goes on
// waiting.
func (r *Registry) Wait(ctx context.Context, after uint64) error {
	return translate(ctx, r.tail.wait(ctx, after))
}

func (t *tail) wait(ctx context.Context, after uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting++
	defer func() { t.waiting-- }()
	for asked := false; t.seen <= after; asked = true {
		if !asked {
			select {
			case t.ask <- struct{}{}:
			default:
			}
		}
		grown := t.grown
		t.mu.Unlock()
		err := t.sleep(ctx, grown)
		t.mu.Lock()
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (t *tail) sleep(ctx context.Context, grown <-chan struct{}) error {
	select {
	case <-grown:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.closed:
		return errClosed
	}
}

// run asks while somebody waits.
func (t *tail) run(ctx context.Context) {
	defer close(t.stopped)
	tick := time.NewTicker(t.poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.ask:
		case <-tick.C:
			if !t.awaited() {
				continue
			}
		}
		if last, err := t.last(ctx); err == nil {
			t.advance(last)
		}
	}
}

func (t *tail) awaited() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting > 0
}

func (t *tail) close() {
	t.stop()
	<-t.stopped
}
