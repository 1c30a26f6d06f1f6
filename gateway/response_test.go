package gateway

import (
	"bytes"
	"io"
	"net/http/httptest"
	"os"
	"testing"
	"time"
)

// slowSocket takes a file as a socket does whose reader is slow: some bytes at a
// time, and then a deadline passes.
type slowSocket struct {
	*httptest.ResponseRecorder
	each   int64 // bytes before a deadline
	wasted int64 // bytes more that left the file and were lost in a buffer
	calls  int
}

func (s *slowSocket) SetWriteDeadline(time.Time) error { return nil }
func (s *slowSocket) SetReadDeadline(time.Time) error  { return nil }

func (s *slowSocket) ReadFrom(r io.Reader) (int64, error) {
	s.calls++
	n, err := io.CopyN(s.Body, r, s.each)
	if err == io.EOF {
		return n, nil
	}
	io.CopyN(io.Discard, r, s.wasted)
	return n, os.ErrDeadlineExceeded
}

// A reader that takes a slice in many idle times is waited for while it is within
// the minimum rate, and where it is known how much it has.
func TestSendFileToASlowReader(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	name := t.TempDir() + "/file"
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, test := range map[string]struct {
		each, wasted int64
		from         int64
		whole        bool
	}{
		"fast":                 {each: 1 << 30, whole: true},
		"slow":                 {each: 50_000, whole: true},
		"slow, from an offset": {each: 50_000, from: 100_000, whole: true},
		"just fast enough":     {each: 10_000, whole: true},
		"too slow":             {each: 9_999},
		"stopped":              {each: 0},
		"into a buffer":        {each: 50_000, wasted: 1},
	} {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		file.Seek(test.from, io.SeekStart)
		w := &slowSocket{ResponseRecorder: httptest.NewRecorder(), each: test.each, wasted: test.wasted}
		r := newResponse(w, httptest.NewRequest("GET", "/", nil), Pace{Idle: 10 * time.Second, MinimumRate: 1000})
		r.decided = func() bool { return true }
		want := content[test.from:]
		n, err := r.ReadFrom(&io.LimitedReader{R: file, N: int64(len(want))})
		if got := w.Body.Bytes(); !bytes.HasPrefix(want, got) || n != int64(len(got)) || r.n != n {
			t.Errorf("%s: %d bytes sent, %d returned, %d counted", what, len(got), n, r.n)
		}
		if whole := err == nil && n == int64(len(want)); whole != test.whole {
			t.Errorf("%s: %d of %d bytes, %v", what, n, len(want), err)
		}
	}
}

func TestPatience(t *testing.T) {
	p := Pace{Idle: 10 * time.Second, MinimumRate: 1000}
	for _, test := range []struct {
		p      Pace
		n      int64
		waited time.Duration
		want   time.Duration
	}{
		{p, 0, 0, 10 * time.Second},
		{p, 0, 4 * time.Second, 6 * time.Second},
		{p, 0, 11 * time.Second, -time.Second},
		{p, 5000, 11 * time.Second, 4 * time.Second},
		{p, 5000, 0, 10 * time.Second},
		{p, 1 << 62, time.Hour, 10 * time.Second},
		{Pace{Idle: 10 * time.Second}, 0, time.Hour, 10 * time.Second},
	} {
		if got := test.p.patience(test.n, test.waited); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}
