package backendtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/backends/backendtest"
	"artifactstore/backends/local"
)

func open(t *testing.T, root string) backends.Backend {
	t.Helper()
	b, err := local.Open(t.Context(), local.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Without faults, and recorded, a backend keeps the contract.
func TestTransparent(t *testing.T) {
	wrap := map[string]func(backends.Backend) backends.Backend{
		"faulty":   func(b backends.Backend) backends.Backend { return backendtest.NewFaulty(b) },
		"recorder": func(b backends.Backend) backends.Backend { return backendtest.NewRecorder(b) },
		"observed": func(b backends.Backend) backends.Backend {
			return backends.Observe(b, func(string, string, time.Duration) {})
		},
	}
	small := backendtest.Options{Sizes: []int{5000, 70000}, Keys: 20, Rounds: 5}
	for name, w := range wrap {
		t.Run(name, func(t *testing.T) {
			backendtest.Run(t, small, func(t *testing.T) backendtest.Place {
				root := t.TempDir()
				return backendtest.Place{Open: func(t *testing.T) backends.Backend { return w(open(t, root)) }}
			})
		})
	}
}

// calls makes one call of each kind on b, where the object "k" exists, and
// returns the error. Its effect, where the kind has one, is on "n".
func calls(ctx context.Context, b backends.Backend, op backendtest.Op) error {
	upload := func(f func(u backends.Upload) error) error {
		u, err := b.Begin(ctx, backends.Hint{Key: "n", Size: -1})
		if err != nil {
			return err
		}
		if _, err := u.Write([]byte("new")); err != nil {
			u.Abort(context.WithoutCancel(ctx))
			return err
		}
		return f(u)
	}
	switch op {
	case backendtest.Begin, backendtest.Write, backendtest.Abort:
		return upload(func(u backends.Upload) error { return u.Abort(ctx) })
	case backendtest.Close:
		return upload(func(u backends.Upload) error { return u.Close() })
	case backendtest.Suspend, backendtest.Resume:
		return upload(func(u backends.Upload) error {
			state, err := u.Suspend(ctx)
			if err != nil {
				return err
			}
			u, err = b.Resume(ctx, state)
			if err != nil {
				return err
			}
			return u.Abort(ctx)
		})
	case backendtest.Commit:
		return upload(func(u backends.Upload) error { return u.Commit(ctx, "n") })
	case backendtest.Open, backendtest.Read:
		r, err := b.Open(ctx, "k", 0, -1)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.ReadAll(r)
		return err
	case backendtest.Stat:
		_, err := b.Stat(ctx, "k")
		return err
	case backendtest.List:
		for _, err := range b.List(ctx, "", "") {
			if err != nil {
				return err
			}
		}
		return nil
	case backendtest.Delete:
		return b.Delete(ctx, "k")
	case backendtest.Sweep:
		_, err := b.Sweep(ctx, time.Unix(0, 0))
		return err
	case backendtest.Health:
		return b.Health(ctx)
	}
	return errors.New("no such call: " + string(op))
}

// put commits "k".
func put(t *testing.T, b backends.Backend, p []byte) {
	t.Helper()
	u, err := b.Begin(t.Context(), backends.Hint{Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
}

func TestEachOperationFails(t *testing.T) {
	lost := errors.New("lost")
	for _, op := range backendtest.Ops {
		for _, kind := range []backendtest.Kind{backendtest.Refuse, backendtest.LoseReply} {
			in := open(t, t.TempDir())
			put(t, in, []byte("old"))
			f := backendtest.NewFaulty(in)
			if err := calls(t.Context(), f, op); err != nil {
				t.Fatalf("%s without a fault: %v", op, err)
			}
			in.Delete(t.Context(), "n")
			put(t, in, []byte("old"))

			f.Set(backendtest.Fault{Op: op, Nth: 1, Kind: kind, Err: lost})
			if err := calls(t.Context(), f, op); !errors.Is(err, lost) || f.Hits() != 1 {
				t.Errorf("%s, kind %d: error %v, %d hits", op, kind, err, f.Hits())
			}
			effect := kind == backendtest.LoseReply
			if _, err := in.Stat(t.Context(), "n"); op == backendtest.Commit && errors.Is(err, fs.ErrNotExist) == effect {
				t.Errorf("commit, kind %d: %v", kind, err)
			}
			if _, err := in.Stat(t.Context(), "k"); op == backendtest.Delete && errors.Is(err, fs.ErrNotExist) != effect {
				t.Errorf("delete, kind %d: %v", kind, err)
			}
			if err := calls(t.Context(), f, op); err != nil {
				t.Errorf("%s, the second: %v", op, err)
			}
		}
	}
}

func TestStall(t *testing.T) {
	for _, op := range backendtest.Ops {
		if op == backendtest.Close {
			continue // it has no context
		}
		in := open(t, t.TempDir())
		put(t, in, []byte("old"))
		f := backendtest.NewFaulty(in)
		f.Set(backendtest.Fault{Op: op, Kind: backendtest.Stall})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- calls(ctx, f, op) }()
		for f.Hits() == 0 {
			time.Sleep(time.Millisecond)
		}
		select {
		case err := <-done:
			t.Errorf("%s did not wait: %v", op, err)
		default:
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) && op != backendtest.Abort {
				t.Errorf("%s: %v", op, err)
			}
		}
		cancel()
	}
}

func TestNth(t *testing.T) {
	f := backendtest.NewFaulty(open(t, t.TempDir()))
	f.Set(backendtest.Fault{Op: backendtest.Health, Nth: 3})
	for i := 1; i <= 5; i++ {
		if err := f.Health(t.Context()); (err != nil) != (i == 3) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	f.Set(backendtest.Fault{Op: backendtest.Stat, Key: "k"})
	for range 2 {
		if _, err := f.Stat(t.Context(), "k"); !errors.Is(err, backendtest.ErrInjected) {
			t.Error(err)
		}
		if _, err := f.Stat(t.Context(), "other"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
	f.Clear()
	if _, err := f.Stat(t.Context(), "k"); !errors.Is(err, fs.ErrNotExist) || f.Hits() != 3 {
		t.Error(err, f.Hits())
	}
}

// Faults of a stream strike at their very byte, whatever the sizes of the calls.
func TestStreamFaults(t *testing.T) {
	p := bytes.Repeat([]byte("0123456789"), 10000)
	flipped := bytes.Clone(p)
	flipped[54321] ^= 0x10
	for _, c := range []struct {
		kind backendtest.Kind
		want []byte
		err  error
	}{
		{backendtest.Cut, p[:54321], nil},
		{backendtest.Corrupt, flipped, nil},
		{backendtest.Refuse, p[:54321], backendtest.ErrInjected},
	} {
		in := open(t, t.TempDir())
		put(t, in, p)
		f := backendtest.NewFaulty(in)
		f.Set(backendtest.Fault{Op: backendtest.Read, Nth: 1, At: 54321, Kind: c.kind})
		r, err := f.Open(t.Context(), "k", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if !bytes.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("read, kind %d: %d bytes, error %v", c.kind, len(got), err)
		}
		r.Close()
	}
	f := backendtest.NewFaulty(open(t, t.TempDir()))
	f.Set(backendtest.Fault{Op: backendtest.Write, At: 54321, Kind: backendtest.Corrupt})
	put(t, f, p)
	r, err := f.Open(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, flipped) {
		t.Errorf("written wrong: %d bytes, error %v", len(got), err)
	}
	if p[54321] == flipped[54321] {
		t.Error("the caller's own bytes were changed")
	}
	u, err := f.Begin(t.Context(), backends.Hint{Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Abort(t.Context())
	f.Clear()
	f.Set(backendtest.Fault{Op: backendtest.Write, At: 54321})
	if n, err := u.Write(p); n != 54321 || !errors.Is(err, backendtest.ErrInjected) {
		t.Errorf("refused: %d bytes, error %v", n, err)
	}
}
