package cas_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"artifactstore/backends"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// seam stands between the engine and what it drives. It numbers the calls, in
// the order in which they begin, and does with one of them what a test wants.
type seam struct {
	mu    sync.Mutex
	calls []string
	at    int  // the call that fails, -1 for none
	how   how  // it fails
	dead  bool // nothing has an effect any more

	before func(call string) // is told of each call before its effect; may be nil
}

// how is a way in which a call fails.
type how int

const (
	fails      how = iota // without its effect
	failsAfter            // its effect: the answer is lost
	dies                  // the process ends before the effect
	diesAfter             // the process ends after the effect
)

func (h how) String() string {
	return [...]string{"fails", "fails after its effect", "dies", "dies after its effect"}[h]
}

var errFault = errors.New("fault on purpose")

func noFault() *seam { return &seam{at: -1} }

// call runs an effect, or fails in its place or after it. cause is what a failing
// backend or registry would say.
func (s *seam) call(name string, cause error, effect func() error) error {
	s.mu.Lock()
	now := len(s.calls) == s.at
	s.calls = append(s.calls, name)
	if now && s.how == dies {
		s.dead = true
	}
	dead, before := s.dead, s.before
	s.mu.Unlock()
	if dead || (now && s.how == fails) {
		return cause
	}
	if before != nil {
		before(name)
	}
	err := effect()
	if now && s.how == diesAfter {
		s.mu.Lock()
		s.dead = true
		s.mu.Unlock()
	}
	if now {
		return cause
	}
	return err
}

// made returns the calls so far.
func (s *seam) made() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

func (s *seam) count(name string) (n int) {
	for _, c := range s.made() {
		if c == name {
			n++
		}
	}
	return n
}

// seamBackend is a backend behind a seam.
type seamBackend struct {
	backends.Backend
	*seam
}

var (
	errBackend  = errors.Join(errFault, backends.ErrUnavailable)
	errRegistry = errors.Join(errFault, registry.ErrUnavailable)
)

func (b *seamBackend) Begin(ctx context.Context, hint backends.Hint) (u backends.Upload, err error) {
	err = b.call("begin", errBackend, func() (err error) {
		u, err = b.Backend.Begin(ctx, hint)
		return err
	})
	if err != nil {
		if u != nil { // begun, but nobody was told
			u.Close()
		}
		return nil, err
	}
	return &seamUpload{u, b.seam}, nil
}

func (b *seamBackend) Resume(ctx context.Context, state []byte) (u backends.Upload, err error) {
	err = b.call("resume", errBackend, func() (err error) {
		u, err = b.Backend.Resume(ctx, state)
		return err
	})
	if err != nil {
		if u != nil { // resumed, but nobody was told
			u.Close()
		}
		return nil, err
	}
	return &seamUpload{u, b.seam}, nil
}

func (b *seamBackend) Stat(ctx context.Context, key string) (info backends.Info, err error) {
	err = b.call("stat", errBackend, func() (err error) {
		info, err = b.Backend.Stat(ctx, key)
		return err
	})
	return info, err
}

func (b *seamBackend) Open(ctx context.Context, key string, off, n int64) (r io.ReadCloser, err error) {
	err = b.call("open", errBackend, func() (err error) {
		r, err = b.Backend.Open(ctx, key, off, n)
		return err
	})
	if err != nil && r != nil {
		r.Close()
		r = nil
	}
	return r, err
}

type seamUpload struct {
	backends.Upload
	*seam
}

func (u *seamUpload) Write(p []byte) (n int, err error) {
	err = u.call("write", errBackend, func() (err error) {
		n, err = u.Upload.Write(p)
		return err
	})
	return n, err
}

func (u *seamUpload) Suspend(ctx context.Context) (state []byte, err error) {
	err = u.call("suspend", errBackend, func() (err error) {
		state, err = u.Upload.Suspend(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return state, nil
}

func (u *seamUpload) Commit(ctx context.Context, key string) error {
	return u.call("commit", errBackend, func() error { return u.Upload.Commit(ctx, key) })
}

func (u *seamUpload) Abort(ctx context.Context) error {
	err := u.call("abort", errBackend, func() error { return u.Upload.Abort(ctx) })
	if err != nil {
		u.Upload.Close() // what a process that ends lets go of
	}
	return err
}

// seamRegistry is a registry behind a seam.
type seamRegistry struct {
	registry.Registry
	*seam
}

func (r *seamRegistry) Append(ctx context.Context, events ...registry.Event) (last uint64, err error) {
	err = r.call("append", errRegistry, func() (err error) {
		last, err = r.Registry.Append(ctx, events...)
		return err
	})
	return last, err
}

func (r *seamRegistry) Last(ctx context.Context) (last uint64, err error) {
	err = r.call("last", errRegistry, func() (err error) {
		last, err = r.Registry.Last(ctx)
		return err
	})
	return last, err
}

func (r *seamRegistry) Removal(ctx context.Context, blob digest.Digest, backendID string) (removal registry.Removal, err error) {
	err = r.call("removal", errRegistry, func() (err error) {
		removal, err = r.Registry.Removal(ctx, blob, backendID)
		return err
	})
	return removal, err
}

func (r *seamRegistry) Blob(ctx context.Context, d digest.Digest) (b registry.Blob, err error) {
	err = r.call("blob", errRegistry, func() (err error) {
		b, err = r.Registry.Blob(ctx, d)
		return err
	})
	return b, err
}

func (r *seamRegistry) Package(ctx context.Context, k registry.PackageKey) (p registry.Package, err error) {
	err = r.call("package", errRegistry, func() (err error) {
		p, err = r.Registry.Package(ctx, k)
		return err
	})
	return p, err
}

func (r *seamRegistry) File(ctx context.Context, k registry.PackageKey, path string) (f registry.File, err error) {
	err = r.call("file", errRegistry, func() (err error) {
		f, err = r.Registry.File(ctx, k, path)
		return err
	})
	return f, err
}

func (r *seamRegistry) CreateUpload(ctx context.Context, u registry.Upload) error {
	return r.call("create", errRegistry, func() error { return r.Registry.CreateUpload(ctx, u) })
}

func (r *seamRegistry) Upload(ctx context.Context, id string) (u registry.Upload, err error) {
	err = r.call("upload", errRegistry, func() (err error) {
		u, err = r.Registry.Upload(ctx, id)
		return err
	})
	return u, err
}

func (r *seamRegistry) SaveUpload(ctx context.Context, u registry.Upload) (saved registry.Upload, err error) {
	err = r.call("save", errRegistry, func() (err error) {
		saved, err = r.Registry.SaveUpload(ctx, u)
		return err
	})
	if err != nil {
		return registry.Upload{}, err
	}
	return saved, nil
}

func (r *seamRegistry) DeleteUpload(ctx context.Context, id string, version int64) error {
	return r.call("forget", errRegistry, func() error { return r.Registry.DeleteUpload(ctx, id, version) })
}

func (r *seamRegistry) ExpiredUploads(ctx context.Context, before time.Time, limit int) (list []registry.Upload, err error) {
	err = r.call("expired", errRegistry, func() (err error) {
		list, err = r.Registry.ExpiredUploads(ctx, before, limit)
		return err
	})
	return list, err
}
