package sqlite

import (
	"context"
	"errors"
	"sync"

	"artifactstore/registry"
)

// pool is the readers: at most as many connections as it has tokens, opened
// when they are first needed. The one given back last is taken first, for its
// page cache is warm.
type pool struct {
	open   func() (*conn, error)
	tokens chan struct{}

	mu   sync.Mutex
	idle []*conn
}

func newPool(size int, open func() (*conn, error)) *pool {
	return &pool{open: open, tokens: make(chan struct{}, size)}
}

// use calls do with a connection, when one is free.
func (p *pool) use(ctx context.Context, do func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case p.tokens <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.tokens }()
	c, err := p.take()
	if err != nil {
		return translate(err)
	}
	ok := false // a connection whose use failed or panicked is not used again
	defer func() { p.give(c, ok) }()
	err = translate(do(c))
	ok = !errors.Is(err, registry.ErrUnavailable)
	return err
}

func (p *pool) take() (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return c, nil
	}
	return p.open()
}

func (p *pool) give(c *conn, ok bool) {
	if !ok {
		c.close()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, c)
}

// close closes the connections; none is in use.
func (p *pool) close() error {
	var errs []error
	for _, c := range p.idle {
		errs = append(errs, c.close())
	}
	p.idle = nil
	return errors.Join(errs...)
}
