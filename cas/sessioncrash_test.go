package cas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"artifactstore/cas"
	"artifactstore/cas/digest"
)

// repository is where the sessions of these tests belong.
const repository = "team/app"

// inRepository are the options of one who pushes to it.
func inRepository(also ...digest.Algorithm) cas.PutOptions {
	return cas.PutOptions{Principal: "ann", Repository: repository, Producer: "team", Size: -1, Also: also}
}

func session(id string) cas.Session {
	return cas.Session{ID: id, Principal: "ann", Repository: repository}
}

// begin opens a session and brings some chunks.
func (h *house) begin(chunks ...[]byte) cas.Session {
	h.t.Helper()
	u, err := h.store.BeginUpload(h.t.Context(), inRepository())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, c := range chunks {
		h.mustAppend(session(u.ID), c)
	}
	return session(u.ID)
}

func at(offset int64, content []byte) cas.Chunk {
	return cas.Chunk{Body: bytes.NewReader(content), Offset: offset, Size: int64(len(content))}
}

func (h *house) mustAppend(id cas.Session, content []byte) cas.Upload {
	h.t.Helper()
	u, err := h.store.AppendUpload(h.t.Context(), id, at(-1, content))
	if err != nil {
		h.t.Fatalf("append %d bytes: %v", len(content), err)
	}
	return u
}

func (h *house) finish(id cas.Session, last cas.Chunk, want digest.Digest) (cas.Stored, error) {
	return h.store.FinishUpload(h.t.Context(), id, last, want, inRepository())
}

// expire ends every session, as the passing of time would.
func (h *house) expire() {
	h.t.Helper()
	list, err := h.reg.ExpiredUploads(context.Background(), time.Now().Add(1000*day), 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, u := range list {
		if err := h.reg.DeleteUpload(context.Background(), u.ID, u.Version); err != nil {
			h.t.Fatal(err)
		}
	}
}

// step is one request of a session, and how a client tries again when it
// failed.
type step struct {
	prepare func(h *house) cas.Session
	do      func(h *house, id cas.Session) error
	again   func(h *house, id cas.Session)
	keeps   bool // the content is there in the end
}

var (
	head = random(50, 5<<10)
	tail = random(51, buffer+7)
	both = slices.Concat(head, tail)
)

// goOn asks where the session is, as a client does that heard nothing, and
// brings what is missing there.
func goOn(offsets ...int64) func(h *house, id cas.Session) {
	return func(h *house, id cas.Session) {
		u, err := h.store.StatUpload(h.t.Context(), id)
		if err != nil || !slices.Contains(offsets, u.Offset) {
			h.t.Fatalf("after the fault the session is at %d, %v: want one of %v", u.Offset, err, offsets)
		}
		if rest := both[u.Offset:]; len(rest) > 0 {
			if u, err = h.store.AppendUpload(h.t.Context(), id, at(u.Offset, rest)); err != nil || u.Offset != int64(len(both)) {
				h.t.Fatalf("going on: %+v, %v", u, err)
			}
		}
		if _, err := h.finish(id, at(int64(len(both)), nil), of(digest.SHA256, both)); err != nil {
			h.t.Fatalf("finishing: %v", err)
		}
	}
}

// finishing is a request that ends a session, repeated as it was.
func finishing(offset int, alg digest.Algorithm, prepared ...[]byte) step {
	want := of(alg, both)
	do := func(h *house, id cas.Session) error {
		s, err := h.finish(id, at(int64(offset), both[offset:]), want)
		if err == nil && s.Identity != identity(both) {
			h.t.Errorf("finished as %+v", s)
		}
		return err
	}
	return step{
		prepare: func(h *house) cas.Session { return h.begin(prepared...) },
		do:      do,
		again: func(h *house, id cas.Session) {
			for range 2 { // also when the answer to the second try is lost
				if err := do(h, id); err != nil {
					h.t.Fatalf("the same request again: %v", err)
				}
			}
		},
		keeps: true,
	}
}

// Each call that a request of a session makes, of whatever it drives, fails,
// fails after its effect, or is the last thing its process does. Then another
// process goes on: what was acknowledged is there, and what was not can be sent.
func TestEachStepOfSession(t *testing.T) {
	for name, test := range map[string]step{
		"first chunk": {
			prepare: func(h *house) cas.Session { return h.begin() },
			do: func(h *house, id cas.Session) error {
				_, err := h.store.AppendUpload(h.t.Context(), id, at(0, head))
				return err
			},
			again: goOn(0, int64(len(head))),
			keeps: true,
		},
		"next chunk": {
			prepare: func(h *house) cas.Session { return h.begin(head) },
			do: func(h *house, id cas.Session) error {
				_, err := h.store.AppendUpload(h.t.Context(), id, at(int64(len(head)), tail))
				return err
			},
			again: goOn(int64(len(head)), int64(len(both))),
			keeps: true,
		},
		"finish with all":                  finishing(0, digest.SHA256),
		"finish with the rest":             finishing(len(head), digest.SHA256, head),
		"finish with nothing":              finishing(len(both), digest.SHA256, head, tail),
		"finish by a digest not announced": finishing(len(head), digest.SHA512, head),
		"cancel": {
			prepare: func(h *house) cas.Session { return h.begin(head) },
			do:      func(h *house, id cas.Session) error { return h.store.CancelUpload(h.t.Context(), id) },
			again: func(h *house, id cas.Session) {
				if err := h.store.CancelUpload(h.t.Context(), id); err != nil && !errors.Is(err, cas.ErrUploadUnknown) {
					h.t.Errorf("cancel again: %v", err)
				}
				_, err := h.store.StatUpload(h.t.Context(), id)
				wantError(h.t, err, cas.ErrUploadUnknown)
			},
		},
	} {
		run := func(t *testing.T, s *seam) (*house, cas.Session, error) {
			before := open(t, options{})
			id := test.prepare(before)
			before.reg.Close()
			h := openIn(t, before.place, options{seam: s})
			return h, id, test.do(h, id)
		}
		healthy := noFault()
		if _, _, err := run(t, healthy); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, call := range healthy.made() {
			for _, how := range []how{fails, failsAfter, diesAfter} {
				t.Run(fmt.Sprintf("%s/%d %s %s", name, i, call, how), func(t *testing.T) {
					t.Parallel()
					h, id, err := run(t, &seam{at: i, how: how})
					if err != nil && (!errors.Is(err, errFault) || !errors.Is(err, cas.ErrBackendUnavailable) && !errors.Is(err, cas.ErrRegistryUnavailable)) {
						t.Errorf("the client cannot know to try again: %v", err)
					}
					if n := h.store.BufferedBytes(); n != 0 {
						t.Errorf("%d bytes of buffers are not given back", n)
					}
					h.reg.Close()
					h = openIn(t, h.place, options{})
					test.again(h, id)
					if test.keeps {
						h.mustRead(both)
					}
					h.expire()
					h.audit()
				})
			}
		}
	}
}

// A client asks for a session and does not hear of it: nothing of it matters.
func TestEachStepOfBegin(t *testing.T) {
	for _, how := range []how{fails, failsAfter, diesAfter} {
		h := open(t, options{seam: &seam{how: how}})
		_, err := h.store.BeginUpload(t.Context(), inRepository())
		wantError(t, err, cas.ErrRegistryUnavailable)
		h.expire()
		h.audit()
	}
}
