package tree

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"artifactstore/cas/digest"
)

// each calls do with every number below n, some jobs of them at once and in their
// order. The first error ends the rest, and is returned.
func each(ctx context.Context, jobs, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range max(1, min(jobs, n)) {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// keys locks by digest.
type keys struct {
	mu   sync.Mutex
	held map[digest.Digest]*key
}

type key struct {
	sync.Mutex
	users int
}

// lock waits for a digest and returns what gives it back.
func (k *keys) lock(d digest.Digest) (unlock func()) {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[digest.Digest]*key{}
	}
	one := k.held[d]
	if one == nil {
		one = &key{}
		k.held[d] = one
	}
	one.users++
	k.mu.Unlock()
	one.Lock()
	return func() {
		one.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(k.held, d)
		}
	}
}

// counted is a body whose bytes are progress.
type counted struct {
	io.ReadCloser
	progress Progress
	n        atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	c.progress.Bytes(int64(n))
	return n, err
}

func (c *counted) takeBack() { c.progress.Bytes(-c.n.Swap(0)) }
