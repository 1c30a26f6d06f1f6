package rot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"artifactstore/backends/s3/s3test"
	"artifactstore/registry"
	"artifactstore/registry/sqlite"
)

// leastReads is how often each killed run has asked for an object at least. A run
// that dies has read in vain a batch of 64 events and what two workers had in their
// hands. No object is read a third time where the next run lives to record these,
// one by one; some may be wrong, and are read twice.
const leastReads = 64 + 2*2 + 12

// TestVerifyKilledTenTimes kills `storage verify` (SIGKILL) at ten random moments, and
// once more where all is read and it looks for objects that the registry does not
// know. It is started again each time. The end is that of a run that nobody killed: report,
// exit status and events are the same, and the object store was asked for no object
// more than twice; for those that are wrong twice as often, because what looks wrong
// is read a second time before it is believed.
func TestVerifyKilledTenTimes(t *testing.T) {
	n, kills := 2000, 10
	if testing.Short() {
		n, kills = 600, 4
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	counted, server := newCounter(t, s3test.Fake(t))
	s := newStore(t, "sqlite:./registry.db", &server)
	want := s.fillAndSpoil(n, random)
	whole := s.twin()
	unkilled := whole.verify(3, "--backend", "main")

	counted.forget()
	span := n/kills - heldBack - leastReads // so that none comes to the end
	for kill := range kills {
		reads := leastReads + random.IntN(span)
		reached, release := counted.holdAfter(reads)
		s.verifyUntil(reached, release, time.Duration(random.IntN(int(20*time.Millisecond))))
		t.Logf("killed for the time %d after %d reads, with %d events", kill+1, counted.total(), len(s.verified()))
	}
	if told := len(s.verified()); told == 0 || told >= n {
		t.Errorf("%d objects were recorded before the last run", told)
	}
	reached, release := counted.holdLists()
	s.verifyUntil(reached, release, 0)
	reads := counted.total()
	last := s.verify(3, "--backend", "main")
	if again := counted.total() - reads; again != 0 {
		t.Errorf("%d reads after all was read", again)
	}

	if diff := cmp.Diff(unkilled, last); diff != "" {
		t.Errorf("the report of a run that was killed: %s", diff)
	}
	if diff := cmp.Diff(whole.verified(), s.verified()); diff != "" || len(s.verified()) != n {
		t.Errorf("its %d events: %s", len(s.verified()), diff)
	}
	if last.Seen != int64(n) || last.Results["ok"] != int64(n-len(want)) || len(last.Failures) != len(want) {
		t.Errorf("it found %+v", last)
	}
	counted.atMostTwice(t, n, want)
	if s.runs() != 1 {
		t.Errorf("%d runs: it was begun anew", s.runs())
	}
}

// fillAndSpoil stores n real files, spoils some and ends the gateway. It returns the
// reasons by digest.
func (s *store) fillAndSpoil(n int, random *rand.Rand) map[string]string {
	s.t.Helper()
	files := realFiles(s.t, n)
	for _, f := range files {
		f.copied = false
	}
	s.pushAll(files)
	s.stop()
	want := map[string]string{}
	for i, at := range random.Perm(n)[:24] {
		f := files[at]
		want[f.digest] = s.spoil(i%4, f, files[(at+1)%n], random)
	}
	return want
}

// twin is the same store with a copy of the registry.
func (s *store) twin() *store {
	s.t.Helper()
	other := *s
	other.dir = s.t.TempDir()
	for _, name := range []string{"registry.db", "registry.db-wal", "artifactstore.yaml"} {
		content, err := os.ReadFile(filepath.Join(s.dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(other.dir, name), content, 0o600)
		}
		if err != nil && !(os.IsNotExist(err) && strings.HasSuffix(name, "-wal")) {
			s.t.Fatal(err)
		}
	}
	return &other
}

// verifyUntil runs the command until something is reached, and kills it then or a
// little later. Then the claim of the dead ends, as it would by itself half a minute
// later.
func (s *store) verifyUntil(reached <-chan struct{}, release func(), later time.Duration) {
	s.t.Helper()
	defer release()
	cmd := s.command("storage", "verify", "--json", "--backend", "main")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		s.t.Fatalf("it ended before it was killed: %v\n%s", err, stderr.String())
	case <-time.After(startTime):
		cmd.Process.Kill()
		s.t.Fatalf("it does not come far enough: %v\n%s", <-ended, stderr.String())
	case <-reached:
	}
	time.Sleep(later)
	cmd.Process.Kill()
	var exit *exec.ExitError
	if err := <-ended; !errors.As(err, &exit) || exit.ExitCode() != -1 {
		s.t.Fatalf("it was not killed: %v\n%s", err, stderr.String())
	}
	s.endClaims()
}

// mostClaims is more than this test makes.
const mostClaims = 50

func (s *store) endClaims() {
	s.inRegistry(func(r *sqlite.Registry) error {
		var err error
		for token := range uint64(mostClaims) { // all but the last mean nothing
			err = errors.Join(err, r.Release(context.Background(), "verify/main", token))
		}
		return err
	})
}

func (s *store) inRegistry(do func(*sqlite.Registry) error) {
	s.t.Helper()
	r, err := sqlite.Open(context.Background(), sqlite.Options{Path: filepath.Join(s.dir, "registry.db")})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := errors.Join(do(r), r.Close()); err != nil {
		s.t.Fatal(err)
	}
}

// verified are the findings in the log, in the order of digests; one that is there
// twice is twice in it.
func (s *store) verified() (found []string) {
	s.t.Helper()
	s.inRegistry(func(r *sqlite.Registry) error {
		for record, err := range r.Since(context.Background(), 0) {
			if err != nil {
				return err
			}
			switch d := record.Data.(type) {
			case registry.LocationVerified:
				found = append(found, fmt.Sprint(d.Blob, " on ", d.BackendID, " is right: ", record.Actor))
			case registry.LocationFailed:
				found = append(found, fmt.Sprint(d.Blob, " on ", d.BackendID, " ", d.Reason, ": ", record.Actor))
			}
		}
		return nil
	})
	slices.Sort(found)
	return found
}

// runs is how many verifications main has had.
func (s *store) runs() int {
	s.t.Helper()
	s.serve()
	var list struct{ Verifications []struct{ Run string } }
	if err := json.Unmarshal([]byte(s.text("/v1/backends/main/verifications")), &list); err != nil {
		s.t.Fatal(err)
	}
	return len(list.Verifications)
}

// counter stands before an object store, counts how often each object was asked
// for, and can hold back answers.
type counter struct {
	*httputil.ReverseProxy

	mu    sync.Mutex
	n     map[string]int // by digest
	sum   int
	left  int           // objects until reach is closed
	lists bool          // a list closes it
	reach chan struct{} // nil where nothing is held
	hold  chan struct{} // closed when it is let go
}

func newCounter(t *testing.T, server s3test.Server) (*counter, s3test.Server) {
	t.Helper()
	target, err := url.Parse(server.EndpointURL)
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{n: map[string]int{}, ReverseProxy: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which the signature covers
		},
		ErrorLog: log.New(io.Discard, "", 0), // who was killed hears no answer
	}}
	front := httptest.NewServer(c)
	t.Cleanup(func() { front.CloseClientConnections(); front.Close() })
	server.EndpointURL = front.URL
	return c, server
}

// heldBack is how many objects are answered after the moment at which the reader is
// killed: a machine that is slow to kill lets it go no further.
const heldBack = 20

// ServeHTTP implements http.Handler.
func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, digest, object := strings.Cut(r.URL.Path, "/sha256/")
	var wait chan struct{}
	switch {
	case r.Method == "GET" && object:
		wait = c.count("sha256:" + digest[len("ab/cd/"):])
	case r.Method == "GET" && r.URL.Query().Has("list-type"):
		wait = c.list()
	}
	if wait != nil {
		select {
		case <-wait:
		case <-r.Context().Done():
		}
	}
	c.ReverseProxy.ServeHTTP(w, r)
}

// count notes a read, and returns what it has to wait for.
func (c *counter) count(digest string) (wait chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[digest]++
	c.sum++
	if c.reach == nil || c.lists {
		return nil
	}
	switch c.left--; {
	case c.left == 0:
		close(c.reach)
	case c.left < -heldBack:
		return c.hold
	}
	return nil
}

func (c *counter) list() (wait chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reach == nil || !c.lists {
		return nil
	}
	if c.left--; c.left == 0 {
		close(c.reach)
	}
	return c.hold
}

// holdAfter returns what is closed after so many reads from now on. A few later it
// answers no more until release is called.
func (c *counter) holdAfter(reads int) (reached <-chan struct{}, release func()) {
	return c.holdAt(reads, false)
}

// holdLists returns what is closed when a list is asked for, which is answered when
// release is called.
func (c *counter) holdLists() (reached <-chan struct{}, release func()) { return c.holdAt(1, true) }

func (c *counter) holdAt(left int, lists bool) (reached <-chan struct{}, release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.lists, c.reach, c.hold = left, lists, make(chan struct{}), make(chan struct{})
	return c.reach, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		close(c.hold)
		c.reach = nil
	}
}

func (c *counter) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n, c.sum = map[string]int{}, 0
}

func (c *counter) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sum
}

// atMostTwice demands that n objects were asked for, none too often.
func (c *counter) atMostTwice(t *testing.T, n int, wrong map[string]string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	again := 0
	for digest, times := range c.n {
		most := 2
		if wrong[digest] != "" {
			most = 4
		}
		if times > most {
			t.Errorf("%s was read %d times", digest, times)
		}
		if times > 1 && wrong[digest] == "" {
			again++
		}
	}
	if len(c.n) != n || again == 0 {
		t.Errorf("%d objects were read, %d of them twice", len(c.n), again)
	}
	t.Logf("%d reads of %d objects; %d that are right were read twice", c.sum, len(c.n), again)
}
