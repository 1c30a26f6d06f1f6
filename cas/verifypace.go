package cas

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pace bounds the rate of all readers of a run together. What was not used is
// not made up for, but for a moment's worth.
type pace struct {
	rate int64 // bytes a second; 0 is no bound
	now  func() time.Time
	wait func(context.Context, time.Duration) error

	taken atomic.Int64 // bytes

	mu   sync.Mutex
	next time.Time // when the bytes that were granted so far are used up
}

// slack is how much of a pause may be made up for: enough for a machine that has much
// else to do, so that the rate is kept over seconds.
const slack = time.Second

// take waits until n more bytes may be read.
func (p *pace) take(ctx context.Context, n int) error {
	p.taken.Add(int64(n))
	if p.rate <= 0 || n <= 0 {
		return ctx.Err()
	}
	return p.wait(ctx, p.grant(n))
}

// grant books n bytes and returns how long to wait for them.
func (p *pace) grant(n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.next.IsZero() {
		p.next = now
	}
	if least := now.Add(-slack); p.next.Before(least) {
		p.next = least
	}
	p.next = p.next.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	return p.next.Sub(now)
}
