package backendtest

import (
	"context"
	"io"
	"iter"
	"slices"
	"sync"
	"time"

	"artifactstore/backends"
)

// Call is one call on a backend, written down when it returned. A list is one
// call, at its end.
type Call struct {
	Op    Op
	Key   string // as far as it was known: the hint's, Commit's; of a list, its prefix
	Off   int64  // Open: where from
	N     int64  // Open: how many bytes were asked for; -1 for all
	Bytes int64  // Read, Write: how many bytes moved. List: how many objects
	Err   error
}

// Recorder is a backend that writes down the calls on it, for tests such as "a
// range opens once" or "a put of known content writes nothing". Its readers are
// io.WriterTo where those below are.
type Recorder struct {
	b backends.Backend

	mu    sync.Mutex
	calls []Call
}

var _ backends.Backend = (*Recorder)(nil)

// NewRecorder returns b with its calls recorded.
func NewRecorder(b backends.Backend) *Recorder { return &Recorder{b: b} }

// Calls returns what was recorded, in the order of returning.
func (r *Recorder) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// Reset forgets what was recorded.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = nil
}

// Count returns how many calls of these kinds there were; without a kind, all.
func (r *Recorder) Count(ops ...Op) (n int) {
	for _, c := range r.Calls() {
		if len(ops) == 0 || slices.Contains(ops, c.Op) {
			n++
		}
	}
	return n
}

// Bytes returns how many bytes the calls of a kind moved.
func (r *Recorder) Bytes(op Op) (n int64) {
	for _, c := range r.Calls() {
		if c.Op == op {
			n += c.Bytes
		}
	}
	return n
}

func (r *Recorder) note(c Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
}

// Begin implements backends.Backend.
func (r *Recorder) Begin(ctx context.Context, hint backends.Hint) (backends.Upload, error) {
	u, err := r.b.Begin(ctx, hint)
	return r.upload(u, Call{Op: Begin, Key: hint.Key, Err: err})
}

// Resume implements backends.Backend.
func (r *Recorder) Resume(ctx context.Context, state []byte) (backends.Upload, error) {
	u, err := r.b.Resume(ctx, state)
	return r.upload(u, Call{Op: Resume, Err: err})
}

func (r *Recorder) upload(u backends.Upload, c Call) (backends.Upload, error) {
	r.note(c)
	if c.Err != nil {
		return nil, c.Err
	}
	return &recordedUpload{u, r, c.Key}, nil
}

// Open implements backends.Backend.
func (r *Recorder) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	in, err := r.b.Open(ctx, key, off, n)
	r.note(Call{Op: Open, Key: key, Off: off, N: n, Err: err})
	if err != nil {
		return nil, err
	}
	out := &recordedReader{in, r, key}
	if fast, ok := in.(io.WriterTo); ok {
		return &recordedWriterTo{out, fast}, nil
	}
	return out, nil
}

// Stat implements backends.Backend.
func (r *Recorder) Stat(ctx context.Context, key string) (backends.Info, error) {
	info, err := r.b.Stat(ctx, key)
	r.note(Call{Op: Stat, Key: key, Err: err})
	return info, err
}

// List implements backends.Backend.
func (r *Recorder) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Info, error] {
	return func(yield func(backends.Info, error) bool) {
		c := Call{Op: List, Key: prefix}
		defer func() { r.note(c) }()
		for info, err := range r.b.List(ctx, prefix, after) {
			if c.Err = err; err == nil {
				c.Bytes++
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

// Delete implements backends.Backend.
func (r *Recorder) Delete(ctx context.Context, key string) error {
	err := r.b.Delete(ctx, key)
	r.note(Call{Op: Delete, Key: key, Err: err})
	return err
}

// Sweep implements backends.Backend.
func (r *Recorder) Sweep(ctx context.Context, before time.Time) (int, error) {
	n, err := r.b.Sweep(ctx, before)
	r.note(Call{Op: Sweep, Err: err})
	return n, err
}

// Health implements backends.Backend.
func (r *Recorder) Health(ctx context.Context) error {
	err := r.b.Health(ctx)
	r.note(Call{Op: Health, Err: err})
	return err
}

type recordedUpload struct {
	u   backends.Upload
	r   *Recorder
	key string
}

// Write implements backends.Upload.
func (u *recordedUpload) Write(p []byte) (int, error) {
	n, err := u.u.Write(p)
	u.r.note(Call{Op: Write, Key: u.key, Bytes: int64(n), Err: err})
	return n, err
}

// Suspend implements backends.Upload.
func (u *recordedUpload) Suspend(ctx context.Context) ([]byte, error) {
	state, err := u.u.Suspend(ctx)
	u.r.note(Call{Op: Suspend, Key: u.key, Err: err})
	return state, err
}

// Commit implements backends.Upload.
func (u *recordedUpload) Commit(ctx context.Context, key string) error {
	err := u.u.Commit(ctx, key)
	u.r.note(Call{Op: Commit, Key: key, Err: err})
	return err
}

// Abort implements backends.Upload.
func (u *recordedUpload) Abort(ctx context.Context) error {
	err := u.u.Abort(ctx)
	u.r.note(Call{Op: Abort, Key: u.key, Err: err})
	return err
}

// Close implements backends.Upload.
func (u *recordedUpload) Close() error {
	err := u.u.Close()
	u.r.note(Call{Op: Close, Key: u.key, Err: err})
	return err
}

type recordedReader struct {
	io.ReadCloser
	r   *Recorder
	key string
}

// Read implements io.Reader.
func (r *recordedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.r.note(Call{Op: Read, Key: r.key, Bytes: int64(n), Err: err})
	return n, err
}

type recordedWriterTo struct {
	*recordedReader
	fast io.WriterTo
}

// WriteTo implements io.WriterTo. It is one Read.
func (r *recordedWriterTo) WriteTo(w io.Writer) (int64, error) {
	n, err := r.fast.WriteTo(w)
	r.r.note(Call{Op: Read, Key: r.key, Bytes: n, Err: err})
	return n, err
}
