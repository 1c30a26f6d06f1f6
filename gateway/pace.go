package gateway

import "time"

// Pace is how slow a client may be. An absolute time-out would end a large
// upload over a slow line; none would let a client hold a connection for ever.
// So the deadline rolls: each step of progress moves it on. Only the time that
// the gateway waits for the client counts, never the client's wait for it.
type Pace struct {
	Idle        time.Duration // the longest pause; 0 for no limit at all
	MinimumRate int64         // bytes per second, beyond the first Idle; 0 for none
}

// patience returns how long a client that has sent n bytes, and was waited for so
// long already, may take for the next.
func (p Pace) patience(n int64, waited time.Duration) time.Duration {
	if p.MinimumRate <= 0 {
		return p.Idle
	}
	seconds := min(n/p.MinimumRate, 1<<32)
	return min(p.Idle, p.Idle+time.Duration(seconds)*time.Second-waited)
}

// slice is how many bytes a reader at the minimum rate takes in one idle time. A
// write of that size gets one idle time as its deadline, which keeps both limits
// at once.
func (p Pace) slice() int {
	return int(min(max(p.least(), minSlice), maxSlice))
}

// least is how many bytes a reader that is only just fast enough takes in one
// idle time.
func (p Pace) least() int64 {
	return max(int64(p.Idle.Seconds()*float64(p.MinimumRate)), minProgress)
}

const (
	minSlice    = 64 << 10
	maxSlice    = 4 << 20
	minProgress = 4 << 10
)

// worth reports whether a deadline is worth setting in place of the one that is
// set: a deadline costs more than a short read or write.
func (p Pace) worth(next, set time.Time) bool {
	return next.Sub(set) > p.Idle/16 || next.Before(set)
}
