package backendtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"artifactstore/backends"
)

var objectTests = []test{
	{"Open/Whole", testWhole},
	{"Open/Ranges", testRanges},
	{"Open/Short", testShort},
	{"Open/Absent", testAbsent},
	{"Open/CloseTwice", testCloseTwice},
	{"Open/WriterTo", testWriterTo},
	{"Open/WriterToFailing", testWriterToFailing},
	{"Delete", testDelete},
	{"Keys/Invalid", testInvalidKeys},
	{"Keys/Valid", testValidKeys},
	{"Cancelled", testCancelled},
	{"Health", func(s *suite) { s.must(s.b.Health(s.Context())) }},
}

func testWhole(s *suite) {
	for _, n := range s.sizes() {
		for _, hint := range []backends.Hint{{Size: -1}, {Key: fmt.Sprint("a/", n), Size: -1}, {Key: fmt.Sprint("a/", n), Size: int64(n)}, {Size: int64(n)}} {
			p := content(n, uint64(n))
			key := fmt.Sprint("a/", n)
			s.must(put(s.Context(), s.b, hint, key, p))
			s.holds(key, p)
		}
	}
	s.b = s.place.Open(s.T)
	for _, n := range s.sizes() {
		s.holds(fmt.Sprint("a/", n), content(n, uint64(n)))
	}
}

func testRanges(s *suite) {
	p := content(s.largest(), 1)
	s.put("k", p)
	for _, off := range append([]int{0, 1, len(p) / 2, len(p) - 1, len(p)}, s.Sizes...) {
		for _, n := range []int{0, 1, 4096, len(p) / 2, len(p) - off, -1} {
			want := p[off:]
			if n > len(want) {
				continue
			}
			if n >= 0 {
				want = want[:n]
			}
			got, err := get(s.Context(), s.b, "k", int64(off), int64(n))
			if err != nil || !bytes.Equal(got, want) {
				s.Errorf("%d bytes at %d of %d: got %d, error %v", n, off, len(p), len(got), err)
			}
		}
	}
}

// testShort lets a reader end early only with ErrShort, at Open or later.
func testShort(s *suite) {
	for _, size := range []int{0, 1, 4096} {
		key := fmt.Sprint("k", size)
		s.put(key, content(size, 1))
		end := int64(size)
		for _, c := range [][2]int64{{0, end + 1}, {end, 1}, {end + 1, -1}, {end + 1, 0}, {end + 1, 1}, {end / 2, end + 1}, {1 << 62, -1}, {0, 1 << 62}, {1 << 62, 1 << 62}} {
			got, err := get(s.Context(), s.b, key, c[0], c[1])
			if !errors.Is(err, backends.ErrShort) {
				s.Errorf("%d bytes at %d of %d: got %d and error %v, want ErrShort", c[1], c[0], size, len(got), err)
			}
		}
	}
}

func testAbsent(s *suite) {
	s.absent("k")
	s.put("a/b/c", []byte("x"))
	for _, key := range []string{"a", "a/b", "a/b/d", "a/b/c0", "a/b/c/d", "b"} {
		s.absent(key)
	}
	_, err := get(s.Context(), s.b, "k", 1<<20, 1)
	s.want("open a range of nothing", err, fs.ErrNotExist)
}

func testCloseTwice(s *suite) {
	s.put("k", content(1<<20, 1))
	for _, n := range []int64{0, 10} {
		r, err := s.b.Open(s.Context(), "k", 0, -1)
		s.must(err)
		if _, err := io.CopyN(io.Discard, struct{ io.Reader }{r}, n); err != nil {
			s.Error(err)
		}
		s.must(r.Close())
		s.must(r.Close())
	}
}

// readerFrom is a destination that takes the source itself.
type readerFrom struct{ bytes.Buffer }

// testWriterTo holds the fast way out to what Read promises.
func testWriterTo(s *suite) {
	p := content(1<<20, 1)
	s.put("k", p)
	for _, w := range []io.Writer{&readerFrom{}, &struct{ plainWriter }{}} {
		r, err := s.b.Open(s.Context(), "k", 5, int64(len(p)-7))
		s.must(err)
		fast, ok := r.(io.WriterTo)
		if !ok {
			s.must(r.Close())
			return
		}
		head := make([]byte, 11)
		_, err = io.ReadFull(r, head)
		s.must(err)
		n, err := fast.WriteTo(w)
		got := w.(interface{ Bytes() []byte }).Bytes()
		if err != nil || n != int64(len(p)-7-11) || !bytes.Equal(append(head, got...), p[5:len(p)-2]) {
			s.Errorf("WriteTo %T: %d bytes, error %v", w, n, err)
		}
		if n, err := fast.WriteTo(io.Discard); n != 0 || err != nil {
			s.Errorf("WriteTo at the end: %d bytes, error %v", n, err)
		}
		s.must(r.Close())
	}
}

// plainWriter is a destination that only writes.
type plainWriter struct{ got []byte }

func (w *plainWriter) Write(p []byte) (int, error) {
	w.got = append(w.got, p...)
	return len(p), nil
}

// Bytes returns what was written.
func (w *plainWriter) Bytes() []byte { return w.got }

func testWriterToFailing(s *suite) {
	s.put("k", content(1<<20, 1))
	r, err := s.b.Open(s.Context(), "k", 0, -1)
	s.must(err)
	defer r.Close()
	broken := errors.New("the destination broke")
	_, err = io.Copy(writerFunc(func(p []byte) (int, error) { return 0, broken }), r)
	s.want("copy to a broken destination", err, broken)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func testDelete(s *suite) {
	s.must(s.b.Delete(s.Context(), "a/b"))
	s.put("a/b", []byte("x"))
	s.put("a/c", []byte("y"))
	s.must(s.b.Delete(s.Context(), "a"))
	s.must(s.b.Delete(s.Context(), "a/b/c"))
	s.must(s.b.Delete(s.Context(), "a/b"))
	s.absent("a/b")
	s.must(s.b.Delete(s.Context(), "a/b"))
	s.left("a/c")
	s.put("a/b", []byte("z"))
	s.holds("a/b", []byte("z"))
}

func testInvalidKeys(s *suite) {
	for _, key := range []string{
		"", "/", "a/", "/a", "a//b", ".", "..", "../a", "a/..", "a/../b", ".a", "a/.b", "A", "ä", "a b", "a\x00b", "a\\b", "a\nb", "a:b", "a=b",
		strings.Repeat("a/", 256) + "a", strings.Repeat("a", 256),
	} {
		s.want(fmt.Sprintf("stat %q", key), second(s.b.Stat(s.Context(), key)), backends.ErrKeyInvalid)
		s.want(fmt.Sprintf("open %q", key), second(get(s.Context(), s.b, key, 0, -1)), backends.ErrKeyInvalid)
		s.want(fmt.Sprintf("delete %q", key), s.b.Delete(s.Context(), key), backends.ErrKeyInvalid)
		u := s.begin()
		s.write(u, []byte("x"))
		s.want(fmt.Sprintf("commit %q", key), u.Commit(s.Context(), key), backends.ErrKeyInvalid)
		s.must(u.Abort(s.Context()))
	}
	s.left()
}

func second[T any](_ T, err error) error { return err }

func testValidKeys(s *suite) {
	for i, key := range []string{
		"a", "0", "-", "_", "a.", "a..b", "format", "staging", "format.x", "-a/-b", "con", "a-b_c.d/0",
		strings.Repeat("b", 255), strings.Repeat("c/", 255) + "cc", strings.Repeat("d", 255) + "/" + strings.Repeat("e", 255),
	} {
		s.put(key, []byte{byte(i)})
		s.holds(key, []byte{byte(i)})
		s.must(s.b.Delete(s.Context(), key))
		s.absent(key)
	}
	s.put("format/x", []byte("y"))
	s.holds("format/x", []byte("y"))
	s.left("format/x")
}

func testCancelled(s *suite) {
	s.put("k", content(1<<20, 1))
	state := s.suspended([]byte("x"))
	ctx := s.cancelled()
	canceled := ctx.Err()
	s.want("begin", second(s.b.Begin(ctx, backends.Hint{Size: -1})), canceled)
	s.want("resume", second(s.b.Resume(ctx, state)), canceled)
	s.want("open", second(get(ctx, s.b, "k", 0, -1)), canceled)
	s.want("stat", second(s.b.Stat(ctx, "k")), canceled)
	s.want("delete", s.b.Delete(ctx, "k"), canceled)
	s.want("sweep", second(s.b.Sweep(ctx, day0)), canceled)
	s.want("health", s.b.Health(ctx), canceled)
	var last error
	for _, err := range s.b.List(ctx, "", "") {
		last = err
	}
	s.want("list", last, canceled)
	s.cancelledReader()
	s.cancelledUpload()
}

func (s *suite) cancelledReader() {
	s.Helper()
	ctx, cancel := contextWithCancel(s)
	r, err := s.b.Open(ctx, "k", 0, -1)
	s.must(err)
	defer r.Close()
	cancel()
	_, err = io.ReadAll(struct{ io.Reader }{r})
	s.want("read", err, ctx.Err())
}

func (s *suite) cancelledUpload() {
	s.Helper()
	ctx, cancel := contextWithCancel(s)
	u, err := s.b.Begin(ctx, backends.Hint{Size: -1})
	s.must(err)
	s.write(u, []byte("x"))
	cancel()
	s.want("commit", u.Commit(ctx, "n"), ctx.Err())
	s.must(u.Abort(ctx))
	s.absent("n")

	u = s.begin()
	s.write(u, []byte("x"))
	s.want("suspend", second(u.Suspend(ctx)), ctx.Err())
	s.must(u.Abort(ctx))

	ctx, cancel = contextWithCancel(s)
	u, err = s.b.Begin(ctx, backends.Hint{Size: -1})
	s.must(err)
	cancel()
	s.want("write", second(u.Write(content(s.largest(), 1))), ctx.Err())
	s.must(u.Abort(ctx))
}
