package sqlite

import (
	"fmt"
	"sync"

	"artifactstore/registry"
)

// gate lets calls in until it is closed, and closing waits for those inside.
type gate struct {
	mu      sync.RWMutex
	inside  sync.WaitGroup
	closing chan struct{} // closed when the gate closes: who waits inside goes home
}

func newGate() *gate { return &gate{closing: make(chan struct{})} }

var errClosed = fmt.Errorf("%w: it is closed", registry.ErrUnavailable)

// enter lets a call in; it calls leave when it is done.
func (g *gate) enter() error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed() {
		return errClosed
	}
	g.inside.Add(1)
	return nil
}

func (g *gate) leave() { g.inside.Done() }

func (g *gate) closed() bool {
	select {
	case <-g.closing:
		return true
	default:
		return false
	}
}

// close closes the gate and waits until nobody is inside. It reports whether
// this call was the one that closed it.
func (g *gate) close() bool {
	g.mu.Lock()
	first := !g.closed()
	if first {
		close(g.closing)
	}
	g.mu.Unlock()
	g.inside.Wait()
	return first
}
