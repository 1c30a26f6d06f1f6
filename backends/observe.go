package backends

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"time"
)

// Observer is told of every operation on a backend when it has ended. The
// outcome is "ok", "absent" (fs.ErrNotExist), "cancelled" or "error".
type Observer func(operation, outcome string, took time.Duration)

// Observe returns b with its operations reported. Of an upload, the beginning,
// suspending and committing are operations; its writes, and the reads
// of an opened object, move bytes and are not.
func Observe(b Backend, o Observer) Backend { return &observed{b, o} }

type observed struct {
	Backend
	tell Observer
}

func (b *observed) done(operation string, start time.Time, err error) {
	b.tell(operation, outcome(err), time.Since(start))
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, fs.ErrNotExist):
		return "absent"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return "error"
}

// Absent implements Prober, and is no operation.
func (b *observed) Absent(key string) bool { return Absent(b.Backend, key) }

func (b *observed) Begin(ctx context.Context, hint Hint) (Upload, error) {
	start := time.Now()
	u, err := b.Backend.Begin(ctx, hint)
	b.done("begin", start, err)
	return b.upload(u, err)
}

func (b *observed) Resume(ctx context.Context, state []byte) (Upload, error) {
	start := time.Now()
	u, err := b.Backend.Resume(ctx, state)
	b.done("resume", start, err)
	return b.upload(u, err)
}

func (b *observed) upload(u Upload, err error) (Upload, error) {
	if err != nil {
		return nil, err
	}
	return &observedUpload{u, b}, nil
}

func (b *observed) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	start := time.Now()
	r, err := b.Backend.Open(ctx, key, off, n)
	b.done("open", start, err)
	return r, err
}

func (b *observed) Stat(ctx context.Context, key string) (Info, error) {
	start := time.Now()
	info, err := b.Backend.Stat(ctx, key)
	b.done("stat", start, err)
	return info, err
}

func (b *observed) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		start := time.Now()
		var failed error
		defer func() { b.done("list", start, failed) }()
		for info, err := range b.Backend.List(ctx, prefix, after) {
			failed = err
			if !yield(info, err) {
				return
			}
		}
	}
}

func (b *observed) Delete(ctx context.Context, key string) error {
	start := time.Now()
	err := b.Backend.Delete(ctx, key)
	b.done("delete", start, err)
	return err
}

func (b *observed) Sweep(ctx context.Context, before time.Time) (int, error) {
	start := time.Now()
	n, err := b.Backend.Sweep(ctx, before)
	b.done("sweep", start, err)
	return n, err
}

type observedUpload struct {
	Upload
	b *observed
}

func (u *observedUpload) Suspend(ctx context.Context) ([]byte, error) {
	start := time.Now()
	state, err := u.Upload.Suspend(ctx)
	u.b.done("suspend", start, err)
	return state, err
}

func (u *observedUpload) Commit(ctx context.Context, key string) error {
	start := time.Now()
	err := u.Upload.Commit(ctx, key)
	u.b.done("commit", start, err)
	return err
}
