package cas

import (
	"context"
	"sync"
)

// takers lets one at a time of this process do something about a session.
type takers struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // closed when its taker is done
}

// take waits until nobody is at a session, or for the end of the context. Whoever
// takes calls done.
func (t *takers) take(ctx context.Context, id string) (done func(), err error) {
	for {
		t.mu.Lock()
		other := t.busy[id]
		if other == nil {
			mine := make(chan struct{})
			if t.busy == nil {
				t.busy = map[string]chan struct{}{}
			}
			t.busy[id] = mine
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				delete(t.busy, id)
				t.mu.Unlock()
				close(mine)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
