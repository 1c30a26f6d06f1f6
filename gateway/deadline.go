package gateway

import "time"

// deadline bounds how long a request's client is waited for, in one direction.
//
// HTTP/1 has it on the connection, where it matters only to who reads or writes:
// it can stay set in between, and need not be set anew for a small difference.
// HTTP/2 has a timer instead that ends the stream whenever it runs out, also while
// nobody waits for the client: a long upload would be ended by the deadline of an
// answer that has not begun. So it runs there only from start to stop.
type deadline struct {
	set    func(time.Time) error
	pace   Pace
	stream bool // of HTTP/2
	until  time.Time
}

// start begins a wait.
func (d *deadline) start(until time.Time) {
	if d.pace.Idle != 0 && (d.stream || d.pace.worth(until, d.until)) {
		d.until = until
		d.set(until)
	}
}

// stop ends a wait, but for what keeps its deadline in between.
func (d *deadline) stop() {
	if d.stream {
		d.clear()
	}
}

// clear takes the deadline away.
func (d *deadline) clear() {
	if !d.until.IsZero() {
		d.until = time.Time{}
		d.set(time.Time{})
	}
}
