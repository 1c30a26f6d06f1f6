package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"
)

// tries is how often in a row a request is made whose connection breaks, or that
// the gateway asks to make later.
const tries = 4

// longestPause bounds what a gateway can have a client wait for.
const longestPause = 30 * time.Second

// call is a request that can be made again: it means the same then.
type call struct {
	method, path string
	query        url.Values
	header       http.Header
	size         int64                         // bytes of the body
	body         func() (io.ReadCloser, error) // nil for none
	// gone, where not nil, is the refusal that says that there is nothing to do.
	// After a try whose answer was lost it is a success: that try has done it.
	gone *Error
}

// errDone means that an earlier try has done what was asked for.
var errDone = errors.New("done before")

// send makes a request until it is answered, or trying again cannot help.
func (c *Client) send(ctx context.Context, r call, want ...int) (*http.Response, error) {
	lost := false // an answer
	for try := 1; ; try++ {
		resp, err := c.sendOnce(ctx, r, want...)
		if lost && r.gone != nil && errors.Is(err, r.gone) {
			return nil, errDone
		}
		var refused *Error
		lost = lost || err != nil && !errors.As(err, &refused)
		if err == nil || !again(err) || try >= tries || ctx.Err() != nil {
			return resp, err
		}
		c.pause(ctx, delay(err, try))
	}
}

func (c *Client) sendOnce(ctx context.Context, r call, want ...int) (*http.Response, error) {
	req, err := c.request(ctx, r.method, r.path, r.query, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	source := &reading{}
	if r.body != nil {
		if source.ReadCloser, err = r.body(); err != nil {
			return nil, &sourceError{err}
		}
		req.Body, req.ContentLength = source, r.size
		if r.size == 0 {
			source.Close()
			req.Body = http.NoBody
		}
	}
	resp, err := c.do(req, want...)
	if failed := source.failure(); failed != nil && err != nil {
		return nil, &sourceError{failed}
	}
	return resp, err
}

// delay is how long to wait after a try, of which there may have been several.
func delay(err error, try int) time.Duration {
	var refused *Error
	if errors.As(err, &refused) && refused.RetryAfter > 0 {
		return min(refused.RetryAfter, longestPause)
	}
	return time.Duration(try) * 200 * time.Millisecond
}

// again reports whether trying again can help: after a broken connection, a gateway
// that is busy or a limit on what is under way at once, not after a refusal or a
// fault of the caller's.
func again(err error) bool {
	var refused *Error
	var writer *writeError
	var source *sourceError
	switch {
	case errors.As(err, &writer), errors.As(err, &source):
		return false
	case errors.As(err, &refused):
		return refused.Status == http.StatusServiceUnavailable ||
			refused.Status == http.StatusTooManyRequests && refused.Code != "too_many_attempts"
	}
	return true
}

// pause waits, or less where the context ends.
func (c *Client) pause(ctx context.Context, d time.Duration) {
	if c.Pause != nil {
		c.Pause(ctx, d)
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
