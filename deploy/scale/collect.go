package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"artifactstore/backends"
	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// targetDead is how much time of the registry a dead blob may cost.
const targetDead = 2 * time.Millisecond

// collect lets a collection find the dead blobs, and prints what it cost.
func collect(ctx context.Context, o options, reg registry.Registry) (missed bool, err error) {
	watched := &timed{Registry: reg}
	store, err := newStore(watched, nowhere{}, -1)
	if err != nil {
		return false, err
	}
	began := time.Now()
	report, err := store.Collect(ctx, cas.CollectOptions{})
	if err != nil {
		return false, err
	}
	if report.Blobs != int64(o.dead) {
		return false, fmt.Errorf("%d blobs were collected, not %d: %+v", report.Blobs, o.dead, report)
	}
	each, verdict := time.Duration(watched.took.Load())/time.Duration(o.dead), "met"
	if each >= targetDead {
		missed, verdict = true, "MISSED"
	}
	fmt.Printf("  collect: %d dead blobs of %d, in %s: %d calls of the registry\n", report.Blobs, o.dead+o.packages*perPackage, time.Since(began).Round(time.Second), watched.calls.Load())
	fmt.Printf("  %-52s %9s  target < %s  %s\n", "database time of a dead blob", each.Round(time.Microsecond), targetDead, verdict)
	return missed, nil
}

// timed is a registry that counts the time of the calls that a collection makes.
type timed struct {
	registry.Registry
	took, calls atomic.Int64
}

func (r *timed) since(began time.Time) {
	r.took.Add(int64(time.Since(began)))
	r.calls.Add(1)
}

func (r *timed) Append(ctx context.Context, events ...registry.Event) (uint64, error) {
	defer r.since(time.Now())
	return r.Registry.Append(ctx, events...)
}

func (r *timed) Collectable(ctx context.Context, t time.Time, grace time.Duration, after digest.Digest, limit int) ([]registry.Idle, digest.Digest, error) {
	defer r.since(time.Now())
	return r.Registry.Collectable(ctx, t, grace, after, limit)
}

func (r *timed) Removals(ctx context.Context, backendID string, after digest.Digest, limit int) ([]registry.Removal, error) {
	defer r.since(time.Now())
	return r.Registry.Removals(ctx, backendID, after, limit)
}

func (r *timed) Removal(ctx context.Context, blob digest.Digest, backendID string) (registry.Removal, error) {
	defer r.since(time.Now())
	return r.Registry.Removal(ctx, blob, backendID)
}

func (r *timed) Claim(ctx context.Context, name, holder string, lasting time.Duration) (uint64, bool, error) {
	defer r.since(time.Now())
	return r.Registry.Claim(ctx, name, holder, lasting)
}

func (r *timed) Renew(ctx context.Context, name string, token uint64, lasting time.Duration) error {
	defer r.since(time.Now())
	return r.Registry.Renew(ctx, name, token, lasting)
}

func (r *timed) Release(ctx context.Context, name string, token uint64) error {
	defer r.since(time.Now())
	return r.Registry.Release(ctx, name, token)
}

func (r *timed) State(ctx context.Context, name string) ([]byte, error) {
	defer r.since(time.Now())
	return r.Registry.State(ctx, name)
}

func (r *timed) SetState(ctx context.Context, name string, token uint64, value []byte) error {
	defer r.since(time.Now())
	return r.Registry.SetState(ctx, name, token, value)
}

// nowhere is a backend from which everything can be deleted at once.
type nowhere struct{}

var errNowhere = errors.New("nothing is kept here")

func (nowhere) Begin(context.Context, backends.Hint) (backends.Upload, error) {
	return nil, errNowhere
}
func (nowhere) Resume(context.Context, []byte) (backends.Upload, error) { return nil, errNowhere }
func (nowhere) Open(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return nil, errNowhere
}
func (nowhere) Stat(context.Context, string) (backends.Info, error) {
	return backends.Info{}, errNowhere
}
func (nowhere) List(context.Context, string, string) iter.Seq2[backends.Info, error] {
	return func(func(backends.Info, error) bool) {}
}
func (nowhere) Sweep(context.Context, time.Time) (int, error) { return 0, nil }
func (nowhere) Delete(context.Context, string) error          { return nil }
func (nowhere) Health(context.Context) error                  { return nil }
