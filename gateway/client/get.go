package client

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"

	"artifactstore/cas/digest"
)

// Get writes a blob to w and returns its identity. A connection that breaks is
// taken up again at the byte where it broke. All bytes are hashed as they pass:
// ErrDamaged says that what was written to w is not the blob.
func (c *Client) Get(ctx context.Context, d digest.Digest, w io.Writer) (digest.Identity, error) {
	hash := digest.NewHasher(d.Algorithm())
	size := int64(-1)
	for try := 1; ; try++ {
		before := hash.Size()
		total, err := c.getFrom(ctx, d, before, io.MultiWriter(writeOnly{w}, hash))
		if total >= 0 {
			size = total
		}
		if hash.Size() == size || (err == nil && size < 0) {
			break
		}
		if hash.Size() > before {
			try = 0
		}
		if !again(err) || try >= tries || ctx.Err() != nil {
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return digest.Identity{}, fmt.Errorf("get %s: %w", d, err)
		}
		c.pause(ctx, delay(err, try))
	}
	id := hash.Identity()
	if got, _ := hash.Sum(d.Algorithm()); got != d {
		return id, fmt.Errorf("get %s: %w: received %s", d, ErrDamaged, got)
	}
	return id, nil
}

// getFrom writes the blob from an offset to w, and returns its whole size, -1
// where it did not learn it.
func (c *Client) getFrom(ctx context.Context, d digest.Digest, off int64, w io.Writer) (size int64, err error) {
	req, err := c.request(ctx, http.MethodGet, "/v1/blobs/"+d.String(), nil, nil)
	if err != nil {
		return -1, err
	}
	want := http.StatusOK
	if off > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", off))
		want = http.StatusPartialContent
	}
	resp, err := c.do(req, want)
	if err != nil {
		return -1, err
	}
	defer resp.Body.Close()
	if size = resp.ContentLength; size >= 0 {
		size += off
	}
	_, err = io.Copy(w, resp.Body)
	return size, err
}

// writeOnly marks the errors of the caller's writer as its own.
type writeOnly struct{ w io.Writer }

type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

func (w writeOnly) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	if err != nil {
		err = &writeError{err}
	}
	return n, err
}

func reprDigest(d digest.Digest) string {
	return "sha-256=:" + base64.StdEncoding.EncodeToString(d.Sum()) + ":"
}
