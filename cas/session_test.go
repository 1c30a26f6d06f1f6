package cas_test

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"artifactstore/cas"
	"artifactstore/cas/digest"
)

// blocked is a body that brings some bytes, says so, and then waits.
type blocked struct {
	io.Reader
	reached  chan struct{}
	released chan struct{}
	once     sync.Once
}

func newBlocked(content []byte) *blocked {
	return &blocked{Reader: bytes.NewReader(content), reached: make(chan struct{}), released: make(chan struct{})}
}

func (b *blocked) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.once.Do(func() { close(b.reached) })
		<-b.released
	}
	return n, err
}

// meanwhile lets an append wait in the middle of its body, does something, and
// returns how the append ended.
func (h *house) meanwhile(id cas.Session, offset int64, content []byte, do func()) error {
	body := newBlocked(content)
	ended := make(chan error, 1)
	go func() {
		_, err := h.store.AppendUpload(h.t.Context(), id, cas.Chunk{Body: body, Offset: offset, Size: -1})
		ended <- err
	}()
	select {
	case <-body.reached:
		do()
	case err := <-ended:
		h.t.Fatalf("the append ended early: %v", err)
	}
	close(body.released)
	return <-ended
}

func (h *house) mustBeAt(id cas.Session, offset int) {
	h.t.Helper()
	if u, err := h.store.StatUpload(h.t.Context(), id); err != nil || u.Offset != int64(offset) {
		h.t.Errorf("the session is at %d, %v: want %d", u.Offset, err, offset)
	}
}

// Of two requests of one session the one that came late goes on, and what it has
// had acknowledged stays, whatever the early one does then.
func TestSessionTakenOver(t *testing.T) {
	for name, first := range map[string][]byte{"at the start": nil, "later": head} {
		t.Run(name, func(t *testing.T) {
			h := open(t, options{})
			id := h.begin()
			if first != nil {
				h.mustAppend(id, first)
			}
			err := h.meanwhile(id, int64(len(first)), random(60, 2*buffer), func() { h.mustAppend(id, tail) })
			wantError(t, err, cas.ErrUploadChanged)
			h.mustBeAt(id, len(first)+len(tail))
			all := append(bytes.Clone(first), tail...)
			if _, err := h.finish(id, at(-1, nil), of(digest.SHA256, all)); err != nil {
				t.Fatal(err)
			}
			h.mustRead(all)
			h.audit()
		})
	}
}

// A session that is finished or cancelled under a request is no more: the
// request cannot say otherwise.
func TestSessionEndedMeanwhile(t *testing.T) {
	for name, first := range map[string][]byte{"at the start": nil, "later": head} {
		t.Run(name, func(t *testing.T) {
			h := open(t, options{})
			id := h.begin()
			if first != nil {
				h.mustAppend(id, first)
			}
			err := h.meanwhile(id, int64(len(first)), tail, func() {
				if err := h.store.CancelUpload(t.Context(), id); err != nil {
					t.Error(err)
				}
			})
			if !errors.Is(err, cas.ErrUploadUnknown) && !errors.Is(err, cas.ErrUploadChanged) {
				t.Errorf("append to a cancelled session: %v", err)
			}
			_, err = h.store.StatUpload(t.Context(), id)
			wantError(t, err, cas.ErrUploadUnknown)
			if n := h.files("a"); n != 0 {
				t.Errorf("%d files are left", n)
			}
		})
	}
	h := open(t, options{})
	id := h.begin(head)
	err := h.meanwhile(id, int64(len(head)), tail, func() {
		if _, err := h.finish(id, at(-1, nil), of(digest.SHA256, head)); err != nil {
			t.Error(err)
		}
	})
	wantError(t, err, cas.ErrUploadChanged)
	h.mustRead(head)
	h.audit()
}

// A session is unknown to anybody but its own, and nothing that others do
// changes it.
func TestSessionOfOthers(t *testing.T) {
	h := open(t, options{})
	id := h.begin(head)
	for _, other := range []cas.Session{
		{ID: id.ID, Principal: "bob", Repository: repository},
		{ID: id.ID, Principal: "ann", Repository: "team/other"},
		{ID: id.ID, Principal: "ann"},
		{ID: id.ID[1:] + "0", Principal: "ann", Repository: repository},
		{Principal: "ann", Repository: repository},
	} {
		_, err := h.store.StatUpload(t.Context(), other)
		wantError(t, err, cas.ErrUploadUnknown)
		_, err = h.store.AppendUpload(t.Context(), other, at(-1, tail))
		wantError(t, err, cas.ErrUploadUnknown)
		_, err = h.finish(other, at(-1, nil), of(digest.SHA256, head))
		wantError(t, err, cas.ErrUploadUnknown)
		wantError(t, h.store.CancelUpload(t.Context(), other), cas.ErrUploadUnknown)
	}
	h.mustBeAt(id, len(head))
}

// A chunk that is not what it says leaves the session as it was, and is read no
// further than it may go.
func TestChunkRefused(t *testing.T) {
	h := open(t, options{})
	id := h.begin(head)
	n := int64(len(head))
	for name, test := range map[string]struct {
		size, offset, limit int64
		content             []byte
		read                int64 // at most
	}{
		"shorter than announced":    {size: 10, offset: n, content: head[:9], read: 9},
		"longer than announced":     {size: 10, offset: n, content: tail, read: 11},
		"nothing, though announced": {size: 1, offset: -1, read: 0},
		"before the end":            {size: 10, offset: n - 1, content: head[:10]},
		"behind the end":            {size: 10, offset: n + 1, content: head[:10]},
		"too much announced":        {size: 11, offset: n, limit: n + 10, content: head[:11]},
		"more than there may be":    {size: -1, offset: n, limit: n + 10, content: tail, read: 11},
	} {
		body := &counting{Reader: bytes.NewReader(test.content)}
		c := cas.Chunk{Body: body, Offset: test.offset, Size: test.size, Limit: test.limit}
		_, err := h.store.AppendUpload(t.Context(), id, c)
		var size *cas.SizeMismatchError
		var offset *cas.OffsetError
		var large *cas.TooLargeError
		if !errors.As(err, &size) && !errors.As(err, &offset) && !errors.As(err, &large) {
			t.Errorf("%s: %v", name, err)
		}
		if body.n > test.read {
			t.Errorf("%s: %d bytes were read, %d at most", name, body.n, test.read)
		}
		h.mustBeAt(id, len(head))
	}
	last := cas.Chunk{Body: bytes.NewReader(tail), Offset: -1, Size: int64(len(tail)), Limit: int64(len(both))}
	if _, err := h.finish(id, last, of(digest.SHA256, both)); err != nil {
		t.Errorf("as large as may be: %v", err)
	}
	h.mustRead(both)
	h.audit()
}

type counting struct {
	io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// A body that breaks off leaves nothing of the chunk, and no staging that the
// session does not need.
func TestChunkBreaksOff(t *testing.T) {
	h := open(t, options{})
	for _, first := range [][]byte{nil, head} {
		id := h.begin()
		if first != nil {
			h.mustAppend(id, first)
		}
		before := h.files("a")
		torn := io.MultiReader(bytes.NewReader(tail), brokenReader{})
		_, err := h.store.AppendUpload(t.Context(), id, cas.Chunk{Body: torn, Offset: -1, Size: -1})
		wantErrorAs[*cas.SourceError](t, err)
		h.mustBeAt(id, len(first))
		if n := h.files("a"); n != before {
			t.Errorf("%d files, %d before", n, before)
		}
		if n := h.store.BufferedBytes(); n != 0 {
			t.Errorf("%d bytes of buffers are not given back", n)
		}
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// What a session has is wrong: it is over, and nothing of it is left.
func TestFinishMismatch(t *testing.T) {
	for name, alg := range map[string]digest.Algorithm{"primary": digest.SHA256, "other": digest.BLAKE3} {
		h := open(t, options{})
		id := h.begin(head)
		before := h.position()
		_, err := h.finish(id, at(-1, tail), of(alg, head))
		wantErrorAs[*cas.DigestMismatchError](t, err)
		_, err = h.store.StatUpload(t.Context(), id)
		wantError(t, err, cas.ErrUploadUnknown)
		if h.position() != before || h.files("a") != 0 {
			t.Errorf("%s: something was stored: %d files", name, h.files("a"))
		}
	}
}

// SHA-512 that nobody announced is checked by reading, whatever is stored
// already; what is wrong gets no row.
func TestFinishReadsAgain(t *testing.T) {
	right, wrong := of(digest.SHA512, both), of(digest.SHA512, head)
	for name, prepare := range map[string]func(h *house){
		"new":                 func(*house) {},
		"stored":              func(h *house) { h.mustPut(both) },
		"lost, and not known": func(h *house) { h.mustPut(both); h.disks["a"].Delete(t.Context(), identity(both).SHA256.Key()) },
		"known to be lost":    func(h *house) { h.lose("a", both) },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, options{})
			prepare(h)
			_, err := h.finish(h.begin(head), at(-1, tail), wrong)
			wantErrorAs[*cas.DigestMismatchError](t, err)
			if _, err := h.reg.BlobIn(t.Context(), repository, identity(both).SHA256, time.Now()); err == nil {
				t.Error("the repository shows what was refused")
			}
			s, err := h.finish(h.begin(head), at(-1, tail), right)
			if err != nil || s.SHA512 != right {
				t.Fatalf("%+v, %v", s, err)
			}
			if got, err := h.read(right); err != nil || !bytes.Equal(got, both) {
				t.Errorf("by its SHA-512: %d bytes, %v", len(got), err)
			}
			h.audit()
		})
	}
}

// A repeated finish answers for what is there, and for nothing else.
func TestFinishAgain(t *testing.T) {
	h := open(t, options{})
	id := h.begin(head)
	want := of(digest.SHA256, both)
	for i := range 3 {
		s, err := h.finish(id, at(int64(len(head)), tail), want)
		if err != nil || s.Existed != (i > 0) {
			t.Fatalf("%d: %+v, %v", i, s, err)
		}
	}
	for name, test := range map[string]struct {
		c    cas.Chunk
		want digest.Digest
	}{
		"nothing more":         {at(-1, nil), want},
		"all of it":            {at(0, both), want},
		"of unknown length":    {cas.Chunk{Body: bytes.NewReader(tail), Offset: -1, Size: -1}, want},
		"by another algorithm": {at(-1, nil), of(digest.BLAKE3, both)},
	} {
		if _, err := h.finish(id, test.c, test.want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := h.finish(id, at(-1, nil), of(digest.SHA256, head))
	wantError(t, err, cas.ErrUploadUnknown)
	_, err = h.finish(id, at(int64(len(both)), tail), want)
	wantErrorAs[*cas.SizeMismatchError](t, err)
	_, err = h.store.AppendUpload(t.Context(), id, at(-1, tail))
	wantError(t, err, cas.ErrUploadUnknown)
	if err := h.store.ReleaseIn(t.Context(), repository, want, "ann"); err != nil {
		t.Fatal(err)
	}
	_, err = h.finish(id, at(-1, nil), want)
	wantError(t, err, cas.ErrUploadUnknown) // deleted since
}

// Time ends sessions: nobody can go on with one, and what it had is removed. One
// that is gone on with has its time anew.
func TestExpireUploads(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	advance := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	h := open(t, options{now: clock})
	old, alive, empty, done := h.begin(head), h.begin(head), h.begin(), h.begin(head)
	if _, err := h.finish(done, at(-1, nil), of(digest.SHA256, head)); err != nil {
		t.Fatal(err)
	}
	advance(20 * time.Hour)
	h.mustAppend(alive, tail)
	advance(5 * time.Hour)
	_, err := h.store.StatUpload(t.Context(), old)
	wantError(t, err, cas.ErrUploadUnknown)
	_, err = h.store.AppendUpload(t.Context(), empty, at(-1, head))
	wantError(t, err, cas.ErrUploadUnknown)
	h.mustBeAt(alive, len(both))
	var ended []int
	for n := 1; n > 0; ended = append(ended, n) {
		if n, err = h.store.ExpireUploads(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
	}
	if len(ended) != 3 || ended[0] != 2 || ended[1] != 1 {
		t.Errorf("ended %v", ended)
	}
	if n := h.files("a"); n != 1+2 { // the blob, and the two files of a suspended upload
		t.Errorf("%d files", n)
	}
	// A request that has taken the session up keeps it alive.
	advance(15 * time.Hour)
	err = h.meanwhile(alive, int64(len(both)), head, func() {
		advance(5 * time.Hour)
		if n, err := h.store.ExpireUploads(t.Context(), 10); n != 0 || err != nil {
			t.Errorf("ended %d, %v", n, err)
		}
	})
	if err != nil {
		t.Errorf("append: %v", err)
	}
	h.mustBeAt(alive, len(both)+len(head))
}

// A request that read the row before another had bytes acknowledged takes none of
// them back, however late it goes on.
func TestSessionReadEarly(t *testing.T) {
	s := noFault()
	h := open(t, options{seam: s})
	id := h.begin(head)
	other := openIn(t, h.place, options{})
	looked, went := false, false
	s.before = func(call string) {
		if looked && !went {
			went = true
			other.mustAppend(id, tail)
		}
		looked = looked || call == "upload"
	}
	_, err := h.store.AppendUpload(t.Context(), id, at(int64(len(head)), tail[:10]))
	wantError(t, err, cas.ErrUploadChanged)
	if !went {
		t.Fatal("nothing came in between")
	}
	if _, err := other.finish(id, at(int64(len(both)), nil), of(digest.SHA256, both)); err != nil {
		t.Fatal(err)
	}
	other.mustRead(both)
}

// A request that is between its claim of a session and the resuming lets no other of
// the process have anything acknowledged: it would take that back.
func TestSessionTakenUpInOneStep(t *testing.T) {
	s := noFault()
	h := open(t, options{seam: s})
	id := h.begin(head)
	var once sync.Once
	later := make(chan error, 1)
	s.before = func(call string) {
		if call != "resume" {
			return
		}
		once.Do(func() {
			ended := make(chan struct{})
			go func() {
				_, err := h.store.AppendUpload(t.Context(), id, at(int64(len(head)), tail))
				later <- err
				close(ended)
			}()
			select {
			case <-ended: // too early: it has gone on with what is being taken up
			case <-time.After(200 * time.Millisecond):
			}
		})
	}
	_, first := h.store.AppendUpload(t.Context(), id, at(int64(len(head)), tail))
	second := <-later
	if (first == nil) == (second == nil) {
		t.Fatalf("%v, and %v", first, second)
	}
	wantError(t, cmp.Or(first, second), cas.ErrUploadChanged)
	h.mustBeAt(id, len(both))
	if _, err := h.finish(id, at(int64(len(both)), nil), of(digest.SHA256, both)); err != nil {
		t.Fatalf("what was acknowledged is gone: %v", err)
	}
	h.mustRead(both)
}
