package cas_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
)

// ends are the ways in which a session is ended: how much of the content each chunk
// brings, the last of them with the end.
var ends = map[string][]int{
	"with the rest":    {len(head), len(tail)},
	"with nothing":     {len(head), len(tail), 0},
	"with all of them": {len(both)},
	"of many bytes":    {len(head), 5<<20 + 9, 0},
}

// beginOf brings the chunks of a session but for the last, which it returns with the
// whole content.
func (h *house) beginOf(seed uint64, sizes []int) (id cas.Session, content, rest []byte) {
	h.t.Helper()
	id = h.begin()
	for i, n := range sizes {
		rest = random(seed+uint64(i), n)
		content = append(content, rest...)
		if i < len(sizes)-1 {
			h.mustAppend(id, rest)
		}
	}
	return id, content, rest
}

// mustFinish ends a session, by its last chunk.
func (h *house) mustFinish(id cas.Session, content, rest []byte) {
	h.t.Helper()
	got, err := h.finish(id, at(int64(len(content)-len(rest)), rest), of(digest.SHA256, content))
	if err != nil || got.Identity != identity(content) {
		h.t.Errorf("finished as %+v, %v", got, err)
	}
}

// mustBecome demands that a session has ended as a content.
func (h *house) mustBecome(id cas.Session, content []byte) {
	h.t.Helper()
	u, err := h.reg.Upload(h.t.Context(), id.ID)
	if err != nil || u.Finished != of(digest.SHA256, content) {
		h.t.Errorf("the session became %v, %v", u.Finished, err)
	}
	h.mustRead(content)
}

// A client that ends a session and hears nothing ends it again, on another gateway. At
// whatever call of the one the other comes in between, both hear of the blob, and the
// session is ended.
func TestFinishTwiceAtOnce(t *testing.T) { everyHouse(t, finishTwiceAtOnce) }

func finishTwiceAtOnce(t *testing.T, at shapes.House) {
	s := noFault()
	h := open(t, options{at: at, seam: s, sleep: noSleep})
	other := openIn(t, h.place, options{at: at, sleep: noSleep})
	seed := uint64(1000)
	for name, sizes := range ends {
		for i, came := 0, true; came; i++ {
			came = false
			seed += 10
			id, content, rest := h.beginOf(seed, sizes)
			begun := len(s.made())
			s.before = func(call string) {
				if !came && len(s.made()) == begun+i+1 {
					came = true
					t.Logf("%s: during %d, %s", name, i, call)
					other.mustFinish(id, content, rest)
				}
			}
			h.mustFinish(id, content, rest)
			s.before = nil
			h.mustBecome(id, content)
		}
	}
	h.expire()
	h.audit()
}

// rival is a request of another process that has taken a session up and stops before
// its bytes are committed.
type rival struct {
	h       *house
	release chan struct{}
	ended   chan error
}

// rivalIn lets another process take a session up, to end it with both.
func rivalIn(t *testing.T, h *house, id cas.Session, rest []byte) *rival {
	s := noFault()
	r := &rival{openIn(t, h.place, options{at: h.place.at, seam: s, sleep: noSleep}), make(chan struct{}), make(chan error, 1)}
	reached := make(chan struct{})
	var once sync.Once
	s.before = func(call string) {
		if call == "commit" {
			once.Do(func() { close(reached); <-r.release })
		}
	}
	go func() {
		_, err := r.h.finish(id, at(int64(len(both)-len(rest)), rest), of(digest.SHA256, both))
		r.ended <- err
	}()
	<-reached
	return r
}

// goOn lets the rival finish.
func (r *rival) goOn() {
	close(r.release)
	if err := <-r.ended; err != nil {
		r.h.t.Errorf("the other: %v", err)
	}
}

// A request that loses the session to another, which has it still, waits for the other
// and answers as it does, whatever it brings itself; one that asks for something else
// is refused as it is afterwards.
func TestFinishWaitsForAnother(t *testing.T) { everyHouse(t, finishWaits) }

func finishWaits(t *testing.T, at shapes.House) {
	for name, test := range map[string]struct {
		before [][]byte
		rest   []byte
		want   digest.Digest
		wrong  error
	}{
		"with the rest":           {[][]byte{head}, tail, of(digest.SHA256, both), nil},
		"with nothing":            {[][]byte{head, tail}, nil, of(digest.SHA256, both), nil},
		"by another algorithm":    {[][]byte{head, tail}, nil, of(digest.BLAKE3, both), nil},
		"another digest":          {[][]byte{head, tail}, nil, of(digest.SHA256, head), cas.ErrUploadUnknown},
		"another, with the rest":  {[][]byte{head}, tail, of(digest.SHA256, head), cas.ErrUploadUnknown},
		"one that nobody can say": {[][]byte{head, tail}, nil, of(digest.SHA512, head), cas.ErrUploadUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			var r *rival
			waits := 0
			s := noFault()
			h := open(t, options{at: at, seam: s, sleep: func(time.Duration) {
				if waits++; waits == 3 {
					r.goOn()
				}
			}})
			id := h.begin(test.before...)
			s.before = func(call string) {
				if call == "save" && r == nil {
					r = rivalIn(t, h, id, test.rest)
				}
			}
			got, err := h.finish(id, cas.Chunk{Body: bytes.NewReader(test.rest), Offset: int64(len(both) - len(test.rest)), Size: int64(len(test.rest))}, test.want)
			wantError(t, err, test.wrong)
			if err == nil && (got.Identity != identity(both) || !got.Existed) {
				t.Errorf("finished as %+v", got)
			}
			if waits < 3 {
				t.Errorf("it waited %d times only", waits)
			}
			h.mustBecome(id, both)
			h.expire()
			h.audit()
		})
	}
}

// dying lets another process take a session up and end before it commits anything.
func dying(t *testing.T, h *house, id cas.Session) {
	s := &seam{at: -1, named: "resume", how: dies}
	other := openIn(t, h.place, options{at: h.place.at, seam: s})
	if _, err := other.finish(id, at(-1, nil), of(digest.SHA256, both)); err == nil {
		t.Error("the other did not die")
	}
}

// The other may be dead. A request that can still bring all of its bytes ends the
// session by itself, after a time without a sign of life; the client hears of no other.
func TestFinishAfterTheOtherDied(t *testing.T) { everyHouse(t, finishAfterDeath) }

func finishAfterDeath(t *testing.T, at shapes.House) {
	var waited time.Duration
	s := noFault()
	h := open(t, options{at: at, seam: s, sleep: func(d time.Duration) { waited += d }})
	for name, sizes := range ends {
		if len(sizes) == 1 {
			continue // no session is taken up
		}
		waited = 0
		id, content, rest := h.beginOf(uint64(2000+10*len(name)), sizes)
		died := false
		s.before = func(call string) {
			if call == "save" && !died {
				died = true
				dying(t, h, id)
			}
		}
		h.mustFinish(id, content, rest)
		s.before = nil
		if waited < 5*time.Second || waited > 6*time.Second {
			t.Errorf("%s: it waited %v", name, waited)
		}
		h.mustBecome(id, content)
	}
	h.expire()
	h.audit()
}

// One that takes the session up meanwhile is a sign of life, and the time starts anew.
func TestFinishGivesOthersTheirTime(t *testing.T) {
	var h *house
	var id cas.Session
	var waited time.Duration
	died := 0
	s := noFault()
	die := func() { died++; dying(t, h, id) }
	h = open(t, options{seam: s, sleep: func(d time.Duration) {
		if waited += d; died == 1 && waited > 4*time.Second {
			die()
		}
	}})
	id = h.begin(head, tail)
	s.before = func(call string) {
		if call == "save" && died == 0 {
			die()
		}
	}
	h.mustFinish(id, both, nil)
	if waited < 9*time.Second || waited > 11*time.Second {
		t.Errorf("it waited %v", waited)
	}
	h.mustBecome(id, both)
}

// A request whose bytes were taken already cannot bring them again: where the other
// died, it is refused in time, and the session is as it was.
func TestFinishPatience(t *testing.T) {
	var waited time.Duration
	h := open(t, options{sleep: func(d time.Duration) { waited += d }})
	id := h.begin(head)
	body := newBlocked(tail)
	ended := make(chan error, 1)
	go func() {
		_, err := h.finish(id, cas.Chunk{Body: body, Offset: int64(len(head)), Size: -1}, of(digest.SHA256, both))
		ended <- err
	}()
	<-body.reached
	other := openIn(t, h.place, options{seam: &seam{at: -1, named: "commit", how: dies}})
	if _, err := other.finish(id, at(int64(len(head)), tail), of(digest.SHA256, both)); err == nil {
		t.Error("the other did not die")
	}
	close(body.released)
	wantError(t, <-ended, cas.ErrUploadChanged)
	if waited < 20*time.Second || waited > 21*time.Second {
		t.Errorf("it waited %v", waited)
	}
	if n := h.store.BufferedBytes(); n != 0 {
		t.Errorf("%d bytes of buffers are not given back", n)
	}
	h.mustBeAt(id, len(head))
	if _, err := h.finish(id, at(int64(len(head)), tail), of(digest.SHA256, both)); err != nil {
		t.Fatal(err)
	}
	h.mustBecome(id, both)
}

// A request whose bytes were taken when another ended the session has them dropped, and
// answers as the other did.
func TestFinishWithBytesTaken(t *testing.T) {
	h := open(t, options{sleep: noSleep})
	id := h.begin(head)
	other := openIn(t, h.place, options{})
	body := newBlocked(tail)
	ended := make(chan error, 1)
	go func() {
		got, err := h.finish(id, cas.Chunk{Body: io.MultiReader(body, bytes.NewReader(nil)), Offset: -1, Size: -1}, of(digest.SHA256, both))
		if err == nil && got.Identity != identity(both) {
			t.Errorf("finished as %+v", got)
		}
		ended <- err
	}()
	<-body.reached
	if _, err := other.finish(id, at(-1, tail), of(digest.SHA256, both)); err != nil {
		t.Error(err)
	}
	close(body.released)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	h.mustBecome(id, both)
	h.audit()
}

// What went on or was cancelled under a request that ends it is not ended, and nobody
// waits for it: bytes that were acknowledged meanwhile stay.
func TestFinishWhatWentOn(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(h *house, id cas.Session) error
		check     func(h *house, id cas.Session)
	}{
		"gone on with": {
			func(h *house, id cas.Session) error {
				_, err := h.store.AppendUpload(h.t.Context(), id, at(int64(len(head)), tail))
				return err
			},
			func(h *house, id cas.Session) {
				h.mustBeAt(id, len(both))
				if _, err := h.finish(id, at(-1, nil), of(digest.SHA256, both)); err != nil {
					h.t.Error(err)
				}
				h.mustBecome(id, both)
			},
		},
		"cancelled": {
			func(h *house, id cas.Session) error { return h.store.CancelUpload(h.t.Context(), id) },
			func(h *house, id cas.Session) {
				_, err := h.store.StatUpload(h.t.Context(), id)
				wantError(h.t, err, cas.ErrUploadUnknown)
			},
		},
	} {
		for _, when := range []string{"save", "commit"} { // before it takes the session up, and after
			t.Run(name+" before "+when, func(t *testing.T) {
				s := noFault()
				h := open(t, options{seam: s, sleep: func(time.Duration) { t.Error("it waits") }})
				id := h.begin(head)
				other := openIn(t, h.place, options{})
				did := false
				s.before = func(call string) {
					if call == when && !did {
						did = true
						if err := test.meanwhile(other, id); err != nil {
							t.Error(err)
						}
					}
				}
				_, err := h.finish(id, at(int64(len(head)), nil), of(digest.SHA256, head))
				if !errors.Is(err, cas.ErrUploadChanged) && !errors.Is(err, cas.ErrUploadUnknown) {
					t.Errorf("finishing: %v", err)
				}
				test.check(other, id)
			})
		}
	}
}

// staged is a backend that makes an object elsewhere first and then copies it, as one
// does that did not know the key.
type staged struct {
	backends.Backend
	between func() error
}

func (b staged) Resume(ctx context.Context, state []byte) (backends.Upload, error) {
	u, err := b.Backend.Resume(ctx, state)
	return stagedUpload{u, b}, err
}

type stagedUpload struct {
	backends.Upload
	b staged
}

func (u stagedUpload) Commit(ctx context.Context, key string) error {
	if err := u.Upload.Commit(ctx, "elsewhere"); err != nil {
		return err
	}
	defer u.b.Backend.Delete(ctx, "elsewhere")
	if err := u.b.between(); err != nil {
		return err
	}
	from, err := u.b.Backend.Open(ctx, "elsewhere", 0, -1)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := u.b.Backend.Begin(ctx, backends.Hint{Key: key, Size: -1})
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Commit(ctx, key)
}

// While the bytes of a session are on their way from a staging object to their own
// there is nothing to be found of them: whoever comes then waits too, and is told that
// the session is unknown only where nothing comes of it.
func TestFinishWhileTheObjectIsMade(t *testing.T) {
	for name, fails := range map[string]error{"made": nil, "never made": errBackend} {
		t.Run(name, func(t *testing.T) {
			var waited time.Duration
			reached, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			h := open(t, options{sleep: func(d time.Duration) {
				if waited == 0 {
					close(release)
					wantError(t, <-ended, fails)
				}
				waited += d
			}})
			id := h.begin(head, tail)
			other := openIn(t, h.place, options{wrap: func(_ string, b backends.Backend) backends.Backend {
				return staged{b, func() error { close(reached); <-release; return fails }}
			}})
			go func() {
				_, err := other.finish(id, at(-1, nil), of(digest.SHA256, both))
				ended <- err
			}()
			<-reached
			got, err := h.finish(id, at(-1, nil), of(digest.SHA256, both))
			if fails != nil {
				wantError(t, err, cas.ErrUploadUnknown)
				if waited < 20*time.Second || waited > 21*time.Second {
					t.Errorf("it waited %v", waited)
				}
				return
			}
			if err != nil || got.Identity != identity(both) || waited > time.Second {
				t.Errorf("%+v, %v, after %v", got, err, waited)
			}
			h.mustBecome(id, both)
			h.audit()
		})
	}
}

// A session that became a blob is ended, also where another request has taken it up
// since and died.
func TestFinishUnderAnother(t *testing.T) {
	s := noFault()
	h := open(t, options{seam: s})
	id := h.begin(head, tail)
	died := false
	s.before = func(call string) {
		if call == "append" && !died {
			died = true
			dying(t, h, id)
		}
	}
	if _, err := h.finish(id, at(-1, nil), of(digest.SHA256, both)); err != nil {
		t.Fatal(err)
	}
	h.mustBecome(id, both)
}

// Where another has had bytes acknowledged since, they stay, whatever the session was to
// become before.
func TestFinishUnderOneThatGoesOn(t *testing.T) {
	s := noFault()
	h := open(t, options{seam: s, sleep: noSleep})
	h.mustPut(head) // so that the session's bytes are not needed for it
	id := h.begin(head)
	other := openIn(t, h.place, options{})
	went := false
	s.before = func(call string) {
		if call == "append" && !went {
			went = true
			other.mustAppend(id, tail)
		}
	}
	h.mustFinish(id, head, nil)
	h.mustBeAt(id, len(both))
	h.mustFinish(id, both, nil)
	h.mustBecome(id, both)
}
