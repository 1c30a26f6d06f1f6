package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"artifactstore/cas/digest"
)

const (
	workers   = 32
	small     = 4 << 10
	rangeSize = 64 << 10
	downloads = 3 // of the large blob, a round
	warmUp    = 300 * time.Millisecond
)

// turn is what one server did in one round.
type turn struct {
	work float64 // requests, or GiB
	wall time.Duration
	cpu  time.Duration
}

func (t turn) rate() float64 { return t.work / t.wall.Seconds() } // per second
func (t turn) cost() float64 { return t.cpu.Seconds() / t.work }  // CPU seconds each

// row is one kind of work.
type row struct {
	name string
	unit string
	run  func(*server) (turn, error)
	// goals are what the rounds must show.
	goals []goal
}

// goal is a ratio of gateway to reference and its bound.
type goal struct {
	what  string
	ratio func(gateway, reference turn) float64
	bound float64
	least bool // the ratio must be at least the bound; otherwise at most
}

func (g goal) met(ratio float64) bool { return g.least == (ratio >= g.bound) || ratio == g.bound }

func rateAtLeast(bound float64) goal {
	return goal{"rate", func(g, r turn) float64 { return g.rate() / r.rate() }, bound, true}
}

func measureAll(o options, gw, ref *server) error {
	w := newWorkload(o)
	second := secondHash(w.random)
	rows := []row{
		{"4 KiB puts, 32 clients", "put", w.smallPuts, []goal{rateAtLeast(0.6)}},
		{"upload, digest unknown", "GiB", w.upload, []goal{
			// Without the second hash, the gateway's CPU time may be 10 % more.
			{"CPU less second hash", func(g, r turn) float64 { return (g.cost() - second) / r.cost() }, 1.10, false},
			{"wall", func(g, r turn) float64 { return r.rate() / g.rate() }, 1.15, false},
		}},
		{"download", "GiB", w.download, []goal{rateAtLeast(0.95)}},
		{"64 KiB random ranges, 32 clients", "range", w.ranges, []goal{rateAtLeast(0.7)}},
		{"HEAD, 32 clients", "HEAD", w.heads, []goal{rateAtLeast(0.7)}},
	}
	fmt.Printf("%d rounds, medians; large blob %d MiB; the second hash costs %.3f CPU-s/GiB\n\n", o.rounds, o.size>>20, second)
	missed := false
	for _, r := range rows {
		if o.only != "" && o.only != r.name && r.name != "upload, digest unknown" {
			continue
		}
		ok, err := measure(o, r, gw, ref)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		missed = missed || !ok
	}
	fmt.Printf("\npeak memory, MiB: gateway %s, reference %s\n", gw.peak(), ref.peak())
	if missed {
		return errMissed
	}
	return nil
}

// measure runs a row's rounds and prints it.
func measure(o options, r row, gw, ref *server) (ok bool, err error) {
	var gws, refs []turn
	for i := range o.rounds {
		turns := map[*server]turn{}
		order := []*server{gw, ref}
		if i%2 == 1 {
			order = []*server{ref, gw}
		}
		for _, s := range order {
			if turns[s], err = r.run(s); err != nil {
				return false, fmt.Errorf("%s: %w", s.name, err)
			}
		}
		gws, refs = append(gws, turns[gw]), append(refs, turns[ref])
	}
	return report(r, gws, refs), nil
}

// workload makes requests. large has the path of the large blob on each server.
type workload struct {
	o      options
	random []byte
	serial atomic.Uint64
	large  map[*server]string
}

func newWorkload(o options) *workload {
	random := make([]byte, 8<<20)
	rand.Read(random)
	return &workload{o: o, random: random, large: map[*server]string{}}
}

// unique returns bytes no other blob begins with.
func (w *workload) unique(b []byte) []byte {
	binary.BigEndian.PutUint64(b, w.serial.Add(1))
	return b
}

// timed runs f and says what it cost the server.
func timed(s *server, f func() (work float64, err error)) (turn, error) {
	before, err := s.cpu()
	if err != nil {
		return turn{}, err
	}
	start := time.Now()
	work, err := f()
	wall := time.Since(start)
	if err != nil {
		return turn{}, err
	}
	after, err := s.cpu()
	return turn{work, wall, after - before}, err
}

func (w *workload) upload(s *server) (turn, error) {
	c, err := dial(s.address)
	if err != nil {
		return turn{}, err
	}
	defer c.Close()
	first := w.unique(append([]byte(nil), w.random[:64]...))
	return timed(s, func() (float64, error) {
		a, err := c.upload("POST", "/v1/blobs", "", first, w.random, w.o.size)
		if err == nil && a.status != 201 {
			err = fmt.Errorf("status %d", a.status)
		}
		w.large[s] = a.location
		return float64(w.o.size) / (1 << 30), err
	})
}

func (w *workload) download(s *server) (turn, error) {
	c, err := dial(s.address)
	if err != nil {
		return turn{}, err
	}
	defer c.Close()
	return timed(s, func() (float64, error) {
		for range downloads {
			a, err := c.do("GET", w.large[s], "", nil)
			if err != nil || a.length != w.o.size {
				return 0, fmt.Errorf("%d bytes: %w", a.length, err)
			}
		}
		return downloads * float64(w.o.size) / (1 << 30), nil
	})
}

func (w *workload) ranges(s *server) (turn, error) {
	return w.many(s, func(c *conn, _ []byte) error {
		off := mathrand.Int64N(max(w.o.size-rangeSize, 1))
		a, err := c.do("GET", w.large[s], fmt.Sprintf("Range: bytes=%d-%d\r\n", off, off+rangeSize-1), nil)
		if err == nil && (a.status != 206 || a.length != rangeSize) {
			err = fmt.Errorf("status %d, %d bytes", a.status, a.length)
		}
		return err
	})
}

func (w *workload) heads(s *server) (turn, error) {
	return w.many(s, func(c *conn, _ []byte) error {
		a, err := c.do("HEAD", w.large[s], "", nil)
		if err == nil && a.length != w.o.size {
			err = fmt.Errorf("length %d", a.length)
		}
		return err
	})
}

func (w *workload) smallPuts(s *server) (turn, error) {
	return w.many(s, func(c *conn, content []byte) error {
		a, err := c.do("POST", "/v1/blobs", "", w.unique(content))
		if err == nil && a.status != 201 {
			err = fmt.Errorf("status %d", a.status)
		}
		return err
	})
}

// many has a number of clients call request over and over for one round. content
// is 4 KiB of each client's own.
func (w *workload) many(s *server, request func(c *conn, content []byte) error) (turn, error) {
	if _, err := w.crowd(s, warmUp, request); err != nil {
		return turn{}, err
	}
	return timed(s, func() (float64, error) { return w.crowd(s, w.o.round, request) })
}

func (w *workload) crowd(s *server, last time.Duration, request func(*conn, []byte) error) (float64, error) {
	var (
		done atomic.Int64
		fail atomic.Pointer[error]
		wg   sync.WaitGroup
	)
	end := time.Now().Add(last)
	for range workers {
		wg.Go(func() {
			content := append([]byte(nil), w.random[:small]...)
			c, err := dial(s.address)
			for err == nil && time.Now().Before(end) {
				if err = request(c, content); err == nil {
					done.Add(1)
				}
			}
			if err != nil {
				fail.Store(&err)
				return
			}
			c.Close()
		})
	}
	wg.Wait()
	if err := fail.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()), nil
}

// secondHash returns what computing BLAKE3 beside SHA-256 costs, in CPU seconds
// a GiB: the median of a few tries, each long enough for a clock of 10 ms.
func secondHash(content []byte) float64 {
	cost := func(write func([]byte) (int, error)) float64 {
		before := ownCPU()
		for range (1 << 30) / len(content) {
			write(content)
		}
		return (ownCPU() - before).Seconds()
	}
	tries := make([]float64, 5)
	for i := range tries {
		tries[i] = cost(digest.NewHasher().Write) - cost(sha256.New().Write)
	}
	return median(tries)
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// touch has the machine back n bytes of memory, which it may then give to the
// servers and to the page cache.
func touch(n int64) {
	b, err := syscall.Mmap(-1, 0, int(n), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: memory is not touched beforehand:", err)
		return
	}
	for i := 0; i < len(b); i += 4 << 10 {
		b[i] = 1
	}
	syscall.Munmap(b)
}
