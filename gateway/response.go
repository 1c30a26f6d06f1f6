package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"
)

// response is an answer on its way, each step of it under a deadline. It counts
// and remembers its status.
type response struct {
	http.ResponseWriter
	control *http.ResponseController
	pace    Pace
	body    *body // of the request
	head    bool  // a HEAD request: what is written is not sent
	files   int64 // how much of a file is sent under one deadline
	wait    deadline
	decided func() bool // whether it was asked what the request's principal may do
	status  int         // 0 before the header
	n       int64       // bytes of the body sent
}

// errUndecided is a fault of the program: a handler that has not asked what the
// request's principal may do. Nothing of what it would answer is sent.
var errUndecided = errors.New("the handler has not asked whether the principal may do this")

func newResponse(w http.ResponseWriter, r *http.Request, p Pace) *response {
	c := http.NewResponseController(w)
	x := &response{ResponseWriter: w, control: c, pace: p, body: newBody(r, c, p), head: r.Method == http.MethodHead}
	x.wait = deadline{set: c.SetWriteDeadline, pace: p, stream: r.ProtoMajor > 1}
	x.files = int64(p.slice())
	if takesFiles(r.Context()) {
		x.files = maxSlice
	}
	if !x.wait.stream {
		x.roll() // the connection still has the deadline of the last request
	}
	return x
}

// Unwrap lets http.ResponseController reach the connection.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader implements http.ResponseWriter. No success, and nothing else that is not
// a refusal, is sent before it is decided that the principal may have it.
func (r *response) WriteHeader(status int) {
	if r.status == 0 {
		if status < http.StatusBadRequest && !r.decided() {
			panic(errUndecided)
		}
		r.status = status
		if !r.body.leave() {
			r.Header().Set("Connection", "close")
		}
	}
	r.ResponseWriter.WriteHeader(status) // which is sent with what comes next
}

// begin sends the header of a success where none was sent.
func (r *response) begin() {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
}

// FlushError is how http.ResponseController flushes: past the header by the same way
// as all else.
func (r *response) FlushError() error {
	r.begin()
	r.roll()
	defer r.wait.stop()
	return r.control.Flush()
}

// Write implements http.ResponseWriter.
func (r *response) Write(p []byte) (written int, err error) {
	r.begin()
	for first := true; first || (len(p) > 0 && err == nil); first = false {
		r.roll()
		var n int
		n, err = r.ResponseWriter.Write(p[:min(len(p), r.pace.slice())])
		r.wait.stop()
		written += n
		p = p[n:]
	}
	r.count(int64(written))
	return written, err
}

// ReadFrom implements io.ReaderFrom: it hands slices of a file on, so that it
// goes to the socket by sendfile and a stalled reader is still seen.
func (r *response) ReadFrom(src io.Reader) (written int64, err error) {
	r.begin()
	to, ok := r.ResponseWriter.(io.ReaderFrom)
	limited, isLimited := src.(*io.LimitedReader)
	if !ok || !isLimited {
		return io.Copy(struct{ io.Writer }{r}, src)
	}
	file, isFile := limited.R.(*os.File)
	if !isFile {
		return io.Copy(struct{ io.Writer }{r}, src)
	}
	return r.sendFile(to, file, limited)
}

// sendFile sends slices of a file, each under one idle time: large ones where the
// kernel does the work. A reader that did not take a whole one in that time, but
// enough to be within the minimum rate, is given more time. That is possible only
// where all that left the file went to the socket, and not to a buffer that has
// failed, which the file's own offset shows.
func (r *response) sendFile(to io.ReaderFrom, file *os.File, from *io.LimitedReader) (written int64, err error) {
	defer func() { r.count(written) }()
	start, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	for from.N > 0 {
		part := &io.LimitedReader{R: file, N: min(from.N, r.files)}
		r.roll()
		n, err := to.ReadFrom(part)
		from.N -= n
		written += n
		if errors.Is(err, os.ErrDeadlineExceeded) && n >= r.pace.least() {
			if at, serr := file.Seek(0, io.SeekCurrent); serr == nil && at == start+written {
				continue
			}
		}
		if err != nil || part.N > 0 {
			return written, err
		}
	}
	return written, nil
}

func (r *response) count(n int64) {
	if !r.head {
		r.n += n
	}
}

// roll gives the next step one idle time.
func (r *response) roll() { r.wait.start(time.Now().Add(r.pace.Idle)) }

// finish leaves the connection the way the next request should find it: what is
// still buffered has one more idle time.
func (r *response) finish() {
	r.begin()
	r.roll()
}
