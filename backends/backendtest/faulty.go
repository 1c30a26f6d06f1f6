package backendtest

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"time"

	"artifactstore/backends"
)

// Kind is what goes wrong in a call.
type Kind int

const (
	// Refuse fails the call without its effect.
	Refuse Kind = iota
	// LoseReply lets the call take effect and then reports a failure. An upload
	// or reader that it returned is lost.
	LoseReply
	// Stall lets the call wait, without effect, until its context is over. Of
	// Write and Read it is the context of Begin, Resume and Open. Close has
	// none and is refused.
	Stall
	// Cut ends a Read with a clean io.EOF, as no backend may. Other calls are
	// refused.
	Cut
	// Corrupt flips a bit of the byte at Fault.At, or of the call's first byte,
	// in a Read or Write that then succeeds. Other calls are refused.
	Corrupt
)

// ErrInjected is what a call fails with where a Fault names no other error.
var ErrInjected = errors.New("injected fault")

// Fault says which call goes wrong, and how.
type Fault struct {
	Op  Op
	Key string // only calls for this object; "" for any. Of an upload it is the hint's, or Commit's
	Nth int    // which such call from when the fault was set, counted from 1; 0 for each of them

	// At, for Read and Write, is the byte of the object that the call must
	// reach; 0 for any. A call that would pass it is cut there first, so that
	// exactly At bytes go well.
	At int64

	Kind Kind
	Err  error // nil for ErrInjected
}

// Faulty is a backend whose calls go wrong on demand. Its readers are no
// io.WriterTo: every byte passes a Read.
type Faulty struct {
	b backends.Backend

	mu     sync.Mutex
	faults []*armed
	hits   int
}

type armed struct {
	Fault
	seen int
}

var _ backends.Backend = (*Faulty)(nil)

// NewFaulty returns b, with no faults yet.
func NewFaulty(b backends.Backend) *Faulty { return &Faulty{b: b} }

// Set arms faults besides those that are. Of several that fit a call, the first
// set strikes; all count it.
func (f *Faulty) Set(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range faults {
		if fault.Err == nil {
			fault.Err = ErrInjected
		}
		f.faults = append(f.faults, &armed{Fault: fault})
	}
}

// Clear disarms all faults.
func (f *Faulty) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// Hits returns how many calls went wrong since the backend was made: a test
// whose fault never struck has shown nothing.
func (f *Faulty) Hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits
}

// strike returns the fault of a call that would move the bytes from..to of an
// object, nil for none.
func (f *Faulty) strike(op Op, key string, from, to int64) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var hit *Fault
	for _, a := range f.faults {
		if a.Op != op || a.Key != "" && a.Key != key || a.At > 0 && (a.At < from || a.At >= to) {
			continue
		}
		if a.seen++; hit == nil && (a.Nth == 0 || a.Nth == a.seen) {
			hit = &a.Fault
		}
	}
	if hit != nil {
		f.hits++
	}
	return hit
}

// border returns the first byte after from at which a fault waits, or to.
func (f *Faulty) border(op Op, key string, from, to int64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.faults {
		if a.Op == op && (a.Key == "" || a.Key == key) && a.At > from && a.At < to {
			to = a.At
		}
	}
	return to
}

// call makes a call that moves no bytes.
func (f *Faulty) call(ctx context.Context, op Op, key string, do func() error) error {
	fault := f.strike(op, key, 0, 0)
	if fault == nil {
		return do()
	}
	switch fault.Kind {
	case LoseReply:
		if err := do(); err != nil {
			return err
		}
	case Stall:
		if ctx != nil {
			<-ctx.Done()
			return ctx.Err()
		}
	}
	return fault.Err
}

// Begin implements backends.Backend.
func (f *Faulty) Begin(ctx context.Context, hint backends.Hint) (backends.Upload, error) {
	return f.upload(ctx, Begin, hint.Key, func() (backends.Upload, error) { return f.b.Begin(ctx, hint) })
}

// Resume implements backends.Backend.
func (f *Faulty) Resume(ctx context.Context, state []byte) (backends.Upload, error) {
	return f.upload(ctx, Resume, "", func() (backends.Upload, error) { return f.b.Resume(ctx, state) })
}

func (f *Faulty) upload(ctx context.Context, op Op, key string, start func() (backends.Upload, error)) (u backends.Upload, err error) {
	err = f.call(ctx, op, key, func() (err error) {
		u, err = start()
		return err
	})
	if err != nil {
		if u != nil {
			u.Close()
		}
		return nil, err
	}
	return &faultyUpload{u: u, f: f, ctx: ctx, key: key}, nil
}

// Open implements backends.Backend.
func (f *Faulty) Open(ctx context.Context, key string, off, n int64) (r io.ReadCloser, err error) {
	err = f.call(ctx, Open, key, func() (err error) {
		r, err = f.b.Open(ctx, key, off, n)
		return err
	})
	if err != nil {
		if r != nil {
			r.Close()
		}
		return nil, err
	}
	return &faultyReader{ReadCloser: r, f: f, ctx: ctx, key: key, off: off}, nil
}

// Stat implements backends.Backend.
func (f *Faulty) Stat(ctx context.Context, key string) (info backends.Info, err error) {
	err = f.call(ctx, Stat, key, func() (err error) {
		info, err = f.b.Stat(ctx, key)
		return err
	})
	if err != nil {
		return backends.Info{}, err
	}
	return info, nil
}

// List implements backends.Backend. Its effect is the list: a lost reply is one
// that breaks off at the end.
func (f *Faulty) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Info, error] {
	return func(yield func(backends.Info, error) bool) {
		more := true
		err := f.call(ctx, List, "", func() error {
			for info, err := range f.b.List(ctx, prefix, after) {
				if more = yield(info, err); !more || err != nil {
					more = false
					break
				}
			}
			return nil
		})
		if err != nil && more {
			yield(backends.Info{}, err)
		}
	}
}

// Delete implements backends.Backend.
func (f *Faulty) Delete(ctx context.Context, key string) error {
	return f.call(ctx, Delete, key, func() error { return f.b.Delete(ctx, key) })
}

// Sweep implements backends.Backend.
func (f *Faulty) Sweep(ctx context.Context, before time.Time) (n int, err error) {
	err = f.call(ctx, Sweep, "", func() (err error) {
		n, err = f.b.Sweep(ctx, before)
		return err
	})
	return n, err
}

// Health implements backends.Backend.
func (f *Faulty) Health(ctx context.Context) error {
	return f.call(ctx, Health, "", func() error { return f.b.Health(ctx) })
}
