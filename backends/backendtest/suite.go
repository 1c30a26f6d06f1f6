// Package backendtest is the contract of package backends as tests, and two
// backends for the tests of others: Faulty, whose operations fail on demand,
// without their effect or with it, and Recorder, which counts.
//
// A driver's test file is this long:
//
//	func TestContract(t *testing.T) {
//		backendtest.Run(t, backendtest.Options{}, func(t *testing.T) backendtest.Place {
//			root := t.TempDir()
//			return backendtest.Place{Open: func(t *testing.T) backends.Backend {
//				b, err := local.Open(t.Context(), local.Options{Root: root})
//				if err != nil {
//					t.Fatal(err)
//				}
//				return b
//			}}
//		})
//	}
package backendtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"artifactstore/backends"
)

// Place is where a backend keeps its objects, empty at first.
type Place struct {
	// Open returns the backend in this place. It is called again for what
	// another process would see: nothing may be shared with the last one.
	Open func(t *testing.T) backends.Backend

	// Leftovers names what the place holds of uploads that are neither
	// committed objects nor the backend's own. nil: the driver cannot tell,
	// and what Sweep finds is looked at instead.
	Leftovers func() []string
}

// Options fit the suite to a driver. The zero value fits one in this machine.
type Options struct {
	// Sizes are the sizes of objects, in bytes, besides 0 and 1; those around
	// the borders at which a driver changes its ways belong here. Default: a
	// few up to 3 MiB.
	Sizes []int

	// Splits are the bytes after which an upload is suspended, of the largest
	// size. Default: small ones, and one beyond the middle.
	Splits []int

	// Keys is how many keys the long list has. Default 250; a driver that
	// lists in pages wants more than one page.
	Keys int

	// Concurrency is how many goroutines press on one key. Default 8.
	Concurrency int

	// Spoils says that of two processes which go on from one state at once each
	// may spoil the upload of the other, so that neither can commit.
	Spoils bool

	// Settle, where it is set, waits until what an upload was given has arrived.
	// It is for a service that may take the part another process has on its way
	// into an object it is just completing. Default: nothing is waited for.
	Settle func(backends.Upload)

	// Rounds is how often an object is replaced under its readers. Default 20.
	Rounds int
}

func (o Options) withDefaults() Options {
	if len(o.Sizes) == 0 {
		o.Sizes = []int{511, 4096, 65537, 3<<20 + 7}
	}
	if len(o.Splits) == 0 {
		o.Splits = []int{0, 1, 4095, slices.Max(o.Sizes)/2 + 1}
	}
	o.Keys = cmpOr(o.Keys, 250)
	o.Concurrency = cmpOr(o.Concurrency, 8)
	o.Rounds = cmpOr(o.Rounds, 20)
	return o
}

func cmpOr(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// Run checks every sentence of backends.Backend and backends.Upload. Each test has
// a place of its own, so that a driver's places may be checked for leftovers.
func Run(t *testing.T, o Options, fresh func(t *testing.T) Place) {
	for _, group := range [][]test{objectTests, listTests, uploadTests, resumeTests, sweepTests, concurrencyTests} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				p := fresh(t)
				c.run(&suite{T: t, Options: o.withDefaults(), place: p, b: p.Open(t)})
			})
		}
	}
}

type test struct {
	name string
	run  func(*suite)
}

// suite is one test at work.
type suite struct {
	*testing.T
	Options
	place Place
	b     backends.Backend
}

// content returns n bytes that look random and depend on seed.
func content(n int, seed uint64) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	r.Read(p)
	return p
}

// sizes are all sizes to try.
func (s *suite) sizes() []int { return append([]int{0, 1}, s.Sizes...) }

func (s *suite) largest() int { return slices.Max(s.Sizes) }

// must fails the test on an error.
func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// want checks which error it is.
func (s *suite) want(what string, err, target error) {
	s.Helper()
	if !errors.Is(err, target) {
		s.Errorf("%s: got error %v, want %v", what, err, target)
	}
}

func (s *suite) begin() backends.Upload {
	s.Helper()
	u, err := s.b.Begin(s.Context(), backends.Hint{Size: -1})
	s.must(err)
	return u
}

func (s *suite) write(u backends.Upload, p []byte) {
	s.Helper()
	if n, err := u.Write(p); err != nil || n != len(p) {
		s.Fatalf("write: %d of %d bytes, error %v", n, len(p), err)
	}
}

// put commits an object in writes of an odd size.
func (s *suite) put(key string, p []byte) {
	s.Helper()
	s.must(put(s.Context(), s.b, backends.Hint{Key: key, Size: int64(len(p))}, key, p))
}

func put(ctx context.Context, b backends.Backend, hint backends.Hint, key string, p []byte) error {
	u, err := b.Begin(ctx, hint)
	if err != nil {
		return err
	}
	defer u.Abort(context.WithoutCancel(ctx))
	for chunk := range slices.Chunk(p, 64<<10+1) {
		if _, err := u.Write(chunk); err != nil {
			return err
		}
	}
	return u.Commit(ctx, key)
}

// get reads a part of an object.
func get(ctx context.Context, b backends.Backend, key string, off, n int64) ([]byte, error) {
	r, err := b.Open(ctx, key, off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(struct{ io.Reader }{r})
}

// holds checks an object's bytes and description.
func (s *suite) holds(key string, p []byte) {
	s.Helper()
	if backends.Absent(s.b, key) {
		s.Errorf("%s: a Prober does not know it", key)
	}
	got, err := get(s.Context(), s.b, key, 0, -1)
	if err != nil || !bytes.Equal(got, p) {
		s.Errorf("%s: %d bytes, the right ones: %v, error %v; want %d bytes", key, len(got), bytes.Equal(got, p), err, len(p))
	}
	info, err := s.b.Stat(s.Context(), key)
	if err != nil || info.Key != key || info.Size != int64(len(p)) || info.ModTime.IsZero() {
		s.Errorf("stat %s: got %+v, error %v; want size %d", key, info, err, len(p))
	}
}

// absent checks that a key leads nowhere.
func (s *suite) absent(key string) {
	s.Helper()
	_, err := s.b.Stat(s.Context(), key)
	s.want("stat "+key, err, fs.ErrNotExist)
	_, err = get(s.Context(), s.b, key, 0, -1)
	s.want("open "+key, err, fs.ErrNotExist)
}

// list returns the keys listed.
func (s *suite) list(prefix, after string) (keys []string) {
	s.Helper()
	for info, err := range s.b.List(s.Context(), prefix, after) {
		if err != nil {
			s.Fatalf("list %q after %q: %v", prefix, after, err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

// left checks that the place holds these objects and nothing else.
func (s *suite) left(keys ...string) {
	s.Helper()
	if got := s.list("", ""); !slices.Equal(got, keys) {
		s.Errorf("left are %q, want %q", got, keys)
	}
	if s.place.Leftovers != nil {
		if rest := s.place.Leftovers(); len(rest) > 0 {
			s.Errorf("left behind: %q", rest)
		}
		return
	}
	if n, err := s.b.Sweep(s.Context(), time.Now().Add(day)); n != 0 || err != nil {
		s.Errorf("left behind: %d uploads, error %v", n, err)
	}
}

// day is more than a remote backend's clock is wrong by.
const day = 24 * time.Hour

// cancelled returns a context that is over.
func (s *suite) cancelled() context.Context {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	return ctx
}
