package content

import (
	"io"
	"net/http"
	"strconv"

	"artifactstore/cas"
	"artifactstore/gateway/problem"
)

// writer stands between http.ServeContent and the connection. It opens the blob
// just before a success is promised, so that a missing object is an error answer
// and not a torn body; it turns refusals into errors, for the face to put into
// its own form; and it lets a blob copy itself, which for a file means sendfile.
type writer struct {
	http.ResponseWriter
	blob    *cas.Blob
	media   string           // of the whole blob
	head    bool             // a HEAD request: nothing will be read
	ranges  []span           // what is asked for; none: the whole blob
	refused *problem.Problem // what a 416 stands for

	wrote bool
	err   error // why the body is not what ServeContent wanted to send
}

// WriteHeader implements http.ResponseWriter.
func (c *writer) WriteHeader(status int) {
	if c.wrote {
		return
	}
	c.wrote = true
	switch status {
	case http.StatusOK, http.StatusPartialContent:
		if c.err = c.prepare(); c.err == nil {
			c.ResponseWriter.WriteHeader(status)
		}
	case http.StatusPreconditionFailed:
		c.err = problem.New(status, "precondition_failed", "the blob is not the one that the request's conditions name")
	case http.StatusRequestedRangeNotSatisfiable:
		c.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(c.blob.Size, 10))
		if c.err = c.refused; c.refused == nil {
			c.err = problem.New(status, "range_invalid", "no byte of the range is within the blob")
		}
	default: // 304
		c.ResponseWriter.WriteHeader(status)
	}
}

// prepare opens the blob where its first bytes will be wanted. Of several ranges,
// each of the others opens for itself; the first shows whether there is anything
// to open.
func (c *writer) prepare() error {
	if c.head {
		return nil
	}
	first := span{0, c.blob.Size - 1}
	if c.Header().Get("Content-Type") != c.media || c.Header().Get("Content-Range") != "" {
		first = c.ranges[0]
	}
	if _, err := c.blob.Seek(first.first, io.SeekStart); err != nil {
		return err
	}
	if err := c.blob.Prepare(first.last - first.first + 1); err != nil {
		c.Header().Del("Content-Range")
		return err
	}
	return nil
}

// Write implements http.ResponseWriter.
func (c *writer) Write(p []byte) (int, error) {
	if c.WriteHeader(http.StatusOK); c.err != nil {
		return 0, c.err
	}
	return c.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom.
func (c *writer) ReadFrom(r io.Reader) (int64, error) {
	if c.WriteHeader(http.StatusOK); c.err != nil {
		return 0, c.err
	}
	if l, ok := r.(*io.LimitedReader); ok && l.R == io.Reader(c.blob) {
		n, err := c.blob.CopyTo(c.ResponseWriter, l.N)
		l.N -= n
		c.err = err
		return n, err
	}
	n, err := io.Copy(c.ResponseWriter, r)
	c.err = err
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (c *writer) Unwrap() http.ResponseWriter { return c.ResponseWriter }
