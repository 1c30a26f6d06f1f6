package sqlite

import "time"

const (
	// turn is how long a writer goes on without a pause, and pause how long it
	// then leaves the lock alone. pause must be longer than poll, the time
	// after which a waiting writer asks again, or the waiting one misses it.
	turn  = 50 * time.Millisecond
	pause = 3 * time.Millisecond
	poll  = time.Millisecond
)

// pace makes a writer that never rests leave the lock to others now and then.
type pace struct{ rested, wrote time.Time }

// rest returns how long to leave the lock alone before a group that is ready now.
func (p *pace) rest(now time.Time) time.Duration {
	switch {
	case now.Sub(p.wrote) >= pause:
		p.rested = now
	case now.Sub(p.rested) >= turn:
		p.rested = now.Add(pause)
		return pause
	}
	return 0
}
