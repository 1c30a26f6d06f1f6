package backendtest

import (
	"context"
	"errors"
	"io"
	"testing/iotest"
	"time"

	"artifactstore/backends"
)

var uploadTests = []test{
	{"Upload/NothingBeforeCommit", testNothingBeforeCommit},
	{"Upload/SliceIsTheCallers", testSliceIsTheCallers},
	{"Upload/Replace", testReplace},
	{"Upload/ModTime", testModTime},
	{"Upload/Abort", testAbort},
	{"Upload/FailingSource", testFailingSource},
	{"Upload/CommitAgain", testCommitAgain},
	{"Upload/Close", testClose},
}

var day0 = time.Unix(0, 0)

func contextWithCancel(s *suite) (context.Context, context.CancelFunc) {
	return context.WithCancel(s.Context())
}

func testNothingBeforeCommit(s *suite) {
	for _, n := range s.sizes() {
		u, err := s.b.Begin(s.Context(), backends.Hint{Key: "k", Size: int64(n)})
		s.must(err)
		s.write(u, content(n, 1))
		s.absent("k")
		if got := s.list("", ""); len(got) > 0 {
			s.Errorf("%d bytes written, not committed: listed are %q", n, got)
		}
		s.must(u.Abort(s.Context()))
	}
	s.left()
}

func testSliceIsTheCallers(s *suite) {
	u := s.begin()
	defer u.Abort(s.Context())
	p := content(s.largest(), 1)
	buf := make([]byte, 32<<10)
	for i := 0; i < len(p); {
		n := copy(buf, p[i:])
		s.write(u, buf[:n])
		clear(buf)
		i += n
	}
	s.must(u.Commit(s.Context(), "k"))
	s.holds("k", p)
}

func testReplace(s *suite) {
	sizes := s.sizes()
	for i := range sizes {
		n := sizes[(i*3+1)%len(sizes)] // shorter ones after longer ones
		p := content(n, uint64(i))
		s.put("k", p)
		s.holds("k", p)
	}
	s.left("k")
}

func testModTime(s *suite) {
	s.put("k", []byte("a"))
	first, err := s.b.Stat(s.Context(), "k")
	s.must(err)
	if d := time.Since(first.ModTime).Abs(); d > day {
		s.Errorf("committed at %v, which is %v from now", first.ModTime, d)
	}
	s.put("k", []byte("b"))
	second, err := s.b.Stat(s.Context(), "k")
	s.must(err)
	if second.ModTime.Before(first.ModTime) {
		s.Errorf("committed at %v, replaced at %v", first.ModTime, second.ModTime)
	}
}

func testAbort(s *suite) {
	s.put("k", []byte("old"))
	for _, n := range s.sizes() {
		ctx, cancel := contextWithCancel(s)
		u, err := s.b.Begin(ctx, backends.Hint{Key: "k", Size: -1})
		s.must(err)
		s.write(u, content(n, 1))
		cancel()
		s.must(u.Abort(ctx)) // whose context is over
		s.must(u.Abort(s.Context()))
		s.must(u.Close())

		u = s.begin()
		s.write(u, content(n, 1))
		s.must(u.Abort(s.Context()))
		s.must(u.Abort(s.Context()))
		if err := u.Commit(s.Context(), "k"); err == nil {
			s.Error("Commit after Abort succeeded")
		}
	}
	s.holds("k", []byte("old"))
	s.left("k")

	u := s.begin()
	s.write(u, []byte("new"))
	s.must(u.Commit(s.Context(), "k"))
	s.must(u.Abort(s.Context()))
	s.must(u.Abort(s.cancelled()))
	s.holds("k", []byte("new"))
	s.left("k")
}

// testFailingSource ends uploads the way a caller does whose source broke.
func testFailingSource(s *suite) {
	broken := errors.New("the source broke")
	for _, n := range s.sizes() {
		source := io.MultiReader(io.LimitReader(zeros{}, int64(n)), iotest.ErrReader(broken))
		u, err := s.b.Begin(s.Context(), backends.Hint{Key: "k", Size: int64(n) + 10})
		s.must(err)
		_, err = io.CopyBuffer(struct{ io.Writer }{u}, source, make([]byte, 100<<10))
		s.want("copy", err, broken)
		s.must(u.Abort(s.Context()))
	}
	s.absent("k")
	s.left()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func testCommitAgain(s *suite) {
	for i, n := range s.sizes() {
		p := content(n, uint64(i))
		u := s.begin()
		s.write(u, p)
		if err := u.Commit(s.cancelled(), "k"); err == nil {
			s.Error("Commit with a context that is over succeeded")
		}
		s.must(u.Commit(s.Context(), "k"))
		s.must(u.Abort(s.Context()))
		s.holds("k", p)
	}
	s.left("k")
}

func testClose(s *suite) {
	u := s.begin()
	s.write(u, []byte("lost"))
	s.must(u.Close())
	s.must(u.Close())
	s.must(u.Abort(s.Context()))
	_, err := s.b.Sweep(s.Context(), time.Now().Add(day))
	s.must(err)
	s.left()

	u = s.begin()
	s.write(u, []byte("kept"))
	state, err := u.Suspend(s.Context())
	s.must(err)
	s.write(u, []byte(" and lost"))
	s.must(u.Close())
	s.must(u.Abort(s.Context())) // after Close it does nothing
	u = s.resume(state)
	s.must(u.Close()) // nor does Close end what was resumed
	u = s.resume(state)
	s.must(u.Commit(s.Context(), "k"))
	s.must(u.Close())
	s.holds("k", []byte("kept"))
	s.left("k")
}
