package cas

import (
	"context"

	"artifactstore/registry"
)

// After so many blobs it is kept how far a walk is: one that copies, and one that only
// looks.
const (
	walkStep  = 64
	countStep = 1024
)

// page walks some blobs: first to count what is missing, then to make it.
func (f *follower) page(ctx context.Context) error {
	walk := f.state.Walk
	step := walkStep
	if walk.Counting {
		step = countStep
	}
	n, last := 0, walk.After
	work := newCrew(ctx, f.o.Concurrency)
	for b, err := range f.reg.Blobs(ctx, walk.After) {
		if err != nil {
			work.cancel(registryError("walk blobs", err))
			break
		}
		work.do(func(ctx context.Context) error { return f.walked(ctx, b) })
		last = b.SHA256
		if n++; n == step {
			break
		}
	}
	if err := work.wait(); err != nil {
		return err
	}
	walk.After = last
	if n < step {
		f.state.pass(f.now().UTC())
	}
	return f.save(ctx)
}

// walked does with a blob what the walk is for.
func (f *follower) walked(ctx context.Context, b registry.Blob) error {
	var made, left []string
	var err error
	if f.state.Walk.Counting {
		var w wanted
		w, err = f.wanted(ctx, b)
		left = missing(b, w.promised)
	} else {
		made, left, err = f.make(ctx, b)
	}
	f.count(func(st *copyState) {
		for _, id := range made {
			st.Missing[id] = max(0, st.Missing[id]-1)
		}
		for _, id := range left {
			st.Walk.Left[id]++
		}
	})
	return err
}

// again reports whether it is time to try what could not be made, and there is a
// backend that may take it.
func (f *follower) again(ctx context.Context) bool {
	if f.now().Before(f.state.Next) {
		return false
	}
	for id, n := range f.state.Missing {
		if n > 0 && f.backend(id) != nil && !f.rests(id) && f.backend(id).Health(ctx) == nil {
			return true
		}
	}
	return false
}
