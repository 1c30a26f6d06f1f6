package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The settings of the gateway that is killed: what is abandoned is swept after
// seconds, so that the test can see it go.
const crashGrace = 6 * time.Second

// crashAcknowledged is how many uploads must have been acknowledged for the test to
// show something.
const crashAcknowledged = 20

var crashEnv = []string{"ARTIFACTSTORE_RETENTION_UPLOAD_GRACE=" + crashGrace.String(), "ARTIFACTSTORE_LIMITS_IDLE=5s"}

// TestCrash kills a gateway (SIGKILL) at random moments, most of them under
// concurrent uploads and some while it starts, starts it again on the same data
// and audits: what was acknowledged is whole and right, no wrong byte is served,
// the log has no gap, the registry agrees with its log, every object has the
// name of its content, and staging empties after its time.
func TestCrash(t *testing.T) {
	rounds := 32
	if testing.Short() {
		rounds = 5
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed) // of the moments and the contents; processes have their own
	c := &crasher{t: t, dir: t.TempDir(), program: command(t), random: rand.New(rand.NewPCG(seed, 1)), acked: map[string]content{}}
	// A slow machine acknowledges little in a round: some more then.
	for round := 0; round < rounds || len(c.acked) < crashAcknowledged && round < 10*rounds; round++ {
		c.round(uint64(round))
	}
	c.audit()
}

// crasher is a gateway that is killed again and again, and what it promised.
type crasher struct {
	t       *testing.T
	dir     string
	program string
	random  *rand.Rand

	mu    sync.Mutex
	acked map[string]content // by digest
	last  []string           // digests acknowledged in this round
}

// content says which bytes a client sent: they can be made again from it.
type content struct {
	seed uint64
	size int
}

func (c content) bytes() []byte {
	p := make([]byte, c.size)
	var key [32]byte
	for i := range 8 {
		key[i] = byte(c.seed >> (8 * i))
	}
	rand.NewChaCha8(key).Read(p)
	return p
}

// crashSizes are around the borders of the way in.
var crashSizes = []int{0, 1, 4096, 256<<10 - 1, 256 << 10, 256<<10 + 1, 1 << 20, 5<<20 + 3}

// round starts the gateway, looks at what the round before was promised, sends
// uploads and kills.
func (c *crasher) round(n uint64) {
	s, err := launch(c.program, c.dir, crashEnv...)
	if err != nil {
		c.t.Fatal(err)
	}
	if n%6 == 5 { // while it starts: opens files, looks at its schema
		time.Sleep(time.Duration(c.random.IntN(int(250 * time.Millisecond))))
		s.kill()
		return
	}
	defer s.kill()
	if err := s.wait(); err != nil {
		c.t.Fatalf("round %d: %v", n, err)
	}
	c.look(s, c.last)
	c.last = nil
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for i := range uint64(6) {
		random := rand.New(rand.NewPCG(n, i))
		clients.Go(func() { c.upload(ctx, s.url, random) })
	}
	time.Sleep(20*time.Millisecond + time.Duration(c.random.IntN(int(400*time.Millisecond))))
	s.kill()
	cancel()
	clients.Wait()
	if strings.Contains(s.logged(), "DATA RACE") || strings.Contains(s.logged(), `"msg":"panic"`) {
		c.t.Fatalf("round %d: the gateway says:\n%s", n, s.logged())
	}
}

// upload sends one content after the other until the gateway is gone, and notes
// what it acknowledged. Every third time it reads something back.
func (c *crasher) upload(ctx context.Context, url string, random *rand.Rand) {
	for i := 0; ctx.Err() == nil; i++ {
		// Few seeds for large sizes, so that several clients send one content at once.
		one := content{seed: random.Uint64N(1 << 40), size: crashSizes[random.IntN(len(crashSizes))]}
		if one.size > 1<<20 {
			one.seed %= 50
		}
		if !c.send(ctx, url, one, random.IntN(3)) {
			return
		}
		if i%3 == 2 {
			c.lookAtOne(ctx, url, random)
		}
	}
}

// send uploads a content in one of three ways, and reports whether the gateway
// still answers.
func (c *crasher) send(ctx context.Context, url string, one content, way int) bool {
	body := one.bytes()
	sum := sha256.Sum256(body)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	method, path, reader := http.MethodPost, "/v1/blobs", io.Reader(bytes.NewReader(body))
	switch way {
	case 1: // the digest known beforehand
		method, path = http.MethodPut, path+"/"+digest
	case 2: // of unknown length
		reader = struct{ io.Reader }{reader}
	}
	req, err := http.NewRequestWithContext(ctx, method, url+path, reader)
	if err != nil {
		c.t.Error(err)
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false // killed
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		text, _ := io.ReadAll(resp.Body)
		c.t.Errorf("upload of %d bytes: %s: %s", one.size, resp.Status, text)
		return false
	}
	// The status is the promise: it holds even where the rest of the answer was cut off.
	if got := resp.Header.Get("Location"); got != "/v1/blobs/"+digest {
		c.t.Errorf("upload of %s: location %q", digest, got)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked[digest] = one
	c.last = append(c.last, digest)
	return true
}

// lookAtOne reads something that was acknowledged, in whatever round, while
// uploads run. Only a whole answer counts: the gateway may be killed meanwhile.
func (c *crasher) lookAtOne(ctx context.Context, url string, random *rand.Rand) {
	c.mu.Lock()
	var digest string
	if n := len(c.last); n > 0 {
		digest = c.last[random.IntN(n)]
	}
	c.mu.Unlock()
	if digest == "" {
		return
	}
	if err := fetchBlob(ctx, url, digest); err != nil && !isBroken(err) {
		c.t.Errorf("beside uploads: %v", err)
	}
}

// look reads the given blobs from a gateway that nobody kills.
func (c *crasher) look(s *server, digests []string) {
	for _, d := range digests {
		if err := fetchBlob(context.Background(), s.url, d); err != nil {
			c.t.Errorf("acknowledged and then: %v", err)
		}
	}
}

// brokenError is an answer that did not come, or not to its end.
type brokenError struct{ error }

func isBroken(err error) bool { _, ok := err.(brokenError); return ok }

// fetchBlob reads a blob and compares its bytes with its name.
func fetchBlob(ctx context.Context, url, digest string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/blobs/"+digest, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return brokenError{fmt.Errorf("get %s: %w", digest, err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("get %s: %s", digest, resp.Status)
	}
	h := sha256.New()
	if _, err := io.Copy(h, resp.Body); err != nil {
		return brokenError{fmt.Errorf("get %s: %w", digest, err)}
	}
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); got != digest {
		return fmt.Errorf("get %s: received %s", digest, got)
	}
	return nil
}

// audit looks at everything, on a gateway that was started once more.
func (c *crasher) audit() {
	s := start(c.t, c.program, c.dir, crashEnv...)
	if len(c.acked) < crashAcknowledged {
		c.t.Errorf("only %d uploads were acknowledged: the test shows little", len(c.acked))
	}
	for d := range c.acked {
		c.look(s, []string{d})
	}
	recorded := c.auditEvents(s)
	check := exec.Command(c.program, "registry", "check")
	check.Dir = c.dir
	if out, err := check.CombinedOutput(); err != nil {
		c.t.Errorf("registry check: %v\n%s", err, out)
	}
	c.auditStaging()
	if err := s.stop(); err != nil {
		c.t.Errorf("the last gateway: %v\n%s", err, s.logged())
	}
	objects := c.auditObjects(recorded)
	c.t.Logf("%d blobs acknowledged, %d recorded, %d objects on disk", len(c.acked), len(recorded), objects)
}

// auditEvents reads the whole feed: positions without a gap, and of every
// acknowledged blob that it was stored, where, and for whom it is kept. It
// returns the blobs that have a location.
func (c *crasher) auditEvents(s *server) (recorded []string) {
	said := map[string]int{} // bits by digest
	bits := map[string]int{"v1.storage.blob_stored": 1, "v1.storage.location_recorded": 2, "v1.storage.blob_leased": 4}
	var last uint64
	for {
		resp, err := http.Get(fmt.Sprintf("%s/v1/events?after=%d&limit=1000", s.url, last))
		if err != nil {
			c.t.Fatal(err)
		}
		var page struct {
			Events []struct {
				Position      uint64
				Type, Subject string
			}
		}
		err = json.NewDecoder(resp.Body).Decode(&page)
		resp.Body.Close()
		if err != nil {
			c.t.Fatal(err)
		}
		for _, e := range page.Events {
			if last++; e.Position != last {
				c.t.Fatalf("position %d follows %d", e.Position, last-1)
			}
			said[e.Subject] |= bits[e.Type]
			if e.Type == "v1.storage.location_failed" {
				c.t.Errorf("event %d: a location of %s failed", e.Position, e.Subject)
			}
		}
		if len(page.Events) == 0 {
			break
		}
	}
	for d := range c.acked {
		if said[d] != 7 {
			c.t.Errorf("%s is acknowledged and the log does not say all of it (%b)", d, said[d])
		}
	}
	for d, what := range said {
		if what&2 != 0 {
			recorded = append(recorded, d)
		}
	}
	return recorded
}

// auditStaging waits until the gateway's sweep has taken all that crashes left.
func (c *crasher) auditStaging() {
	var left []string
	for until := time.Now().Add(crashGrace + time.Minute); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		left = nil
		for name := range c.files() {
			if strings.Contains(name, ".staging/") {
				left = append(left, name)
			}
		}
		if len(left) == 0 {
			return
		}
	}
	c.t.Errorf("left in staging after its time: %q", left)
}

// auditObjects compares every object with its name, those included that a crash
// left without a row, and returns their number. What is recorded must be there,
// acknowledged or not: a crash may leave garbage, never a lie.
func (c *crasher) auditObjects(recorded []string) (n int) {
	found := map[string]bool{}
	for name := range c.files() {
		if name == "format" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(c.dir, "artifactstore-data/blobs", name))
		if err != nil {
			c.t.Error(err)
		}
		sum := sha256.Sum256(text)
		if hex.EncodeToString(sum[:]) != filepath.Base(name) {
			c.t.Errorf("object %s has content %x", name, sum)
		}
		found["sha256:"+filepath.Base(name)] = true
		n++
	}
	for _, d := range recorded {
		if !found[d] {
			c.t.Errorf("%s is recorded and has no object", d)
		}
	}
	return n
}

// files yields the files below the backend's root.
func (c *crasher) files() func(yield func(string) bool) {
	root := filepath.Join(c.dir, "artifactstore-data/blobs")
	return func(yield func(string) bool) {
		filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil // a sweep may have taken it
			}
			rel, _ := filepath.Rel(root, name)
			if !yield(filepath.ToSlash(rel)) {
				return fs.SkipAll
			}
			return nil
		})
	}
}
