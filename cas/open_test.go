package cas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"artifactstore/backends"
	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// lose stores content, removes it behind the store's back, and lets a reader find
// out.
func (h *house) lose(id string, content []byte) {
	h.t.Helper()
	h.mustPut(content)
	h.remove(id, content)
	if _, err := h.read(identity(content).SHA256); !errors.Is(err, cas.ErrBlobUnavailable) {
		h.t.Fatalf("read what is lost: %v", err)
	}
}

// twice opens a store with content on two backends, a and b; a fails as the test
// wants.
func twice(t *testing.T, at shapes.House, content []byte, wrap func(backends.Backend) backends.Backend) *house {
	t.Helper()
	h := open(t, options{
		at:       at,
		backends: []string{"a", "b"},
		rules:    []cas.Rule{{RetentionClass: "release", BackendID: "b"}},
		wrap: func(id string, b backends.Backend) backends.Backend {
			if id == "a" && wrap != nil {
				return wrap(b)
			}
			return b
		},
	})
	h.mustPut(content)
	h.mustPut(content, func(o *cas.PutOptions) { o.RetentionClass = "release" })
	return h
}

// breaking is a backend whose readers end after some bytes as a test wants.
type breaking struct {
	backends.Backend
	after int64
	with  error
	fast  bool // the readers are io.WriterTo, as a file's are
}

func (b *breaking) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	r, err := b.Backend.Open(ctx, key, off, n)
	if err != nil {
		return nil, err
	}
	broken := io.MultiReader(io.LimitReader(r, b.after), iotest.ErrReader(b.with))
	if b.fast {
		return &fastReader{broken, r}, nil
	}
	return &slowReader{broken, r}, nil
}

type slowReader struct {
	io.Reader
	io.Closer
}

type fastReader struct {
	io.Reader
	io.Closer
}

func (r *fastReader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r.Reader})
}

func TestFailOverBeforeTheFirstByte(t *testing.T) { everyHouse(t, failOverBeforeTheFirstByte) }

func failOverBeforeTheFirstByte(t *testing.T, at shapes.House) {
	content := random(1, 2*buffer)
	for name, test := range map[string]struct {
		damage func(h *house)
		wrap   func(backends.Backend) backends.Backend
		state  registry.State // of the location on a afterwards
	}{
		"missing":     {damage: func(h *house) { h.remove("a", content) }, state: registry.Failed},
		"truncated":   {damage: func(h *house) { h.replace("a", content, content[:buffer]) }, state: registry.Failed},
		"unreachable": {wrap: func(b backends.Backend) backends.Backend { return closed{b} }, state: registry.Stored},
	} {
		t.Run(name, func(t *testing.T) {
			h := twice(t, at, content, test.wrap)
			if test.damage != nil {
				test.damage(h)
			}
			h.mustRead(content)
			if got := h.location("a", content); got != test.state {
				t.Errorf("location on a: %q", got)
			}
			if got := h.location("b", content); got != registry.Stored {
				t.Errorf("location on b: %q", got)
			}
			h.seam.calls = nil
			h.mustRead(content)
			if n := h.seam.count("open"); n != 2 { // one a way: what is known to have failed is not tried again
				t.Errorf("%d opens", n)
			}
		})
	}
}

// closed is a backend that cannot be read.
type closed struct{ backends.Backend }

func (closed) Open(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return nil, fmt.Errorf("closed on purpose: %w", backends.ErrUnavailable)
}

// leaving is a backend that can be away, and counts how often it is asked for bytes.
type leaving struct {
	backends.Backend
	away  bool
	asked int
}

func (l *leaving) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	l.asked++
	if l.away {
		return closed{}.Open(ctx, key, off, n)
	}
	return l.Backend.Open(ctx, key, off, n)
}

// TestAwayIsAskedLast takes a backend away, to answer whose calls takes long: readers of
// what is elsewhere too do not all wait for it, and it is found when it is back.
func TestAwayIsAskedLast(t *testing.T) { inHouses(t, shapes.Ends(), awayIsAskedLast) }

func awayIsAskedLast(t *testing.T, at shapes.House) {
	content, alone := random(11, buffer), random(12, buffer)
	now := time.Now()
	var a *leaving
	h := open(t, options{
		at: at, backends: []string{"a", "b"}, rules: []cas.Rule{{RetentionClass: "release", BackendID: "b"}},
		now: func() time.Time { return now },
		wrap: func(id string, b backends.Backend) backends.Backend {
			if id == "a" {
				a = &leaving{Backend: b}
				return a
			}
			return b
		},
	})
	h.mustPut(content)
	h.mustPut(content, func(o *cas.PutOptions) { o.RetentionClass = "release" })
	h.mustPut(alone)
	asked := func(what string, want bool, read []byte) {
		t.Helper()
		before := a.asked
		h.mustRead(read)
		if (a.asked > before) != want {
			t.Errorf("%s: a was asked %d times", what, a.asked-before)
		}
	}
	asked("both are there", true, content)
	a.away = true
	asked("it has just gone", true, content)
	asked("it is known to be away", false, content)
	now = now.Add(time.Minute)
	asked("some time later", true, content)
	a.away = false
	asked("it is back, and nobody knows", false, content)
	asked("it is back, and has what nobody else has", true, alone)
	asked("it is known to be back", true, content)
}

func TestFailOverInMidBody(t *testing.T) { inHouses(t, shapes.Ends(), failOverInMidBody) }

func failOverInMidBody(t *testing.T, at shapes.House) {
	content := random(2, 3*buffer+5)
	for _, after := range []int64{0, 1, buffer, int64(len(content)) - 1} {
		for name, test := range map[string]struct {
			with  error
			state registry.State
		}{
			"short":       {fmt.Errorf("cut: %w", backends.ErrShort), registry.Failed},
			"clean end":   {io.EOF, registry.Failed},
			"gone":        {fs.ErrNotExist, registry.Failed},
			"unreachable": {errors.New("connection reset"), registry.Stored},
			"silent":      {nil, registry.Stored}, // reads nothing and says nothing
		} {
			for _, fast := range []bool{false, true} {
				t.Run(fmt.Sprint(name, after, fast), func(t *testing.T) {
					h := twice(t, at, content, func(b backends.Backend) backends.Backend { return &breaking{b, after, test.with, fast} })
					if got, err := h.read(identity(content).SHA256); err != nil || !bytes.Equal(got, content) {
						t.Errorf("read: %d bytes, %v", len(got), err)
					}
					if test.with == nil {
						return // io.Copy has no end of patience
					}
					h.repair(content)
					if got, err := h.copied(identity(content).SHA256); err != nil || !bytes.Equal(got, content) {
						t.Errorf("copy: %d bytes, %v", len(got), err)
					}
					if got := h.location("a", content); got != test.state {
						t.Errorf("location on a: %q", got)
					}
				})
			}
		}
	}
}

// repair makes all locations stored.
func (h *house) repair(content []byte) {
	h.mustPut(content)
}

// With no location left a reader is told, and never given a clean end.
func TestNoLocationLeft(t *testing.T) { everyHouse(t, noLocationLeft) }

func noLocationLeft(t *testing.T, at shapes.House) {
	content := random(3, 2*buffer)
	for with, want := range map[error]error{
		io.EOF:                     cas.ErrBlobUnavailable,
		errors.New("reset"):        cas.ErrBackendUnavailable,
		backends.ErrUnavailable:    cas.ErrBackendUnavailable,
		fmt.Errorf("some %d", 500): cas.ErrBackendUnavailable,
	} {
		h := open(t, options{at: at, wrap: func(_ string, b backends.Backend) backends.Backend { return &breaking{b, buffer, with, true} }})
		d := h.mustPut(content).SHA256
		got, err := h.read(d)
		wantError(t, err, want)
		if !bytes.Equal(got, content[:buffer]) {
			t.Errorf("%d bytes before the end", len(got))
		}
		h.mustPut(content)
		got, err = h.copied(d)
		wantError(t, err, want)
		if !bytes.Equal(got, content[:buffer]) {
			t.Errorf("%d bytes copied before the end", len(got))
		}
	}
}

func TestUnconfiguredBackend(t *testing.T) { everyHouse(t, unconfiguredBackend) }

func unconfiguredBackend(t *testing.T, at shapes.House) {
	content := random(4, 100)
	p := newPlace(t, at)
	openIn(t, p, options{backends: []string{"old"}}).mustPut(content)
	h := openIn(t, p, options{backends: []string{"new"}})
	_, err := h.read(identity(content).SHA256)
	wantError(t, err, cas.ErrBackendUnavailable)
	if s := h.mustPut(content); s.Existed || s.BackendID != "new" {
		t.Errorf("%+v", s)
	}
	h.mustRead(content)
	if h.location("old", content) != registry.Stored {
		t.Error("a backend that is not configured proves nothing about its bytes")
	}
}

// A reader's finding from before a repair does not undo the repair.
func TestStaleFindingDoesNotUndoARepair(t *testing.T) { everyHouse(t, staleFindingDoesNotUndoARepair) }

func staleFindingDoesNotUndoARepair(t *testing.T, at shapes.House) {
	s := noFault()
	h := open(t, options{at: at, seam: s})
	content := random(5, 1000)
	d := h.mustPut(content).SHA256
	h.remove("a", content)
	var once sync.Once
	s.before = func(call string) {
		if call != "append" {
			return
		}
		once.Do(func() { // between the finding and its record: another finds it too, and a push heals
			other := openIn(t, h.place, options{})
			if _, err := other.read(d); !errors.Is(err, cas.ErrBlobUnavailable) {
				t.Errorf("the other reader: %v", err)
			}
			other.mustPut(content)
		})
	}
	_, err := h.read(d)
	wantError(t, err, cas.ErrBlobUnavailable)
	if got := h.location("a", content); got != registry.Stored {
		t.Errorf("location %q after the repair", got)
	}
	h.mustRead(content)
	h.audit()
}

// A finding that cannot be recorded does not stop the reader.
func TestFindingWithoutRegistry(t *testing.T) { everyHouse(t, findingWithoutRegistry) }

func findingWithoutRegistry(t *testing.T, at shapes.House) {
	content := random(6, 1000)
	h := twice(t, at, content, nil)
	h.remove("a", content)
	h.seam.calls, h.seam.at, h.seam.how = nil, 2, fails // blob, open, append
	if got, err := h.read(identity(content).SHA256); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%v", err)
	}
	if calls := h.seam.made(); strings.Join(calls, " ") != "blob open append open" {
		t.Errorf("%v", calls)
	}
}

func TestSeekAndRanges(t *testing.T) { everyHouse(t, seekAndRanges) }

func seekAndRanges(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	content := random(7, 3*buffer+5)
	d := h.mustPut(content).SHA256
	b, err := h.store.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := iotest.TestReader(struct{ io.ReadSeeker }{b}, content); err != nil {
		t.Error(err)
	}
	size := int64(len(content))
	h.seam.calls = nil
	for _, r := range [][2]int64{{0, 10}, {10, 10}, {buffer - 1, 2}, {size - 1, 1}, {size - 5, 100}, {size, 7}, {0, size}} {
		if _, err := b.Seek(r[0], io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if err := b.Prepare(r[1]); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		n, err := b.CopyTo(&out, r[1])
		if want := content[r[0]:min(size, r[0]+r[1])]; err != nil || n != int64(len(want)) || !bytes.Equal(out.Bytes(), want) {
			t.Errorf("%v: %d bytes, %v", r, n, err)
		}
	}
	if n := h.seam.count("open"); n != 6 { // one a range that has bytes
		t.Errorf("%d opens", n)
	}
	// A copy after a read that opened more than the copy wants stays within its bounds.
	b.Seek(0, io.SeekStart)
	io.ReadFull(b, make([]byte, 10))
	var out bytes.Buffer
	if n, err := b.CopyTo(&out, 20); n != 20 || err != nil || !bytes.Equal(out.Bytes(), content[10:30]) {
		t.Errorf("%d bytes, %v", n, err)
	}
	for _, bad := range []struct {
		offset int64
		whence int
	}{{-1, io.SeekStart}, {-size - 1, io.SeekEnd}, {0, 3}} {
		if _, err := b.Seek(bad.offset, bad.whence); err == nil {
			t.Errorf("seek %+v succeeds", bad)
		}
	}
}

func TestNothingIsOpenedBeforeAByteIsWanted(t *testing.T) {
	everyHouse(t, nothingIsOpenedBeforeAByteIsWanted)
}

func nothingIsOpenedBeforeAByteIsWanted(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	d := h.mustPut(random(8, 1000)).SHA256
	h.seam.calls = nil
	b, err := h.store.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	b.Seek(0, io.SeekEnd)
	b.Read(make([]byte, 10))
	b.Seek(10, io.SeekStart)
	b.Read(nil)
	b.Prepare(0)
	b.CopyTo(io.Discard, 0)
	if calls := h.seam.made(); len(calls) != 1 {
		t.Errorf("%v", calls)
	}
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	_, err = b.Read(make([]byte, 1))
	wantError(t, err, fs.ErrClosed)
}

// A fault of the writer ends the copy and says nothing about the location.
func TestWriterFails(t *testing.T) { everyHouse(t, writerFails) }

func writerFails(t *testing.T, at shapes.House) {
	content := random(9, 2*buffer)
	for _, fast := range []bool{false, true} {
		h := twice(t, at, content, func(b backends.Backend) backends.Backend { return &breaking{b, 1 << 40, io.EOF, fast} })
		b, err := h.store.Open(t.Context(), identity(content).SHA256)
		if err != nil {
			t.Fatal(err)
		}
		h.seam.calls = nil
		full := errors.New("the client left")
		_, err = b.CopyTo(&failing{left: buffer, err: full}, b.Size)
		wantError(t, err, full)
		if h.seam.count("open") != 1 || h.location("a", content) != registry.Stored {
			t.Errorf("%v, %s", h.seam.made(), h.location("a", content))
		}
		b.Close()
	}
}

// failing is a writer that has room for some bytes.
type failing struct {
	left int
	err  error
}

func (w *failing) Write(p []byte) (int, error) {
	if n := w.left; n < len(p) {
		w.left = 0
		return n, w.err
	}
	w.left -= len(p)
	return len(p), nil
}

func TestCancelledRead(t *testing.T) { everyHouse(t, cancelledRead) }

func cancelledRead(t *testing.T, at shapes.House) {
	content := random(10, 3*buffer)
	h := twice(t, at, content, nil)
	ctx, cancel := context.WithCancel(t.Context())
	b, err := h.store.Open(ctx, identity(content).SHA256)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := io.ReadFull(b, make([]byte, buffer)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err = io.Copy(io.Discard, struct{ io.Reader }{b})
	wantError(t, err, context.Canceled)
	_, err = b.CopyTo(io.Discard, 10)
	wantError(t, err, context.Canceled)
	if h.location("a", content) != registry.Stored {
		t.Error("a reader that left is taken for a lost object")
	}
}

func TestUnknownBlob(t *testing.T) { everyHouse(t, unknownBlob) }

func unknownBlob(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512, digest.BLAKE3} {
		_, err := h.store.Open(t.Context(), of(alg, []byte("never stored")))
		wantError(t, err, cas.ErrBlobUnknown)
		wantError(t, err, fs.ErrNotExist)
		wantError(t, h.store.Release(t.Context(), of(alg, nil), "ann"), cas.ErrBlobUnknown)
	}
	if h.position() != 0 {
		t.Error("a refusal is in the log")
	}
}

// Readers that find a loss and pushes that heal it, all at once: nothing wrong is
// ever read, and the last word is right.
func TestHealUnderReaders(t *testing.T) { everyHouse(t, healUnderReaders) }

func healUnderReaders(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	content := random(11, 2*buffer)
	d := h.mustPut(content).SHA256
	for range 10 {
		h.remove("a", content)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				got, err := h.read(d)
				if err == nil && !bytes.Equal(got, content) || err != nil && !errors.Is(err, cas.ErrBlobUnavailable) {
					t.Errorf("read: %d bytes, %v", len(got), err)
				}
			})
			wg.Go(func() {
				if _, err := h.put(content, announced(content)); err != nil && !errors.Is(err, cas.ErrBackendUnavailable) {
					t.Errorf("put: %v", err)
				}
			})
		}
		wg.Wait()
		h.read(d)
		h.mustPut(content)
		h.mustRead(content)
		h.audit()
	}
}
