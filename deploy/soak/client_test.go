package soak

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// content says which bytes a client sent: they can be made again from it.
type content struct {
	seed uint64
	size int
}

func (c content) bytes() []byte {
	p := make([]byte, c.size)
	rand.NewChaCha8([32]byte{byte(c.seed), byte(c.seed >> 8), byte(c.seed >> 16), byte(c.seed >> 24)}).Read(p)
	return p
}

func digestOf(p []byte) string {
	sum := sha256.Sum256(p)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// sizes are small ones, and some that go in parts.
var sizes = []int{0, 1, 4096, 256<<10 - 1, 256<<10 + 1, 1 << 20, 5<<20 + 1, 11<<20 + 3}

// load is what all clients send and what they were promised.
type load struct {
	t        *testing.T
	gateways []*gateway
	client   *http.Client

	mu       sync.Mutex
	sent     map[string]bool    // digests of which an upload began
	acked    map[string]content // digests that were acknowledged
	order    []string           // the same
	outcomes map[string]int     // by what happened
}

func newLoad(t *testing.T, gateways ...*gateway) *load {
	return &load{
		t: t, gateways: gateways, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}},
		sent: map[string]bool{}, acked: map[string]content{}, outcomes: map[string]int{},
	}
}

func (l *load) count(outcome string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes[outcome]++
}

// run is one client, until the context ends.
func (l *load) run(ctx context.Context, random *rand.Rand) {
	for ctx.Err() == nil {
		one := content{seed: random.Uint64N(1 << 32), size: sizes[random.IntN(len(sizes))]}
		if one.size > 1<<20 {
			one.seed %= 20 // so that clients send one content at once
		}
		switch random.IntN(6) {
		case 0, 1:
			l.upload(ctx, random, one, http.MethodPost)
		case 2:
			l.upload(ctx, random, one, http.MethodPut)
		case 3:
			l.push(ctx, random, one)
		default:
			l.lookBack(ctx, random)
		}
		if ctx.Err() == nil {
			time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond) // a pause of thought: 2 processors are shared
		}
	}
}

func (l *load) any(random *rand.Rand) string {
	return l.gateways[random.IntN(len(l.gateways))].url()
}

func (l *load) begin(digest string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[digest] = true
}

func (l *load) acknowledged(digest string, one content, how string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes[how+" acknowledged"]++
	if _, ok := l.acked[digest]; !ok {
		l.order = append(l.order, digest)
	}
	l.acked[digest] = one
}

// upload sends a content whole, its digest known (PUT) or not (POST).
func (l *load) upload(ctx context.Context, random *rand.Rand, one content, method string) {
	body := one.bytes()
	digest, path := digestOf(body), "/v1/blobs"
	var r io.Reader = bytes.NewReader(body)
	if method == http.MethodPut {
		path += "/" + digest
	} else if random.IntN(2) == 0 {
		r = struct{ io.Reader }{r} // of unknown length
	}
	l.begin(digest)
	a := l.do(ctx, method, l.any(random)+path, r)
	switch a.status {
	case 200, 201:
		l.acknowledged(digest, one, method)
	case 0, 503: // killed, or something it needs was away for a moment
	default:
		l.t.Errorf("%s of %d bytes: %d: %s", method, one.size, a.status, a.body)
	}
}

// push sends a content in chunks, each to whatever gateway comes. What a gateway
// kept of a chunk, when it was killed, the session says.
func (l *load) push(ctx context.Context, random *rand.Rand, one content) {
	one.size += 2 // see answer.offset
	body := one.bytes()
	digest := digestOf(body)
	l.begin(digest)
	a := l.do(ctx, http.MethodPost, l.any(random)+"/v2/soak/images/blobs/uploads/", nil)
	if a.status != 202 {
		l.unexpected(a, "begin of a session")
		return
	}
	session, offset := a.session(), 0
	for tries := 0; offset < len(body) && tries < 20 && ctx.Err() == nil; tries++ {
		end := min(len(body), offset+2+random.IntN(3<<20))
		a = l.do(ctx, http.MethodPatch, l.any(random)+session, bytes.NewReader(body[offset:end]),
			"Content-Range", fmt.Sprintf("%d-%d", offset, end-1), "Content-Type", "application/octet-stream")
		if a.status != 202 {
			l.unexpected(a, "chunk", 416)
			if a = l.do(ctx, http.MethodGet, l.any(random)+session, nil); a.status != 204 {
				l.unexpected(a, "status of a session")
				continue
			}
		}
		session, offset = a.session(), a.offset()
	}
	if offset < len(body) {
		return
	}
	for range 5 { // whether a lost answer was yes, the next tells or the blob itself
		a = l.do(ctx, http.MethodPut, l.any(random)+session+"?digest="+digest, nil)
		if a.status == 201 {
			l.acknowledged(digest, one, "push")
			return
		}
		if l.unexpected(a, "end of a session", 404); a.status == 404 {
			return
		}
	}
}

// unexpected fails the test for a refusal that no kill explains.
func (l *load) unexpected(a answer, what string, also ...int) {
	for _, ok := range append(also, 0, 503) {
		if a.status == ok {
			return
		}
	}
	l.t.Errorf("%s: %d: %s", what, a.status, a.body)
}

// lookBack reads something that was acknowledged, whole or in part.
func (l *load) lookBack(ctx context.Context, random *rand.Rand) {
	l.mu.Lock()
	n := len(l.order)
	if n == 0 {
		l.mu.Unlock()
		return
	}
	digest := l.order[n-1-random.IntN(min(n, 50))]
	one := l.acked[digest]
	l.mu.Unlock()
	want, fields, status := one.bytes(), []string(nil), 200
	if one.size > 0 && random.IntN(2) == 0 {
		from := random.IntN(one.size)
		to := from + random.IntN(one.size-from)
		want, fields, status = want[from:to+1], []string{"Range", fmt.Sprintf("bytes=%d-%d", from, to)}, 206
	}
	a := l.do(ctx, http.MethodGet, l.any(random)+"/v1/blobs/"+digest, nil, fields...)
	switch {
	case a.status == 0 || a.status == 503:
	case a.status != status || !bytes.Equal(a.body, want):
		l.t.Errorf("get %s %v: %d with %d bytes, want %d with %d", digest, fields, a.status, len(a.body), status, len(want))
	default:
		l.count("read")
	}
}

// answer is a whole one; its status is 0 where none came, or none to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// session returns the path of an upload, without what its place adds to it.
func (a answer) session() string {
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		return ""
	}
	return u.Path
}

// offset returns how much of a session is there. 0-0 says one byte or none, and
// no chunk here has one.
func (a answer) offset() int {
	_, last, _ := strings.Cut(a.header.Get("Range"), "-")
	n, err := strconv.Atoi(last)
	if err != nil || n == 0 {
		return 0
	}
	return n + 1
}

func (l *load) do(ctx context.Context, method, url string, body io.Reader, fields ...string) answer {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		l.t.Error(err)
		return answer{}
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := l.client.Do(req)
	if err != nil {
		l.count("no answer")
		return answer{}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode == 503 {
		l.count("503")
		if resp.Header.Get("Retry-After") == "" {
			l.t.Errorf("%s %s: 503 without Retry-After: %s", method, url, text)
		}
	}
	if err != nil && (method == http.MethodGet || resp.StatusCode/100 != 2) {
		l.count("answer cut off")
		return answer{}
	}
	return answer{resp.StatusCode, resp.Header, text} // of a write the status is the promise
}
