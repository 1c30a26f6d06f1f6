// Package soak runs several gateways as an operator does, as processes of the
// built program on one PostgreSQL and one Ceph RGW, kills them, and looks at what
// is left.
package soak

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"artifactstore/backends/s3/s3test"
	"artifactstore/registry/postgres/pgtest"
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "12") // what runs in parallel here waits; the command line overrides it
	pgtest.Main(m)
}

const (
	loadTime = 20 * time.Second
	clients  = 6
)

// TestTwoGateways lets two gateways share a database and a bucket under mixed
// load while each is killed (SIGKILL) at random and started again, and the database
// crashes now and then and recovers. Afterwards
// nothing that was acknowledged is lost, no wrong byte was ever served, the log
// has no gap, the registry agrees with its log, and once what was abandoned is
// swept nothing is left but objects of uploads that were made.
func TestTwoGateways(t *testing.T) {
	if testing.Short() {
		t.Skip("needs PostgreSQL and RGW, which -short does not start")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed) // of the moments and the contents; processes have their own
	database := pgtest.Start(t)
	s := newShape(t, s3test.RGW(t), database.New(t))
	// Long enough that no sweep takes what moves slowly on a machine with much to do.
	env := []string{"ARTIFACTSTORE_RETENTION_UPLOAD_GRACE=60s", "ARTIFACTSTORE_LIMITS_IDLE=10s"}
	a, b := &gateway{env: env}, &gateway{env: env}
	for _, g := range []*gateway{a, b} {
		err := g.start(s)
		t.Cleanup(func() { g.process.kill() })
		if err != nil {
			t.Fatal(err)
		}
	}
	l := newLoad(t, a, b)
	crashes := l.storm(s, database, seed)
	t.Logf("killed %d and %d times, the database %d; %v", a.kills, b.kills, crashes, l.outcomes)
	if a.kills < 2 || b.kills < 2 || crashes == 0 || len(l.acked) < 20 || l.outcomes["push acknowledged"] == 0 || l.outcomes["read"] == 0 {
		t.Errorf("%d and %d kills, %d contents acknowledged: the test shows little", a.kills, b.kills, len(l.acked))
	}
	l.audit(s)
}

// storm runs the clients and the killing, to the end of both, and returns how often
// the database was killed.
func (l *load) storm(s *shape, database *pgtest.Server, seed uint64) (crashes int) {
	ctx, cancel := context.WithTimeout(context.Background(), loadTime)
	defer cancel()
	var all sync.WaitGroup
	for i, g := range l.gateways {
		random := rand.New(rand.NewPCG(seed, uint64(100+i)))
		pause := func() time.Duration { return 500*time.Millisecond + time.Duration(random.IntN(int(3*time.Second))) }
		all.Go(func() {
			if err := g.suffer(s, pause, ctx.Done()); err != nil {
				l.t.Error(err)
			}
		})
	}
	all.Go(func() { crashes = l.crash(ctx, s, database, rand.New(rand.NewPCG(seed, 200))) })
	for i := range clients {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() { l.run(ctx, random) })
	}
	all.Wait()
	return crashes
}

// crash kills the database every few seconds and starts it again soon. No gateway is
// started meanwhile: it would refuse.
func (l *load) crash(ctx context.Context, s *shape, database *pgtest.Server, random *rand.Rand) (crashes int) {
	again := func() {
		s.starting.Lock()
		defer s.starting.Unlock()
		database.Stop(l.t)
		time.Sleep(time.Duration(random.IntN(int(500 * time.Millisecond))))
		database.Start(l.t)
	}
	for {
		select {
		case <-ctx.Done():
			return crashes
		case <-time.After(3*time.Second + time.Duration(random.IntN(int(4*time.Second)))):
			again()
			crashes++
		}
	}
}

func (l *load) audit(s *shape) {
	recorded := l.auditEvents()
	i := 0
	for digest := range recorded {
		l.auditBlob(l.gateways[i%len(l.gateways)].url(), digest)
		i++
	}
	if out, err := s.command("registry", "check").CombinedOutput(); err != nil {
		l.t.Errorf("registry check: %v\n%s", err, out)
	}
	l.auditRest(s, recorded)
}

// auditEvents reads the whole feed: positions without a gap, and of what was
// acknowledged all that an upload records. It returns the blobs that are stored.
func (l *load) auditEvents() map[string]bool {
	bits := map[string]int{"v1.storage.blob_stored": 1, "v1.storage.location_recorded": 2, "v1.storage.blob_leased": 4}
	said, recorded := map[string]int{}, map[string]bool{}
	for last := uint64(0); ; {
		var page struct {
			Events []struct {
				Position      uint64
				Type, Subject string
			}
		}
		url := fmt.Sprintf("%s/v1/events?after=%d&limit=1000", l.gateways[last%2].url(), last)
		if a := l.do(context.Background(), http.MethodGet, url, nil); a.status != 200 || json.Unmarshal(a.body, &page) != nil {
			l.t.Fatalf("events after %d: %d: %s", last, a.status, a.body)
		}
		if len(page.Events) == 0 {
			break
		}
		for _, e := range page.Events {
			if last++; e.Position != last {
				l.t.Fatalf("position %d follows %d", e.Position, last-1)
			}
			said[e.Subject] |= bits[e.Type]
			recorded[e.Subject] = recorded[e.Subject] || said[e.Subject]&2 != 0
			if e.Type == "v1.storage.location_failed" {
				l.t.Errorf("event %d: a location of %s failed", e.Position, e.Subject)
			}
		}
	}
	for digest := range l.acked {
		if said[digest]&3 != 3 {
			l.t.Errorf("%s is acknowledged and the log does not say it is stored (%b)", digest, said[digest])
		}
	}
	for digest, yes := range recorded {
		if !yes {
			delete(recorded, digest)
		}
	}
	return recorded
}

// auditBlob reads a blob that is recorded. One that no client was promised may
// be kept for nobody.
func (l *load) auditBlob(url, digest string) {
	resp, err := l.client.Get(url + "/v1/blobs/" + digest)
	if err != nil {
		l.t.Errorf("get %s: %v", digest, err)
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	_, promised := l.acked[digest]
	if err != nil || promised && resp.StatusCode != 200 || resp.StatusCode == 200 && digestOf(body) != digest {
		l.t.Errorf("get %s (acknowledged: %v): %s, %d bytes, %v", digest, promised, resp.Status, len(body), err)
	}
}

// auditRest ends the gateways and lets one with a short grace clean up. Then the
// bucket holds every object that is recorded and, besides, only whole ones of
// uploads that nobody was promised: a crash between the object and its row.
func (l *load) auditRest(s *shape, recorded map[string]bool) {
	for _, g := range l.gateways {
		g.process.kill()
	}
	g := l.gateways[0]
	g.env = []string{"ARTIFACTSTORE_RETENTION_UPLOAD_GRACE=2s", "ARTIFACTSTORE_LIMITS_IDLE=1s"}
	if err := g.start(s); err != nil {
		l.t.Fatal(err)
	}
	objects := l.swept(s)
	orphans := 0
	for key := range objects {
		digest := "sha256:" + key[strings.LastIndex(key, "/")+1:]
		if recorded[digest] {
			delete(recorded, digest)
			continue
		}
		orphans++
		if _, promised := l.acked[digest]; promised || !l.sent[digest] {
			l.t.Errorf("%s has no row, and is of no upload that failed (acknowledged: %v)", key, promised)
		}
	}
	for digest := range recorded {
		l.t.Errorf("%s is recorded and has no object", digest)
	}
	l.t.Logf("%d contents acknowledged, %d objects, of which %d have no row", len(l.acked), len(objects), orphans)
}

// swept waits until nothing abandoned is left and returns the keys of objects.
func (l *load) swept(s *shape) map[string]bool {
	var left []string
	for end := time.Now().Add(2 * startTime); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		left = nil
		objects := map[string]bool{}
		for _, name := range s.server.Everything(l.t, s.prefix) {
			if strings.HasPrefix(name, "sha256/") {
				objects[name] = true
			} else {
				left = append(left, name)
			}
		}
		if len(left) == 0 {
			return objects
		}
	}
	l.t.Fatalf("left after the sweep: %q", left)
	return nil
}
