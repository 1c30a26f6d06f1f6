package cas

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// bufferBytes is the unit of work of a transfer: large enough that a system
// call and a hand-over cost nothing beside it, small enough that the two hashes
// and the write find it in the processor's cache.
const bufferBytes = 256 << 10

// buffers lends transfer buffers out of one global bound, so that memory does
// not depend on how many clients there are.
//
// Nobody may wait for a buffer while holding one: a transfer takes its first
// with take and any further one with tryTake, so the bound cannot deadlock.
type buffers struct {
	room    *semaphore.Weighted
	used    atomic.Int64
	waiting atomic.Int64 // transfers that wait for their first buffer
	pool    sync.Pool
}

func newBuffers(bound int64) *buffers {
	b := &buffers{room: semaphore.NewWeighted(max(1, bound/bufferBytes))}
	b.pool.New = func() any { return new([bufferBytes]byte) }
	return b
}

// take waits for a buffer until the context ends.
func (b *buffers) take(ctx context.Context) (*[bufferBytes]byte, error) {
	b.waiting.Add(1)
	defer b.waiting.Add(-1)
	if err := b.room.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return b.lend(), nil
}

// wanted reports whether a transfer waits for its first buffer.
func (b *buffers) wanted() bool { return b.waiting.Load() > 0 }

// tryTake returns nil where there is no room.
func (b *buffers) tryTake() *[bufferBytes]byte {
	if !b.room.TryAcquire(1) {
		return nil
	}
	return b.lend()
}

func (b *buffers) lend() *[bufferBytes]byte {
	b.used.Add(bufferBytes)
	return b.pool.Get().(*[bufferBytes]byte)
}

func (b *buffers) giveBack(buf *[bufferBytes]byte) {
	b.pool.Put(buf)
	b.used.Add(-bufferBytes)
	b.room.Release(1)
}

func (b *buffers) inUse() int64 { return b.used.Load() }
