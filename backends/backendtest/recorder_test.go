package backendtest_test

import (
	"errors"
	"io"
	"io/fs"
	"sync"
	"testing"

	"artifactstore/backends/backendtest"
)

func TestRecorder(t *testing.T) {
	r := backendtest.NewRecorder(open(t, t.TempDir()))
	put(t, r, []byte("hello"))
	if r.Count() != 3 || r.Count(backendtest.Begin, backendtest.Commit) != 2 || r.Bytes(backendtest.Write) != 5 {
		t.Errorf("a put is %+v", r.Calls())
	}
	r.Reset()
	o, err := r.Open(t.Context(), "k", 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	if _, fast := o.(io.WriterTo); !fast {
		t.Error("the fast way out is hidden")
	}
	if n, err := io.Copy(io.Discard, o); n != 3 || err != nil {
		t.Error(n, err)
	}
	want := backendtest.Call{Op: backendtest.Open, Key: "k", Off: 1, N: 3}
	if c := r.Calls(); c[0] != want || r.Bytes(backendtest.Read) != 3 {
		t.Errorf("a range is %+v", c)
	}
	r.Stat(t.Context(), "absent")
	if c := r.Calls(); !errors.Is(c[len(c)-1].Err, fs.ErrNotExist) || c[len(c)-1].Op != backendtest.Stat {
		t.Errorf("%+v", c)
	}
}

func TestRecorderSeesEveryOperation(t *testing.T) {
	for _, op := range backendtest.Ops {
		in := open(t, t.TempDir())
		put(t, in, []byte("old"))
		r := backendtest.NewRecorder(in)
		if err := calls(t.Context(), r, op); err != nil {
			t.Fatal(err)
		}
		if r.Count(op) == 0 {
			t.Errorf("%s: recorded are %+v", op, r.Calls())
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	in := open(t, t.TempDir())
	put(t, in, []byte("old"))
	f := backendtest.NewFaulty(in)
	r := backendtest.NewRecorder(f)
	f.Set(backendtest.Fault{Op: backendtest.Stat, Nth: 7})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for _, op := range []backendtest.Op{backendtest.Stat, backendtest.Read, backendtest.List} {
				calls(t.Context(), r, op)
			}
			r.Count()
			f.Hits()
		})
	}
	wg.Wait()
	if f.Hits() != 1 || r.Count(backendtest.Stat) != 10 {
		t.Errorf("%d hits, %d calls", f.Hits(), r.Count(backendtest.Stat))
	}
}
