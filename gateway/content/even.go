package content

import (
	"context"
	"time"

	"artifactstore/gateway/auth"
)

// grain is what the times of answers are rounded up to that could say what lies where
// one may not read. It is far more than one look-up differs from another by, and
// little beside a round trip.
const grain = 5 * time.Millisecond

// Even notes when a look-up begins, and returns what waits until it has taken a whole
// number of grains. A look-up in memory and one on a disk, one that finds a row and
// one that finds none, then take equally long to whoever may read only some of what
// there is. Whoever may read everything waits for nothing.
func Even(ctx context.Context) (wait func()) {
	if auth.From(ctx).May(auth.Pull, auth.Everything) {
		return func() {}
	}
	start := time.Now()
	return func() {
		took := time.Since(start)
		until(ctx, start.Add(took-took%grain+grain))
	}
}

// coarse is what the runtime's timers may be late by: where all is idle they wait for
// whole milliseconds from when they are asked, and so would be the later the longer
// the look-up took.
const coarse = 2 * time.Millisecond

// fine bounds how many threads wait for the rest of a grain at once. Where more would,
// the machine is so busy that nobody learns anything from a fraction of it.
var fine = make(chan struct{}, 32)

// until waits until a moment, or for a request to be given up.
func until(ctx context.Context, moment time.Time) {
	t := time.NewTimer(time.Until(moment) - coarse)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return
	}
	select {
	case fine <- struct{}{}:
		pause(time.Until(moment))
		<-fine
	default:
	}
}
