package cas

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// A route with copies promises that what it takes is on each of its backends. One
// task, on one gateway at a time, sees to it: it follows the log, whose events name
// the blobs that may want a copy, and makes what is missing. Only when the routing has
// changed, or when copies could not be made, it walks all blobs. How far it is stands
// with its turn, so another process goes on there.
const turnCopies = "copies"

// Copying says how the background makes copies.
type Copying struct {
	Every          time.Duration // from the beginning of a run to that of the next
	BytesPerSecond int64         // 0 is no bound
	Concurrency    int           // copies at once; 0 is 4
}

// Copies returns the task that makes the copies that routes name; none where no
// route does.
func (s *Store) Copies(o Copying) []Task {
	if len(s.policy.promising()) == 0 {
		return nil
	}
	return []Task{{Name: turnCopies, Every: o.Every, Run: func(ctx context.Context, t *Turn) error {
		f, err := s.newFollower(t, o)
		if err != nil {
			return err
		}
		defer f.tell()
		return f.run(ctx)
	}}}
}

// follower is one run of the task.
type follower struct {
	*copier
	o     Copying
	turn  *Turn
	began time.Time // by this process's clock

	mu    sync.Mutex // guards the counts in state
	state copyState
	left  error // one of the reasons why a copy could not be made
}

func (s *Store) newFollower(t *Turn, o Copying) (*follower, error) {
	if o.Concurrency == 0 {
		o.Concurrency = 4
	}
	f := &follower{copier: s.newCopier(o.BytesPerSecond, actorGateway), o: o, turn: t, began: time.Now()}
	var err error
	f.state, err = readCopyState(t.State())
	return f, err
}

// run makes what is missing, and then what comes, until it is time for the next run:
// so a new upload has its copy soon, and several gateways take turns.
func (f *follower) run(ctx context.Context) error {
	if err := f.begin(ctx); err != nil {
		return err
	}
	for {
		if err := f.follow(ctx); err != nil {
			return err
		}
		switch {
		case f.state.Walk != nil:
			if err := f.page(ctx); err != nil {
				return err
			}
		case f.again(ctx):
			f.state.Walk = &copyWalk{Began: f.now().UTC()}
		default:
			if more, err := f.await(ctx); err != nil || !more {
				return err
			}
		}
	}
}

// begin walks all blobs where the routing is not the one that was followed, or the
// log another: it ends before the position.
func (f *follower) begin(ctx context.Context) error {
	last, err := f.reg.Last(ctx)
	if err != nil {
		return registryError("read the log's position", err)
	}
	routing := f.policy.fingerprint()
	if f.state.Routing == routing && f.state.Position <= last {
		return nil
	}
	f.state = copyState{Routing: routing, Position: last, Walk: &copyWalk{Counting: true, Began: f.now().UTC()}}
	return f.save(ctx)
}

// gatherTime lets what comes together be looked at together.
const gatherTime = 200 * time.Millisecond

// await waits for events, and reports whether some came while the run lasts.
func (f *follower) await(ctx context.Context) (more bool, err error) {
	waiting, cancel := context.WithDeadline(ctx, f.began.Add(f.o.Every))
	defer cancel()
	if waiting.Err() == nil && f.reg.Wait(waiting, f.state.Position) == nil {
		return true, f.sleep(ctx, gatherTime)
	}
	return false, ctx.Err()
}

// tell says what the run did.
func (f *follower) tell() {
	if n := f.copies.Load(); n > 0 {
		f.log.Info("made copies", "copies", n, "bytes", f.bytes.Load())
	}
	if f.left != nil {
		f.log.Warn("copies could not be made; they are tried again", "missing", f.state.Missing, "error", f.left)
	}
}

// followStep is after how many records it is kept how far the log was followed.
const followStep = 512

// follow goes to the end of the log.
func (f *follower) follow(ctx context.Context) error {
	for {
		n, err := f.step(ctx)
		if err != nil {
			return err
		}
		if n > 0 {
			err = f.save(ctx)
		}
		if err != nil || n < followStep {
			return err
		}
	}
}

// step looks at some records and makes what is missing of the blobs that they name.
func (f *follower) step(ctx context.Context) (n int, err error) {
	last := f.state.Position
	known := map[digest.Digest]bool{} // looked at in this step
	work := newCrew(ctx, f.o.Concurrency)
	for r, err := range f.reg.Since(ctx, last) {
		if err != nil {
			work.cancel(registryError("read events", err))
			break
		}
		err := f.concerned(ctx, r, func(blob digest.Digest) {
			if blob.IsZero() || known[blob] {
				return
			}
			if len(known) == followStep { // what is forgotten is only looked at again
				clear(known)
			}
			known[blob] = true
			work.do(func(ctx context.Context) error { return f.lookAt(ctx, blob) })
		})
		if err != nil {
			work.cancel(err)
			break
		}
		last = r.Position
		if n++; n == followStep {
			break
		}
	}
	if err := work.wait(); err != nil {
		return 0, err
	}
	f.state.Position = last
	return n, nil
}

// concerned yields the blobs that may want a copy since something was said. What
// was made here is none: the blob was looked at then.
func (f *follower) concerned(ctx context.Context, r registry.Record, yield func(digest.Digest)) error {
	switch d := r.Data.(type) {
	case registry.BlobLeased:
		yield(d.Blob)
	case registry.LocationRecorded:
		if r.Actor != f.by {
			yield(d.Blob)
		}
	case registry.LocationRepaired:
		if r.Actor != f.by {
			yield(d.Blob)
		}
	case registry.LocationFailed:
		yield(d.Blob)
	case registry.LocationRemoved:
		yield(d.Blob)
	case registry.PackageFileAdded:
		yield(d.Blob)
	case registry.PackageSealed:
		yield(d.Manifest)
	case registry.PackageCreated:
		yield(d.Manifest)
		for _, file := range d.Files {
			yield(file.Blob)
		}
	case registry.PackageRenewed: // perhaps of another class
		return f.concernedBy(ctx, d.Package, yield)
	}
	return nil
}

// concernedBy yields the blobs of a package.
func (f *follower) concernedBy(ctx context.Context, k registry.PackageKey, yield func(digest.Digest)) error {
	p, err := f.reg.Package(ctx, k)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return registryError("look up "+k.String(), err)
	}
	yield(p.Manifest)
	for file, err := range f.reg.Files(ctx, k, "") {
		if err != nil {
			return registryError("list the files of "+k.String(), err)
		}
		yield(file.SHA256)
	}
	return nil
}

// lookAt makes what is missing of a blob that an event named.
func (f *follower) lookAt(ctx context.Context, blob digest.Digest) error {
	b, err := f.reg.Blob(ctx, blob)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return registryError("look up "+blob.String(), err)
	}
	_, left, err := f.make(ctx, b)
	for _, id := range left {
		f.count(func(st *copyState) {
			st.Missing[id]++
			if now := f.now().UTC(); st.Next.Before(now) {
				st.Next = now.Add(restTime)
			}
			if st.Walk != nil && st.Walk.passed(blob) {
				st.Walk.Left[id]++
			}
		})
	}
	return err
}

// make makes what is missing of what routes promise, and returns what it has made
// and what is left.
func (f *follower) make(ctx context.Context, b registry.Blob) (made, left []string, err error) {
	w, err := f.wanted(ctx, b)
	if err != nil {
		return nil, nil, err
	}
	made, left, why, err := f.copyAll(ctx, b, w.promised)
	if why != nil {
		f.count(func(*copyState) { f.left = why })
	}
	return made, left, err
}
