package cas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// buffer is the engine's unit of work: sizes are around its borders.
const buffer = 256 << 10

var sizes = []int{0, 1, 4096, buffer - 1, buffer, buffer + 1, 4*buffer - 1, 4 * buffer, 4*buffer + 1, 9*buffer + 17}

func TestPutAndOpen(t *testing.T) { everyHouse(t, putAndOpen) }

func putAndOpen(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	for i, n := range sizes {
		for j, change := range []func([]byte) func(*cas.PutOptions){
			func([]byte) func(*cas.PutOptions) { return func(*cas.PutOptions) {} },
			announced,
			func(c []byte) func(*cas.PutOptions) {
				return func(o *cas.PutOptions) { o.Want = []digest.Digest{of(digest.BLAKE3, c), of(digest.SHA512, c)} }
			},
			func(c []byte) func(*cas.PutOptions) {
				return func(o *cas.PutOptions) {
					o.Also = []digest.Algorithm{digest.SHA512}
					o.WantLater = func() ([]digest.Digest, error) { return []digest.Digest{of(digest.SHA512, c)}, nil }
				}
			},
		} {
			content := append(random(uint64(10*i+j), n), byte(i), byte(j))[2*min(1, n):] // all differ, the empty ones by two bytes
			s := h.mustPut(content, change(content))
			if s.Existed || s.BackendID != "a" {
				t.Errorf("%d bytes: %+v", n, s)
			}
			h.mustRead(content)
			for _, d := range []digest.Digest{s.BLAKE3, s.SHA512} {
				if d.IsZero() {
					continue
				}
				if got, err := h.read(d); err != nil || !bytes.Equal(got, content) {
					t.Errorf("%d bytes by %s: %v", n, d.Algorithm(), err)
				}
			}
			if s := h.mustPut(content, change(content)); !s.Existed {
				t.Errorf("%d bytes: put again: %+v", n, s)
			}
		}
	}
	if s := h.mustPut(nil); s.Size != 0 {
		t.Errorf("%+v", s)
	}
	h.mustRead(nil)
	h.audit()
}

// A source may give its bytes in any portions and say its end with the last of
// them or after.
func TestPutFromAwkwardReaders(t *testing.T) { everyHouse(t, putFromAwkwardReaders) }

func putFromAwkwardReaders(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	for i, n := range []int{0, 1, buffer, buffer + 1, 2*buffer + 3} {
		content := random(uint64(i), n)
		for name, r := range map[string]io.Reader{
			"data with the end": iotest.DataErrReader(bytes.NewReader(content)),
			"halves":            iotest.HalfReader(bytes.NewReader(content)),
			"bytes":             iotest.OneByteReader(bytes.NewReader(content)),
		} {
			s, err := h.store.Put(t.Context(), r, cas.PutOptions{Principal: "ann", Producer: "ann", Size: -1})
			if err != nil || s.Identity != identity(content) {
				t.Errorf("%d bytes, %s: %+v, %v", n, name, s, err)
			}
		}
		h.mustRead(content)
	}
}

// What is refused leaves nothing: no object, no staging, no event.
func TestPutRefused(t *testing.T) { inHouses(t, shapes.Ends(), putRefused) }

func putRefused(t *testing.T, at shapes.House) {
	broken := errors.New("the client left")
	for _, n := range []int{0, 5, buffer, 3*buffer + 1} {
		content := random(9, n)
		other := of(digest.SHA256, []byte("other"))
		for name, test := range map[string]struct {
			options func(*cas.PutOptions)
			source  io.Reader
			check   func(t *testing.T, err error)
		}{
			"digest": {
				options: func(o *cas.PutOptions) { o.Want = []digest.Digest{identity(content).SHA256, other} },
				check: func(t *testing.T, err error) {
					if e := wantErrorAs[*cas.DigestMismatchError](t, err); e.Want != other || e.Got != identity(content).SHA256 {
						t.Errorf("%+v", e)
					}
				},
			},
			"blake3": {
				options: func(o *cas.PutOptions) { o.Want = []digest.Digest{of(digest.BLAKE3, []byte("other"))} },
				check:   func(t *testing.T, err error) { wantErrorAs[*cas.DigestMismatchError](t, err) },
			},
			"later digest": {
				options: func(o *cas.PutOptions) {
					o.WantLater = func() ([]digest.Digest, error) { return []digest.Digest{other}, nil }
				},
				check: func(t *testing.T, err error) { wantErrorAs[*cas.DigestMismatchError](t, err) },
			},
			"later digest of another algorithm": {
				options: func(o *cas.PutOptions) {
					o.WantLater = func() ([]digest.Digest, error) { return []digest.Digest{of(digest.SHA512, content)}, nil }
				},
				check: func(t *testing.T, err error) { wantError(t, err, cas.ErrNotComputed) },
			},
			"later digest unreadable": {
				options: func(o *cas.PutOptions) { o.WantLater = func() ([]digest.Digest, error) { return nil, broken } },
				check:   func(t *testing.T, err error) { wantError(t, err, broken) },
			},
			"longer than announced": {
				options: func(o *cas.PutOptions) { o.Size = int64(n) + 1 },
				check: func(t *testing.T, err error) {
					if e := wantErrorAs[*cas.SizeMismatchError](t, err); e.Got != int64(n) {
						t.Errorf("%+v", e)
					}
				},
			},
			"source breaks": {
				options: func(*cas.PutOptions) {},
				source:  io.MultiReader(bytes.NewReader(content), iotest.ErrReader(broken)),
				check: func(t *testing.T, err error) {
					wantErrorAs[*cas.SourceError](t, err)
					wantError(t, err, broken)
				},
			},
			"source torn": {
				options: func(*cas.PutOptions) {},
				source:  io.MultiReader(bytes.NewReader(content), iotest.ErrReader(io.ErrUnexpectedEOF)),
				check:   func(t *testing.T, err error) { wantErrorAs[*cas.SourceError](t, err) },
			},
			"source stuck": {
				options: func(*cas.PutOptions) {},
				source:  io.MultiReader(bytes.NewReader(content), stuck{}),
				check:   func(t *testing.T, err error) { wantError(t, err, io.ErrNoProgress) },
			},
			"class": {
				options: func(o *cas.PutOptions) { o.RetentionClass = "unheard-of" },
				check:   func(t *testing.T, err error) { wantError(t, err, cas.ErrClassUnknown) },
			},
		} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				h := open(t, options{at: at})
				o := cas.PutOptions{Principal: "ann", Producer: "ann", Size: -1}
				test.options(&o)
				if test.source == nil {
					test.source = bytes.NewReader(content)
				}
				_, err := h.store.Put(t.Context(), test.source, o)
				test.check(t, err)
				if h.files("a") != 0 || h.position() != 0 || h.store.BufferedBytes() != 0 {
					t.Errorf("left behind: %d files, position %d, %d bytes of buffers", h.files("a"), h.position(), h.store.BufferedBytes())
				}
			})
		}
	}
}

// stuck gives nothing and says nothing.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// A put of what is there writes nothing; where the digest is announced the
// backend is not touched whatever the size.
func TestKnownContentIsNotWritten(t *testing.T) { everyHouse(t, knownContentIsNotWritten) }

func knownContentIsNotWritten(t *testing.T, at shapes.House) {
	h := open(t, options{at: at, seam: noFault()})
	for i, n := range []int{4096, 5 * buffer} {
		content := random(uint64(i), n)
		h.mustPut(content)
		h.seam.calls = nil
		h.mustPut(content, announced(content))
		if calls := h.seam.made(); slices.ContainsFunc(calls, func(c string) bool { return c != "blob" && c != "append" }) {
			t.Errorf("%d bytes announced: %v", n, calls)
		}
		h.seam.calls = nil
		h.mustPut(content)
		if n := h.seam.count("commit"); n != 0 {
			t.Errorf("%d bytes: %d commits", n, n)
		}
	}
	h.audit()
}

// The order that a crash relies on: the bytes are durable under their key when
// the event is appended, and the event is in the log when the put returns.
func TestOrderOfEffects(t *testing.T) { everyHouse(t, orderOfEffects) }

func orderOfEffects(t *testing.T, at shapes.House) {
	for _, n := range []int{4096, 5 * buffer} {
		s := noFault()
		h := open(t, options{at: at, seam: s})
		content := random(1, n)
		s.before = func(call string) {
			_, err := h.disks["a"].Stat(t.Context(), identity(content).SHA256.Key())
			if there := err == nil; there != (call == "append" || call == "abort") && call != "blob" {
				t.Errorf("before %s: object there: %v", call, there)
			}
			if h.position() != 0 && call != "abort" {
				t.Errorf("before %s: the log has %d records", call, h.position())
			}
		}
		h.mustPut(content)
		s.before = nil
		calls := s.made()
		if c, a := slices.Index(calls, "commit"), slices.Index(calls, "append"); c < 0 || a < c {
			t.Errorf("%v", calls)
		}
		other := openIn(t, h.place, options{}) // what another process sees once the answer is given
		other.mustRead(content)
	}
}

func TestConcurrentPutsOfOneContent(t *testing.T) { everyHouse(t, concurrentPutsOfOneContent) }

func concurrentPutsOfOneContent(t *testing.T, at shapes.House) {
	for _, n := range []int{4096, 5 * buffer} {
		h := open(t, options{at: at})
		content := random(3, n)
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				change := func(*cas.PutOptions) {}
				if i%2 == 0 {
					change = announced(content)
				}
				if s, err := h.put(content, change); err != nil || s.Identity != identity(content) {
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		if got := h.files("a"); got != 1 {
			t.Errorf("%d files", got)
		}
		h.mustRead(content)
		h.audit()
	}
}

func TestLeases(t *testing.T) { everyHouse(t, leases) }

func leases(t *testing.T, at shapes.House) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 999, time.UTC)
	h := open(t, options{at: at, now: func() time.Time { return now }})
	content := random(4, 100)
	class := func(principal, class string) func(*cas.PutOptions) {
		return func(o *cas.PutOptions) { o.Principal, o.RetentionClass = principal, class }
	}
	leasedUntil := func() time.Time {
		b, err := h.reg.Blob(t.Context(), identity(content).SHA256)
		if err != nil {
			t.Fatal(err)
		}
		return b.LeasedUntil
	}
	s := h.mustPut(content, class("ann", "short"))
	if want := now.Add(day).Truncate(time.Microsecond); !s.LeasedUntil.Equal(want) || !leasedUntil().Equal(want) {
		t.Errorf("leased until %s, %s, want %s", s.LeasedUntil, leasedUntil(), want)
	}
	h.mustPut(content, class("ann", ""))
	if want := now.Add(90 * day).Truncate(time.Microsecond); !leasedUntil().Equal(want) {
		t.Errorf("extended until %s, want %s", leasedUntil(), want)
	}
	now = now.Add(91 * day)
	_, err := h.read(s.SHA256)
	wantError(t, err, cas.ErrBlobUnknown)
	wantError(t, h.store.Release(t.Context(), s.SHA256, "ann"), cas.ErrBlobUnknown)
	if s := h.mustPut(content, class("bob", "release")); !s.Existed || !s.LeasedUntil.Equal(cas.Forever) {
		t.Errorf("%+v", s)
	}
	if err := h.store.Release(t.Context(), s.SHA256, "ann"); err != nil {
		t.Error(err)
	}
	h.mustRead(content)
	if err := h.store.Release(t.Context(), s.BLAKE3, "bob"); err != nil {
		t.Error(err)
	}
	_, err = h.read(s.SHA256)
	wantError(t, err, cas.ErrBlobUnknown)
	h.audit()
}

func TestRouting(t *testing.T) { everyHouse(t, routing) }

func routing(t *testing.T, at shapes.House) {
	h := open(t, options{at: at, backends: []string{"a", "b", "c"}, rules: []cas.Rule{
		{RetentionClass: "release", Producer: "ci-*", BackendID: "b"},
		{Producer: "bulk", BackendID: "c"},
	}})
	content := random(5, 1000)
	for _, test := range []struct{ producer, class, want string }{
		{"ci-1", "standard", "a"}, {"ci-1", "release", "b"}, {"bulk", "release", "c"}, {"ann", "", "a"},
	} {
		s := h.mustPut(content, func(o *cas.PutOptions) { o.Producer, o.RetentionClass = test.producer, test.class })
		if s.BackendID != test.want {
			t.Errorf("%+v: on %s", test, s.BackendID)
		}
	}
	for _, id := range h.ids {
		if h.location(id, content) != registry.Stored || h.files(id) != 1 {
			t.Errorf("%s: %q, %d files", id, h.location(id, content), h.files(id))
		}
	}
	h.audit()
}

// Content whose location failed is written again, announced or not, short or
// long, and the log says so.
func TestHealOnPush(t *testing.T) { everyHouse(t, healOnPush) }

func healOnPush(t *testing.T, at shapes.House) {
	for _, n := range []int{4096, 5 * buffer} {
		for name, change := range map[string]func([]byte) func(*cas.PutOptions){
			"announced": announced,
			"unknown":   func([]byte) func(*cas.PutOptions) { return func(*cas.PutOptions) {} },
		} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				h := open(t, options{at: at})
				content := random(6, n)
				d := h.mustPut(content).SHA256
				h.remove("a", content)
				_, err := h.read(d)
				wantError(t, err, cas.ErrBlobUnavailable)
				_, err = h.store.Open(t.Context(), d)
				wantError(t, err, cas.ErrBlobUnavailable)
				if h.location("a", content) != registry.Failed {
					t.Errorf("location %q", h.location("a", content))
				}
				if s := h.mustPut(content, change(content)); s.Existed {
					t.Errorf("%+v", s)
				}
				h.mustRead(content)
				var repaired registry.LocationRepaired
				for r, err := range h.reg.Since(t.Context(), 0) {
					if d, ok := r.Data.(registry.LocationRepaired); ok && err == nil {
						repaired = d
					}
				}
				if want := (registry.LocationRepaired{Blob: d, BackendID: "a", Source: "push", Seen: h.before(repaired)}); repaired != want {
					t.Errorf("%+v", repaired)
				}
				h.audit()
			})
		}
	}
}

// The stored copy is found lost while an announced upload is only hashed: the
// upload is refused, to be sent again, and then heals.
func TestStoredCopyFailsDuringUpload(t *testing.T) { everyHouse(t, storedCopyFailsDuringUpload) }

func storedCopyFailsDuringUpload(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	content := random(7, 3*buffer)
	d := h.mustPut(content).SHA256
	h.remove("a", content)
	source := io.MultiReader(bytes.NewReader(content[:buffer+1]), when(func() { h.read(d) }), bytes.NewReader(content[buffer+1:]))
	o := cas.PutOptions{Principal: "ann", Producer: "ann", Size: -1, Want: []digest.Digest{d}}
	_, err := h.store.Put(t.Context(), source, o)
	wantError(t, err, cas.ErrBackendUnavailable)
	h.mustPut(content, announced(content))
	h.mustRead(content)
	h.audit()
}

// when is an empty stream that does something when it is reached.
type when func()

func (f when) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

func TestCancelledPut(t *testing.T) { everyHouse(t, cancelledPut) }

func cancelledPut(t *testing.T, at shapes.House) {
	for _, size := range []int{1000, 5 * buffer} {
		h := open(t, options{at: at})
		ctx, cancel := context.WithCancel(t.Context())
		content := random(8, size)
		source := io.MultiReader(bytes.NewReader(content), when(cancel), bytes.NewReader(random(9, 2*buffer)))
		_, err := h.store.Put(ctx, source, cas.PutOptions{Principal: "ann", Producer: "ann", Size: -1})
		wantError(t, err, context.Canceled)
		if h.files("a") != 0 || h.position() != 0 || h.store.BufferedBytes() != 0 {
			t.Errorf("left behind: %d files, position %d", h.files("a"), h.position())
		}
		_, err = h.store.Put(ctx, bytes.NewReader(content), cas.PutOptions{Principal: "ann", Producer: "ann", Size: -1})
		wantError(t, err, context.Canceled)
	}
}

// From the last byte on a client's leaving stops nothing.
func TestCancelledAfterTheLastByte(t *testing.T) { everyHouse(t, cancelledAfterTheLastByte) }

func cancelledAfterTheLastByte(t *testing.T, at shapes.House) {
	for _, step := range []string{"commit", "append"} {
		for _, size := range []int{1000, 5 * buffer} {
			s := noFault()
			h := open(t, options{at: at, seam: s})
			ctx, cancel := context.WithCancel(t.Context())
			s.before = func(call string) {
				if call == step {
					cancel()
				}
			}
			content := random(8, size)
			if _, err := h.store.Put(ctx, bytes.NewReader(content), cas.PutOptions{Principal: "ann", Producer: "ann", Size: -1}); err != nil {
				t.Errorf("%s: %v", step, err)
			}
			h.mustRead(content)
			h.audit()
		}
	}
}

// Short content that a local backend knows that it has not is not looked up: it is
// written, and recorded where the registry agrees that it is new.
func TestGuessThatContentIsNew(t *testing.T) {
	s := noFault()
	h := open(t, options{seam: s, backends: []string{"a", "b"}, rules: []cas.Rule{{RetentionClass: "release", BackendID: "b"}}})
	content := random(7, 4096)
	h.mustPut(content)
	if n := s.count("blob"); n != 0 {
		t.Errorf("%d look-ups for new content", n)
	}
	if got := h.mustPut(content); !got.Existed || s.count("commit") != 1 {
		t.Errorf("known content: existed %v, %d commits", got.Existed, s.count("commit"))
	}

	got, err := h.put(content, func(o *cas.PutOptions) { o.RetentionClass = "release" })
	if err != nil || got.Existed || got.BackendID != "b" {
		t.Errorf("content that another backend has: %+v, %v", got, err)
	}

	h.remove("a", content) // behind the store's back
	got, err = h.put(content)
	if err != nil {
		t.Fatal(err)
	}
	h.mustRead(content)
	h.audit()
}
