package cas_test

import (
	"context"
	"errors"
	"io"
	"iter"
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
	at    int    // the call that fails, -1 for none
	named string // or the next call of this name, "" for none
	how   how    // it fails
	dead  bool   // nothing has an effect any more

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
	now := len(s.calls) == s.at || name == s.named && name != ""
	if now {
		s.named = ""
	}
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

// failAt lets the next call of a name fail.
func (s *seam) failAt(name string, how how) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.named, s.how = name, how
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

func (b *seamBackend) Absent(key string) bool { return backends.Absent(b.Backend, key) }

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

func (b *seamBackend) Delete(ctx context.Context, key string) error {
	return b.call("delete", errBackend, func() error { return b.Backend.Delete(ctx, key) })
}

func (b *seamBackend) Health(ctx context.Context) error {
	return b.call("health", errBackend, func() error { return b.Backend.Health(ctx) })
}

func (b *seamBackend) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Info, error] {
	return seamList(b.seam, "list", errBackend, b.Backend.List(ctx, prefix, after))
}

// seamList fails before the first element, or after the last.
func seamList[T any](s *seam, name string, cause error, list iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		more := true
		err := s.call(name, cause, func() error {
			for t, err := range list {
				if more = yield(t, err) && err == nil; !more {
					break
				}
			}
			return nil
		})
		if err != nil && more {
			var none T
			yield(none, err)
		}
	}
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

func (r *seamRegistry) Blobs(ctx context.Context, after digest.Digest) iter.Seq2[registry.Blob, error] {
	return seamList(r.seam, "blobs", errRegistry, r.Registry.Blobs(ctx, after))
}

func (r *seamRegistry) Removals(ctx context.Context, backendID string, after digest.Digest, limit int) (list []registry.Removal, err error) {
	err = r.call("removals", errRegistry, func() (err error) {
		list, err = r.Registry.Removals(ctx, backendID, after, limit)
		return err
	})
	return list, err
}

func (r *seamRegistry) Collectable(ctx context.Context, t time.Time, grace time.Duration, after digest.Digest, limit int) (page []registry.Idle, next digest.Digest, err error) {
	err = r.call("collectable", errRegistry, func() (err error) {
		page, next, err = r.Registry.Collectable(ctx, t, grace, after, limit)
		return err
	})
	return page, next, err
}

func (r *seamRegistry) Expirable(ctx context.Context, class string, before time.Time, limit int) (list []registry.Package, err error) {
	err = r.call("expirable", errRegistry, func() (err error) {
		list, err = r.Registry.Expirable(ctx, class, before, limit)
		return err
	})
	return list, err
}

// Claim lasts no time for others: a process that dies is replaced at once.
func (r *seamRegistry) Claim(ctx context.Context, name, holder string, _ time.Duration) (token uint64, ok bool, err error) {
	err = r.call("claim", errRegistry, func() (err error) {
		token, ok, err = r.Registry.Claim(ctx, name, holder, time.Microsecond)
		return err
	})
	return token, ok, err
}

func (r *seamRegistry) Renew(ctx context.Context, name string, token uint64, lasting time.Duration) error {
	return r.call("renew", errRegistry, func() error { return r.Registry.Renew(ctx, name, token, lasting) })
}

func (r *seamRegistry) Release(ctx context.Context, name string, token uint64) error {
	return r.call("release", errRegistry, func() error { return r.Registry.Release(ctx, name, token) })
}

func (r *seamRegistry) State(ctx context.Context, name string) (value []byte, err error) {
	err = r.call("state", errRegistry, func() (err error) {
		value, err = r.Registry.State(ctx, name)
		return err
	})
	return value, err
}

func (r *seamRegistry) SetState(ctx context.Context, name string, token uint64, value []byte) error {
	return r.call("set state", errRegistry, func() error { return r.Registry.SetState(ctx, name, token, value) })
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
