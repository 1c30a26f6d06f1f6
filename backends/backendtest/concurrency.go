package backendtest

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"

	"artifactstore/backends"
)

var concurrencyTests = []test{
	{"Concurrent/OneKey", testOneKey},
	{"Concurrent/ReadersWhileReplacing", testReadersWhileReplacing},
	{"Concurrent/Everything", testEverything},
}

// together runs f in several goroutines and waits.
func (s *suite) together(f func(i int) error) {
	s.Helper()
	var wg sync.WaitGroup
	for i := range s.Concurrency {
		wg.Go(func() {
			if err := f(i); err != nil {
				s.Errorf("goroutine %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

func testOneKey(s *suite) {
	p := content(64<<10, 1)
	for round := range 5 {
		key := fmt.Sprint("a/", round, "/k")
		s.together(func(int) error {
			return put(s.Context(), s.b, backends.Hint{Key: key, Size: int64(len(p))}, key, p)
		})
		s.holds(key, p)
	}
	s.left("a/0/k", "a/1/k", "a/2/k", "a/3/k", "a/4/k")
}

// testReadersWhileReplacing writes objects of one byte value each, of a size
// that the value tells.
func testReadersWhileReplacing(s *suite) {
	unit := s.largest()/8 + 1
	version := func(i int) []byte { return bytes.Repeat([]byte{byte(i%5 + 1)}, (i%5+1)*unit) }
	s.put("k", version(0))
	var over atomic.Bool
	var readers sync.WaitGroup
	for range s.Concurrency {
		readers.Go(func() {
			for !over.Load() && !s.Failed() {
				s.readVersion(unit)
			}
		})
	}
	for i := range s.Rounds {
		s.put("k", version(i))
	}
	over.Store(true)
	readers.Wait()
	s.left("k")
}

func (s *suite) readVersion(unit int) {
	p, err := get(s.Context(), s.b, "k", 0, -1)
	if err != nil {
		s.Errorf("read while replacing: %v", err)
		return
	}
	if len(p) == 0 || len(p) != int(p[0])*unit || bytes.Count(p, p[:1]) != len(p) {
		s.Errorf("read while replacing: %d bytes, which no version has, or of more than one", len(p))
	}
	info, err := s.b.Stat(s.Context(), "k")
	if err != nil || info.Size%int64(unit) != 0 || info.Size == 0 {
		s.Errorf("stat while replacing: %+v, error %v", info, err)
	}
}

// testEverything mixes what may be called concurrently.
func testEverything(s *suite) {
	s.together(func(i int) error {
		key := fmt.Sprintf("e/%d/k", i%3)
		for range 10 {
			if err := put(s.Context(), s.b, backends.Hint{Size: -1}, key, []byte(key)); err != nil {
				return err
			}
			for _, err := range s.b.List(s.Context(), "e/", "") {
				if err != nil {
					return err
				}
			}
			if _, err := s.b.Sweep(s.Context(), day0); err != nil {
				return err
			}
			if err := s.b.Delete(s.Context(), fmt.Sprintf("e/%d/k", (i+1)%3)); err != nil {
				return err
			}
			if err := s.b.Health(s.Context()); err != nil {
				return err
			}
		}
		return nil
	})
}
