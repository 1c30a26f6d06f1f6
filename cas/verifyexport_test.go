package cas

import (
	"context"
	"time"
)

// Paced returns how long it takes by the clock given to take n bytes at a rate,
// size at a time.
func Paced(rate int64, size, n int, now func() time.Time, wait func(context.Context, time.Duration) error) {
	p := &pace{rate: rate, now: now, wait: wait}
	for ; n > 0; n -= size {
		p.take(context.Background(), min(n, size))
	}
}

// Patience is how often a backend that does not answer is asked again.
var Patience = len(patience)
