package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"artifactstore/backends/s3/s3test"
	"artifactstore/registry/postgres/pgtest"
)

// TestResumeAnywhere pushes one blob in chunks and kills the gateway (SIGKILL)
// that takes a chunk, again and again at random bytes of it. Another gateway on
// the same registry and backend, which has run all the time, goes on from the
// offset that was acknowledged: never an earlier one, and a later one only where
// the chunk was whole. The digest at the end is right, although no gateway saw
// all the bytes, and the bytes come back.
func TestResumeAnywhere(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() {
		size = 96 << 20
	}
	t.Run("sqlite+local", func(t *testing.T) {
		dir := t.TempDir()
		resumeAnywhere(t, dir, nil, size)
		var left []string
		filepath.WalkDir(filepath.Join(dir, "artifactstore-data/blobs"), func(name string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				left = append(left, name)
			}
			return nil
		})
		if len(left) != 2 { // the blob, and the file that says how they are laid out
			t.Errorf("left on the disk: %q", left)
		}
	})
	if testing.Short() {
		return
	}
	t.Run("postgres+rgw", func(t *testing.T) {
		dir := shape(t, s3test.RGW(t), pgtest.New(t))
		name := filepath.Join(dir, "artifactstore.yaml")
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Replace(text, []byte("default: disk"), []byte("default: bucket"), 1)
		if err := os.WriteFile(name, changed, 0o600); err != nil || bytes.Equal(changed, text) {
			t.Fatal(err)
		}
		resumeAnywhere(t, dir, []string{"ARTIFACTSTORE_CONFIG=artifactstore.yaml"}, 160<<20)
	})
}

// resumeChunks is in how many chunks the blob goes.
const resumeChunks = 16

func resumeAnywhere(t *testing.T, dir string, env []string, size int64) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := &resumer{t: t, dir: dir, env: env, random: rand.New(rand.NewPCG(seed, 1)), block: make([]byte, 1<<20), size: size}
	rand.NewChaCha8([32]byte{1}).Read(r.block)
	r.gateways = [2]*server{r.launch(), r.launch()}
	r.location = r.ask("POST", "/v2/a/blobs/uploads/", nil, 0, 202).Header.Get("Location")
	for n := range int64(resumeChunks) {
		r.upTo(size*(n+1)/resumeChunks, n%2 == 1)
	}
	if r.kills < 8 {
		t.Errorf("only %d gateways were killed", r.kills)
	}
	sum := sha256.New()
	io.Copy(sum, r.content(0, size))
	digest := fmt.Sprintf("sha256:%x", sum.Sum(nil))
	r.ask("PUT", r.location+"?digest="+digest, nil, 0, 201)
	for _, g := range r.gateways {
		r.current = g
		if err := fetchBlob(t.Context(), g.url, digest); err != nil {
			t.Error(err)
		}
	}
}

// resumer is a client that pushes one blob through gateways that are killed.
type resumer struct {
	t        *testing.T
	dir      string
	env      []string
	random   *rand.Rand
	block    []byte
	size     int64
	gateways [2]*server
	current  *server // nil: the first
	location string
	sent     int64 // acknowledged
	kills    int
}

func (r *resumer) launch() *server {
	return start(r.t, shipped(r.t), r.dir, r.env...)
}

// content returns the bytes of the blob from one offset to another. Each block of
// 1 MiB differs from every other.
func (r *resumer) content(from, to int64) io.Reader {
	var all []io.Reader
	for at := from; at < to; {
		n := at >> 20
		block := blockReader{r.block, uint64(n), at & (1<<20 - 1), min(1<<20, to-n<<20)}
		all = append(all, &block)
		at = min((n+1)<<20, to)
	}
	return io.MultiReader(all...)
}

// blockReader reads a block that begins with its number.
type blockReader struct {
	block    []byte
	number   uint64
	off, end int64
}

func (b *blockReader) Read(p []byte) (int, error) {
	if b.off >= b.end {
		return 0, io.EOF
	}
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], b.number)
	from := b.block[b.off:b.end]
	if b.off < 8 {
		from = number[b.off:min(8, b.end)]
	}
	n := copy(p, from)
	b.off += int64(n)
	return n, nil
}

// do sends a request with the blob's bytes from what was acknowledged to an
// offset.
func (r *resumer) do(method, path string, body io.Reader, n int64) (*http.Response, error) {
	g := r.current
	if g == nil {
		g = r.gateways[0]
	}
	req, err := http.NewRequest(method, g.url+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	if n > 0 {
		req.ContentLength = n
		req.Header.Set("Content-Range", fmt.Sprintf("%d-%d", r.sent, r.sent+n-1))
	}
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
	}
	return resp, err
}

// ask sends a request that must be answered with a status.
func (r *resumer) ask(method, path string, body io.Reader, n int64, status int) *http.Response {
	r.t.Helper()
	resp, err := r.do(method, path, body, n)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	if resp.StatusCode != status {
		r.t.Fatalf("%s %s: %s, want %d", method, path, resp.Status, status)
	}
	return resp
}

// upTo brings the upload to an offset; where it should, it kills the gateway that
// is to take the bytes, and goes on at the other.
func (r *resumer) upTo(end int64, kill bool) {
	if kill {
		i := r.kills % len(r.gateways)
		r.current = r.gateways[i]
		r.killWithin(end)
		r.gateways[i], r.current = r.launch(), r.gateways[1-i]
		r.status(end)
	}
	if n := end - r.sent; n > 0 {
		resp := r.ask("PATCH", r.location, r.content(r.sent, end), n, 202)
		r.location, r.sent = resp.Header.Get("Location"), end
	}
}

// killWithin sends a chunk and kills its gateway after some bytes of it; every
// third time after the last, where it may have been acknowledged or not.
func (r *resumer) killWithin(end int64) {
	n := end - r.sent
	after := 1 + r.random.Int64N(n-1)
	if r.kills%3 == 2 {
		after = n
	}
	r.kills++
	body := &deadly{Reader: r.content(r.sent, end), left: after, kill: r.current.kill}
	resp, err := r.do("PATCH", r.location, body, n)
	if !body.dead {
		r.t.Fatalf("the gateway was not killed: %v, %v", resp, err)
	}
	if err == nil && resp.StatusCode == 202 {
		r.location, r.sent = resp.Header.Get("Location"), end
	}
}

// status asks for the offset, which is what was acknowledged or, where nobody
// heard the answer, the end of the chunk.
func (r *resumer) status(end int64) {
	r.t.Helper()
	var last int64
	resp := r.ask("GET", r.location, nil, 0, 204)
	if _, err := fmt.Sscanf(strings.TrimSpace(resp.Header.Get("Range")), "0-%d", &last); err != nil {
		r.t.Fatalf("range %q", resp.Header.Get("Range"))
	}
	whole := r.kills%3 == 0
	if offset := last + 1; offset != r.sent && !(whole && offset == end) {
		r.t.Fatalf("acknowledged were %d bytes; the other gateway goes on at %d (chunk to %d)", r.sent, offset, end)
	}
	r.sent = last + 1
}

// deadly is a body that kills its receiver after some bytes.
type deadly struct {
	io.Reader
	left int64
	kill func()
	dead bool
}

func (d *deadly) Read(p []byte) (int, error) {
	if d.left == 0 && !d.dead {
		d.dead = true
		d.kill()
	}
	if d.dead {
		return 0, io.EOF
	}
	n, err := d.Reader.Read(p[:min(int64(len(p)), d.left)])
	d.left -= int64(n)
	return n, err
}
