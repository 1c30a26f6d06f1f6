package gateway

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// body is a request's body under a rolling deadline. It counts.
type body struct {
	io.ReadCloser
	wait     deadline
	pace     Pace
	announce int64         // bytes announced, -1 where they are not
	expects  bool          // the client waits to be asked for it (Expect: 100-continue)
	waited   time.Duration // for the client
	n        int64
	touched  bool // reading has begun
	ended    bool // nothing more comes
	broken   bool // nothing more can be read
}

func newBody(r *http.Request, c *http.ResponseController, p Pace) *body {
	return &body{
		ReadCloser: r.Body,
		wait:       deadline{set: c.SetReadDeadline, pace: p, stream: r.ProtoMajor > 1},
		pace:       p,
		announce:   r.ContentLength,
		expects:    strings.EqualFold(r.Header.Get("Expect"), "100-continue"),
		ended:      r.ContentLength == 0,
	}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.touched = true
	start := time.Now()
	b.wait.start(start.Add(b.pace.patience(b.n, b.waited)))
	n, err := b.ReadCloser.Read(p)
	b.wait.stop()
	b.n += int64(n)
	b.waited += time.Since(start)
	if err == io.EOF {
		b.end()
	}
	b.broken = err != nil && err != io.EOF
	return n, err
}

// end takes the deadline off the connection: the server reads on, to see the
// client leave, and must not take a long answer for a client that has left.
func (b *body) end() {
	b.ended = true
	b.wait.clear()
}

// What a client may still send, and for how long, once its answer is known: its
// connection is kept where that brings the request to an end. The server would
// wait for up to as many bytes by itself, but for ever.
const (
	lingerBytes = 256 << 10
	lingerTime  = 5 * time.Second
)

// leave deals with what the handler did not read, before an answer begins. It
// reports whether the connection can serve another request, which one of HTTP/2
// can in any case: what is left is a matter of the stream.
func (b *body) leave() (reusable bool) {
	if b.ended || b.broken || b.wait.stream {
		return b.ended || b.wait.stream
	}
	b.wait.until = time.Now().Add(lingerTime)
	b.wait.set(b.wait.until)
	if b.announce-b.n > lingerBytes || (b.expects && !b.touched) {
		return false // too much, or not asked for and so perhaps never sent
	}
	_, err := io.CopyN(io.Discard, b.ReadCloser, lingerBytes+1)
	if err == io.EOF {
		b.end()
	}
	return b.ended
}
