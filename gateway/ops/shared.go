package ops

import (
	"context"

	"golang.org/x/sync/singleflight"
)

// shared is work that is done once for all who want its result at the same time:
// a look at a backend costs a write, and anybody may ask. Nobody's leaving ends
// it for the others.
type shared[T any] struct{ group singleflight.Group }

// do returns the result of f, or that of one that is under way.
func (s *shared[T]) do(ctx context.Context, f func(context.Context) T) (result T, err error) {
	done := s.group.DoChan("", func() (any, error) { return f(context.WithoutCancel(ctx)), nil })
	select {
	case r := <-done:
		return r.Val.(T), nil
	case <-ctx.Done():
		return result, ctx.Err()
	}
}
