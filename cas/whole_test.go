package cas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"artifactstore/backends"
	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// remote is a backend whose bytes pass through the program, and perhaps one of
// them wrong.
type remote struct {
	backends.Backend
	wrong int64 // offset of a byte that is not what was stored, -1 for none
	after int64 // reads end with an error after so many bytes, where not 0
}

func (b *remote) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	r, err := b.Backend.Open(ctx, key, off, n)
	if err != nil {
		return nil, err
	}
	var bytes io.Reader = &flipping{r, b.wrong - off}
	if b.after > 0 {
		bytes = io.MultiReader(io.LimitReader(bytes, b.after), iotest.ErrReader(errors.New("connection reset")))
	}
	return &slowReader{bytes, r}, nil
}

// flipping changes the byte at an offset.
type flipping struct {
	io.Reader
	at int64
}

func (f *flipping) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if f.at >= 0 && f.at < int64(n) {
		p[f.at] ^= 1
	}
	f.at -= int64(n)
	return n, err
}

// ways are how a body leaves the store.
func (h *house) ways() map[string]func(digest.Digest) ([]byte, error) {
	return map[string]func(digest.Digest) ([]byte, error){"read": h.read, "copy": h.copied}
}

// prepared returns a blob's bytes by CopyTo after Prepare, as HTTP takes them. What
// Prepare refuses is never promised.
func (h *house) prepared(d digest.Digest) ([]byte, error) {
	b, err := h.store.Open(h.t.Context(), d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	if err := b.Prepare(b.Size); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_, err = b.CopyTo(&out, b.Size)
	if err != nil && b.Size <= buffer {
		h.t.Errorf("a body of one buffer was promised, and then: %v", err)
	}
	return out.Bytes(), err
}

// TestWrongBytes demands that no body with a wrong byte ends well, wherever the byte
// is, and that a body of one buffer is given by another location instead.
func TestWrongBytes(t *testing.T) {
	for _, size := range []int{1, 4096, buffer, buffer + 1, 3*buffer + 5} {
		for _, at := range []int{0, size / 2, size - 1} {
			for _, copies := range []int{1, 2} {
				t.Run(fmt.Sprint(size, "/", at, "/", copies), func(t *testing.T) { wrongBytes(t, size, at, copies) })
			}
		}
	}
}

func wrongBytes(t *testing.T, size, at, copies int) {
	content := random(7, size)
	h := open(t, options{
		backends: []string{"a", "b"},
		rules:    []cas.Rule{{RetentionClass: "release", BackendID: "b"}},
		wrap: func(id string, b backends.Backend) backends.Backend {
			if id == "a" {
				return &remote{Backend: b, wrong: int64(at)}
			}
			return &remote{Backend: b, wrong: -1}
		},
	})
	h.mustPut(content)
	if copies == 2 {
		h.mustPut(content, func(o *cas.PutOptions) { o.RetentionClass = "release" })
	}
	ways := h.ways()
	ways["prepared copy"] = h.prepared
	for name, way := range ways {
		got, err := way(identity(content).SHA256)
		switch {
		case err == nil && bytes.Equal(got, content):
			if copies == 1 || name != "read" && size > buffer {
				t.Errorf("%s: the right bytes came, from nowhere", name)
			}
		case err == nil:
			t.Errorf("%s: %d wrong bytes ended well", name, len(got))
		case !errors.Is(err, cas.ErrBlobUnavailable) || len(got) >= size:
			t.Errorf("%s: %d bytes of %d, %v", name, len(got), size, err)
		case copies == 2 && size <= buffer && name != "read":
			t.Errorf("%s: not given by the other location: %v", name, err)
		case name != "read" && size <= buffer && len(got) > 0:
			t.Errorf("%s: %d bytes were given before they were judged", name, len(got))
		}
	}
	if got := h.location("a", content); got != registry.Stored {
		t.Errorf("believed at once: %q", got)
	}
	if n := h.store.BufferedBytes(); n != 0 {
		t.Errorf("%d bytes of buffers are not given back", n)
	}
}

// TestWrongBytesAreLookedInto demands that a location which gave a wrong body is
// examined and found out, and that the other is read from then on.
func TestWrongBytesAreLookedInto(t *testing.T) { inHouses(t, shapes.Ends(), wrongBytesAreLookedInto) }

func wrongBytesAreLookedInto(t *testing.T, at shapes.House) {
	content := random(8, 2*buffer)
	h := twice(t, at, content, func(b backends.Backend) backends.Backend { return &remote{Backend: b, wrong: 5} })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() { defer close(done); h.store.RunVerifications(ctx, nil) }()
	_, err := h.copied(identity(content).SHA256)
	if !errors.Is(err, cas.ErrBlobUnavailable) {
		t.Errorf("read over a bad wire: %v", err)
	}
	for end := time.Now().Add(time.Minute); h.location("a", content) != registry.Failed; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the location is not found out")
		}
	}
	h.mustRead(content)
	cancel()
	<-done
}

// TestWholeBodyFromPieces reads a body of which each location gives a piece, and
// one that is read again after a seek: it is hashed all the same.
func TestWholeBodyFromPieces(t *testing.T) {
	content := random(9, 3*buffer+5)
	for _, wrong := range []int64{-1, 3 * buffer} {
		h := open(t, options{
			backends: []string{"a", "b"},
			rules:    []cas.Rule{{RetentionClass: "release", BackendID: "b"}},
			wrap: func(id string, b backends.Backend) backends.Backend {
				if id == "a" {
					return &remote{Backend: b, wrong: -1, after: buffer + 7}
				}
				return &remote{Backend: b, wrong: wrong}
			},
		})
		h.mustPut(content)
		h.mustPut(content, func(o *cas.PutOptions) { o.RetentionClass = "release" })
		for name, way := range h.ways() {
			if got, err := way(identity(content).SHA256); (err == nil) != (wrong < 0) || err == nil && !bytes.Equal(got, content) {
				t.Errorf("%s with the wrong byte %d: %d bytes, %v", name, wrong, len(got), err)
			}
		}
		b, err := h.store.Open(t.Context(), identity(content).SHA256)
		if err != nil {
			t.Fatal(err)
		}
		io.CopyN(io.Discard, b, 100)
		b.Seek(0, io.SeekStart)
		if got, err := io.ReadAll(b); (err == nil) != (wrong < 0) || err == nil && !bytes.Equal(got, content) {
			t.Errorf("read again with the wrong byte %d: %d bytes, %v", wrong, len(got), err)
		}
		b.Close()
	}
}
