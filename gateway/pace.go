package gateway

import (
	"io"
	"net/http"
	"time"
)

// Pace is how slow a client may be. An absolute time-out would end a large
// upload over a slow line; none would let a client hold a connection for ever.
// So the deadline rolls: each step of progress moves it on.
type Pace struct {
	Idle        time.Duration // the longest pause; 0 for no limit
	MinimumRate int64         // bytes per second, beyond the first Idle; 0 for none
}

// deadline returns when a transfer that began at start and has moved n bytes
// must have moved on.
func (p Pace) deadline(start, now time.Time, n int64) time.Time {
	d := now.Add(p.Idle)
	if p.MinimumRate > 0 {
		seconds := n / p.MinimumRate
		if byRate := start.Add(p.Idle + time.Duration(min(seconds, 1<<32))*time.Second); byRate.Before(d) {
			return byRate
		}
	}
	return d
}

// slice is how many bytes a reader at the minimum rate takes in one idle time.
// A write of that size gets one idle time as its deadline, which keeps both
// limits at once.
func (p Pace) slice() int64 {
	return min(max(int64(p.Idle/time.Second)*p.MinimumRate, minSlice), maxSlice)
}

const (
	minSlice = 64 << 10
	maxSlice = 4 << 20
)

// body is a request's body under a rolling deadline. It counts.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	pace    Pace
	start   time.Time
	until   time.Time // the deadline set
	n       int64
}

func newBody(b io.ReadCloser, c *http.ResponseController, p Pace) *body {
	return &body{ReadCloser: b, control: c, pace: p}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.roll()
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	return n, err
}

// roll moves the deadline, though not for every few bytes: a deadline costs more
// than a short read.
func (b *body) roll() {
	if b.pace.Idle == 0 {
		return
	}
	now := time.Now()
	if b.start.IsZero() {
		b.start = now
	}
	if d := b.pace.deadline(b.start, now, b.n); d.Sub(b.until) > b.pace.Idle/16 || d.Before(b.until) {
		b.until = d
		b.control.SetReadDeadline(d)
	}
}

// response is an answer on its way, each step of it under a deadline. It counts
// and remembers its status.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	pace    Pace
	until   time.Time
	status  int   // 0 before the header
	n       int64 // bytes of the body
}

func newResponse(w http.ResponseWriter, p Pace) *response {
	r := &response{ResponseWriter: w, control: http.NewResponseController(w), pace: p}
	r.roll()
	return r
}

// Unwrap lets http.ResponseController reach the connection.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *response) Write(p []byte) (written int, err error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	slice := int(r.pace.slice())
	for first := true; first || (len(p) > 0 && err == nil); first = false {
		r.roll()
		var n int
		n, err = r.ResponseWriter.Write(p[:min(len(p), slice)])
		written += n
		p = p[n:]
	}
	r.n += int64(written)
	return written, err
}

// ReadFrom implements io.ReaderFrom: it hands slices of the source on, so that a
// file still goes to the socket by sendfile and a stalled reader is still seen.
func (r *response) ReadFrom(src io.Reader) (written int64, err error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	to, ok := r.ResponseWriter.(io.ReaderFrom)
	limited, isLimited := src.(*io.LimitedReader)
	if !ok || !isLimited {
		return io.Copy(struct{ io.Writer }{r}, src)
	}
	for limited.N > 0 {
		part := &io.LimitedReader{R: limited.R, N: min(limited.N, r.pace.slice())}
		r.roll()
		n, err := to.ReadFrom(part)
		limited.N -= n
		written += n
		if err != nil || part.N > 0 {
			r.n += written
			return written, err
		}
	}
	r.n += written
	return written, nil
}

// roll gives the next step one idle time.
func (r *response) roll() {
	if r.pace.Idle == 0 {
		return
	}
	if d := time.Now().Add(r.pace.Idle); d.Sub(r.until) > r.pace.Idle/16 {
		r.until = d
		r.control.SetWriteDeadline(d)
	}
}

// finish leaves the connection the way the next request should find it: what is
// still buffered has one more idle time.
func (r *response) finish() {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.roll()
}
