// Package client is the Go client of the plain face. It trusts no answer: what
// it sends is hashed on the way and compared with what the gateway says it
// stored, and what it receives is hashed and compared with what was asked for.
package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"artifactstore/cas/digest"
)

// Client speaks to one gateway. It may be used by many goroutines.
type Client struct {
	// Server is the gateway's address, such as http://127.0.0.1:8080.
	Server string
	// HTTP sends the requests; nil is http.DefaultClient.
	HTTP *http.Client
	// Credentials are sent to Server, and not to where it redirects.
	Credentials Credentials
	// Pause waits for d, or until ctx ends, before a request is made again; nil
	// does so by the clock.
	Pause func(ctx context.Context, d time.Duration)
}

// ErrDamaged means that bytes did not survive the way between client and
// gateway, or that the gateway sent others than it was asked for.
var ErrDamaged = errors.New("the bytes are not the ones expected")

// Stored is the gateway's answer to an upload.
type Stored struct {
	Digest  digest.Digest `json:"digest"`
	Digests struct {
		SHA256 string `json:"sha256"`
		BLAKE3 string `json:"blake3"`
	} `json:"digests"`
	Size        int64      `json:"size"`
	Existed     bool       `json:"existed"`
	BackendID   string     `json:"backend_id"`
	LeasedUntil *time.Time `json:"leased_until"` // nil: for ever
}

// PutOptions route an upload. Empty fields leave it to the gateway.
type PutOptions struct {
	Producer       string
	RetentionClass string
}

// Put uploads r to its end. Its digest travels behind it in a trailer, so that
// the gateway refuses what was damaged on the way.
func (c *Client) Put(ctx context.Context, r io.Reader, o PutOptions) (Stored, error) {
	query := url.Values{}
	if o.Producer != "" {
		query.Set("producer", o.Producer)
	}
	if o.RetentionClass != "" {
		query.Set("retention_class", o.RetentionClass)
	}
	body := &hashing{r: r, hash: digest.NewHasher()}
	req, err := c.request(ctx, http.MethodPost, "/v1/blobs", query, body)
	if err != nil {
		return Stored{}, err
	}
	req.ContentLength = -1 // only a chunked body has a trailer
	req.Trailer = http.Header{"Repr-Digest": nil}
	body.trailer = req.Trailer
	resp, err := c.do(req, http.StatusOK, http.StatusCreated)
	if err != nil {
		return Stored{}, err
	}
	defer drain(resp)
	var s Stored
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return Stored{}, fmt.Errorf("read the gateway's answer: %w", err)
	}
	if id := body.hash.Identity(); s.Digest != id.SHA256 || s.Size != id.Size || s.Digests.BLAKE3 != id.BLAKE3.Hex() {
		return Stored{}, fmt.Errorf("%w: sent %s, the gateway stored %s", ErrDamaged, id.SHA256, s.Digest)
	}
	return s, nil
}

// hashing is a body that puts its digest into the trailer when it ends.
type hashing struct {
	r       io.Reader
	hash    *digest.Hasher
	trailer http.Header
}

func (h *hashing) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.hash.Write(p[:n])
	if err == io.EOF {
		h.trailer.Set("Repr-Digest", reprDigest(h.hash.Identity().SHA256))
	}
	return n, err
}

// Size returns the size of a blob in bytes.
func (c *Client) Size(ctx context.Context, d digest.Digest) (int64, error) {
	req, err := c.request(ctx, http.MethodHead, "/v1/blobs/"+d.String(), nil, nil)
	if err != nil {
		return 0, err
	}
	resp, err := c.do(req, http.StatusOK)
	if err != nil {
		return 0, err
	}
	drain(resp)
	return resp.ContentLength, nil
}

// Event is a record of the log, its data as JSON.
type Event struct {
	Position uint64          `json:"position"`
	Time     time.Time       `json:"time"`
	Type     string          `json:"type"`
	Actor    string          `json:"actor"`
	Subject  string          `json:"subject"`
	Data     json.RawMessage `json:"data"`
}

// Events returns a page of events after a position, and the position to go on
// after. It waits up to wait for the first.
func (c *Client) Events(ctx context.Context, after uint64, limit int, wait time.Duration) (page []Event, next uint64, err error) {
	query := url.Values{
		"after": {strconv.FormatUint(after, 10)},
		"limit": {strconv.Itoa(limit)},
		"wait":  {wait.String()},
	}
	req, err := c.request(ctx, http.MethodGet, "/v1/events", query, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := c.do(req, http.StatusOK)
	if err != nil {
		return nil, 0, err
	}
	defer drain(resp)
	var body struct {
		Events []Event `json:"events"`
		Next   uint64  `json:"next"`
	}
	if err := json.NewDecoder(bufio.NewReader(resp.Body)).Decode(&body); err != nil {
		return nil, 0, fmt.Errorf("read events: %w", err)
	}
	return body.Events, body.Next, nil
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Request, error) {
	u := strings.TrimSuffix(c.Server, "/") + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return http.NewRequestWithContext(ctx, method, u, body)
}

// do sends a request and turns every answer but the wanted ones into an error.
func (c *Client) do(req *http.Request, want ...int) (*http.Response, error) {
	resp, err := c.sender().Do(req)
	if err != nil {
		return nil, err
	}
	for _, status := range want {
		if resp.StatusCode == status {
			return resp, nil
		}
	}
	defer drain(resp)
	e := &Error{}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	_ = json.Unmarshal(text, e) // an answer that is no problem document leaves the status
	e.Status = resp.StatusCode
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n > 0 {
		e.RetryAfter = time.Duration(min(n, int(longestPause/time.Second))) * time.Second
	}
	return nil, e
}

// drain lets the connection be used again where little is left to read.
func drain(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
}
