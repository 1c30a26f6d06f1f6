package cas

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"artifactstore/backends"
	"artifactstore/cas/digest"
)

// slowly is a reader that yields to the others before each read and tells how
// much memory is in use.
type slowly struct {
	r    io.Reader
	pool *buffers
	most int64
}

func (s *slowly) Read(p []byte) (int, error) {
	s.most = max(s.most, s.pool.inUse())
	time.Sleep(time.Millisecond) // of a synctest bubble: everybody else gets as far as they can
	return s.r.Read(p[:min(len(p), 100<<10)])
}

// However many transfers there are, they hold no more memory than the bound, all
// end, hash all they wrote, and give everything back.
func TestBuffersAreBounded(t *testing.T) {
	for _, bound := range []int64{1, 2, 5, 100} {
		synctest.Test(t, func(t *testing.T) {
			pool := newBuffers(bound*bufferBytes + 7)
			content := bytes.Repeat([]byte("0123456789abcdef"), 6*bufferBytes/16)
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					first, err := pool.take(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					r := &slowly{r: bytes.NewReader(content), pool: pool}
					if _, err := fill(r, first[:]); err != nil {
						t.Error(err)
					}
					p := &put{Store: &Store{buffers: pool}, hash: digest.NewHasher(), first: first}
					var out bytes.Buffer
					if err := p.stream(t.Context(), r, &out); err != nil {
						t.Error(err)
					}
					want := digest.NewHasher()
					want.Write(content)
					if !bytes.Equal(out.Bytes(), content) || p.hash.Identity() != want.Identity() {
						t.Errorf("%d bytes written, %d hashed", out.Len(), p.hash.Size())
					}
					if r.most > bound*bufferBytes {
						t.Errorf("%d bytes of buffers with a bound of %d", r.most, bound*bufferBytes)
					}
				})
			}
			wg.Wait()
			if n := pool.inUse(); n != 0 {
				t.Errorf("%d bytes not given back", n)
			}
		})
	}
}

// A transfer that has more than one buffer gives the others to one that has none.
func TestBuffersGoToWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newBuffers(streamDepth * bufferBytes)
		first, _ := pool.take(t.Context())
		l := startLine(pool, digest.NewHasher(), first)
		for range streamDepth - 1 { // as a slow hasher would make it
			l.free <- pool.tryTake()
			l.lent++
		}
		l.hash(bufferBytes)
		got := make(chan *[bufferBytes]byte)
		for range 2 {
			go func() {
				buf, _ := pool.take(t.Context())
				got <- buf
			}()
		}
		synctest.Wait()
		l.buffer()
		for range 2 {
			pool.giveBack(<-got)
		}
		if l.lent != streamDepth-2 && l.lent != 1 {
			t.Errorf("%d buffers kept", l.lent)
		}
		l.stop()
		if n := pool.inUse(); n != 0 {
			t.Errorf("%d bytes not given back", n)
		}
	})
}

// An upload that finds no memory for too long is told so; one whose client
// leaves meanwhile is not kept.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{
			Backends:      []Backend{{ID: "a"}},
			Policy:        Policy{Default: "a", DefaultClass: "c", Classes: map[string]time.Duration{"c": time.Hour}},
			BufferedBytes: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		held, _ := s.buffers.take(t.Context())
		start := time.Now()
		_, err = s.Put(t.Context(), bytes.NewReader(nil), PutOptions{})
		if !errors.Is(err, ErrBusy) || time.Since(start) != bufferWait {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err = s.Put(ctx, bytes.NewReader(nil), PutOptions{}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrBusy) {
			t.Errorf("%v", err)
		}
		s.buffers.giveBack(held)
		if s.buffers.wanted() || s.BufferedBytes() != 0 {
			t.Error("somebody still waits")
		}
	})
}

func TestNewRefusesWhatIsNotConfigured(t *testing.T) {
	good := func() Options {
		return Options{
			Backends: []Backend{{ID: "a"}, {ID: "b"}},
			Policy: Policy{
				Default: "a", DefaultClass: "c", Classes: map[string]time.Duration{"c": time.Hour},
				Rules: []Rule{{Producer: "ci-*", BackendID: "b"}},
			},
		}
	}
	if _, err := New(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Options){
		"default backend": func(o *Options) { o.Policy.Default = "moon" },
		"rule's backend":  func(o *Options) { o.Policy.Rules[0].BackendID = "moon" },
		"rule's glob":     func(o *Options) { o.Policy.Rules[0].Producer = "[" },
		"default class":   func(o *Options) { o.Policy.DefaultClass = "d" },
		"twin backends":   func(o *Options) { o.Backends[1].ID = "a" },
		"nameless":        func(o *Options) { o.Backends[1].ID = "" },
	} {
		o := good()
		spoil(&o)
		if s, err := New(o); err == nil || s != nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// A stream that panics gives its buffers back, and does not hang.
func TestPanicInTheMiddle(t *testing.T) {
	pool := newBuffers(8 * bufferBytes)
	for _, where := range []struct {
		r io.Reader
		w io.Writer
	}{{panicking{}, io.Discard}, {bytes.NewReader(nil), panicking{}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is lost")
				}
			}()
			first, _ := pool.take(t.Context())
			p := &put{Store: &Store{buffers: pool}, hash: digest.NewHasher(), first: first}
			p.stream(t.Context(), where.r, where.w)
		}()
	}
	if n := pool.inUse(); n != 0 {
		t.Errorf("%d bytes not given back", n)
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error)  { panic("on purpose") }
func (panicking) Write([]byte) (int, error) { panic("on purpose") }

var _ backends.Backend = Backend{}
