package auth

import (
	"sync"
	"time"
)

// budget is how often something may be done that anybody can cause: burst times at
// once, and then once in every interval.
type budget struct {
	burst float64
	every time.Duration

	mu    sync.Mutex
	spare float64
	at    time.Time // zero: it is whole
}

// take counts one time, and reports whether there was one left.
func (b *budget) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spare = min(b.burst, b.spare+now.Sub(b.at).Seconds()/b.every.Seconds())
	b.at = now
	if b.spare < 1 {
		return false
	}
	b.spare--
	return true
}
