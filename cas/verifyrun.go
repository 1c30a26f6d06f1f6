package cas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"artifactstore/backends"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// verifier is one process's part of a run.
//
//	walk ──checks──► workers ──found──► collect: append, count, save
//	  └──────────────line (in the order of digests)──────┘
//
// Workers finish out of order. The line keeps the order: the cursor is the last
// location before which all are done.
type verifier struct {
	*Store
	o     VerifyOptions
	turn  *Turn
	b     backends.Backend
	pace  *pace
	st    verifyState
	ahead map[string]ahead // by digest: what the process before found behind the cursor

	ctx    context.Context
	cancel context.CancelCauseFunc
	line   chan *slot
	checks chan *slot
	found  chan *slot
	head   *slot // the first of the line that was taken from it
	batch  []*slot
	after  map[*slot]bool // appended, and behind the head
	saved  time.Time

	careful int // findings that are appended one by one
}

// slot is a location in the line, and what became of it.
type slot struct {
	blob     registry.Blob
	at       registry.Location
	result   Result
	repaired string
	mended   bool   // it had failed and is right again
	seen     uint64 // the log's last position before it was read, where it had failed
	read     bool   // in this run, whichever process
	done     bool
}

// lineLength is how many locations may lie between the oldest that is not done and
// the youngest that is looked at.
const lineLength = 4096

// newVerifier finds the run to go on with, or begins one.
func (s *Store) newVerifier(ctx context.Context, t *Turn, b backends.Backend, o VerifyOptions) (*verifier, error) {
	o.complete()
	v := &verifier{Store: s, o: o, turn: t, b: b, ahead: map[string]ahead{}, after: map[*slot]bool{}}
	v.pace = &pace{rate: o.BytesPerSecond, now: time.Now, wait: s.sleep}
	var err error
	if v.st, err = readVerifyState(o.Backend, t.State()); err != nil {
		return nil, err
	}
	if o.wanted != nil && !o.wanted(v.st) {
		return nil, errNotWanted
	}
	if o.Fresh || !v.st.Current.goesOn(o) {
		v.st.begin(s.newRun(o))
	}
	for _, a := range v.st.Ahead {
		v.ahead[a.Blob.String()] = a
	}
	return v, v.start(ctx)
}

// start says that this process has the run.
func (v *verifier) start(ctx context.Context) error {
	run := &v.st.Current
	if run.Status != RunRequested {
		v.careful = appendMost + 2*v.o.Concurrency
	} else {
		totals, err := v.Totals(ctx)
		if err != nil {
			return err
		}
		stored, failed := LocationsOn(totals, v.o.Backend)
		run.Locations, run.StartedAt = stored+failed, v.now().UTC()
		if v.st.Mark, err = v.lastEventTime(ctx); err != nil {
			return err
		}
	}
	if v.nothingThere() {
		return fmt.Errorf("verify %s: %w", v.o.Backend, ErrNothingThere)
	}
	run.Status, run.Holder, run.Error = RunRunning, v.holder, ""
	run.BytesPerSecond, run.Concurrency = v.o.BytesPerSecond, v.o.Concurrency
	v.ctx = ctx
	return v.save()
}

// nothingLeast is how many missing objects, and none that is right, are too many to
// go on without a person.
const nothingLeast = 100

func (v *verifier) nothingThere() bool {
	found := v.st.Current.Results
	return !v.o.Attended && found[Missing] >= nothingLeast && found[Intact] == 0
}

// lastEventTime is the registry's clock: all events from now on are not before it.
func (s *Store) lastEventTime(ctx context.Context) (at time.Time, err error) {
	last, err := s.reg.Last(ctx)
	if err != nil || last == 0 {
		return at, registryError("read log", err)
	}
	for r, err := range s.reg.Since(ctx, last-1) {
		return r.Time, registryError("read log", err)
	}
	return at, nil
}

func (v *verifier) run(ctx context.Context) (Verification, error) {
	if !v.o.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, v.o.Until)
		defer cancel()
	}
	v.ctx, v.cancel = context.WithCancelCause(ctx)
	defer v.cancel(nil)
	err := v.readAll()
	if err == nil && v.o.Sample == 1 {
		err = v.compare(v.ctx)
	}
	return v.end(err)
}

// readAll examines the locations behind the cursor.
func (v *verifier) readAll() error {
	v.line, v.checks, v.found = make(chan *slot, lineLength), make(chan *slot), make(chan *slot)
	var all, workers sync.WaitGroup
	all.Go(v.walk(v.line, v.st.Cursor))
	for range v.o.Concurrency {
		workers.Go(v.work)
	}
	all.Go(func() { workers.Wait(); close(v.found) })
	v.collect()
	all.Wait()
	return context.Cause(v.ctx)
}

// walk returns what puts the backend's locations behind a digest in line.
func (v *verifier) walk(line chan<- *slot, from digest.Digest) func() {
	return func() {
		defer close(line)
		defer close(v.checks)
		for b, err := range v.reg.Blobs(v.ctx, from) {
			if err != nil {
				v.cancel(registryError("walk locations", err))
				return
			}
			at := locationOn(b, v.o.Backend)
			if at == nil {
				continue
			}
			s := v.slot(b, *at)
			if !send(v.ctx, line, s) || (!s.done && !send(v.ctx, v.checks, s)) {
				return
			}
		}
	}
}

func send(ctx context.Context, to chan<- *slot, s *slot) bool {
	select {
	case to <- s:
		return true
	case <-ctx.Done():
		return false
	}
}

// slot is a location's, done where there is nothing to read.
func (v *verifier) slot(b registry.Blob, at registry.Location) *slot {
	s := &slot{blob: b, at: at}
	prior, found := v.ahead[b.SHA256.String()]
	switch {
	case found:
		s.result, s.repaired, s.read, s.done = prior.Result, prior.Repaired, true, true
	case at.VerifiedAt.After(v.st.Mark):
		s.result, s.read, s.done = Intact, true, true
	case !v.sampled(b), v.lately(at):
		s.result, s.done = Skipped, true
	}
	return s
}

// sampled reports whether a blob is in the run's sample.
func (v *verifier) sampled(b registry.Blob) bool {
	if v.o.Sample == 1 {
		return true
	}
	h := fnv.New64a()
	h.Write([]byte(v.st.Current.Run))
	h.Write(b.SHA256.Sum())
	const golden = 0x9e3779b97f4a7c15 // spreads what FNV leaves in the low bits
	return float64(h.Sum64()*golden>>11)/(1<<53) < v.o.Sample
}

func (v *verifier) lately(at registry.Location) bool {
	last := at.RecordedAt
	if at.VerifiedAt.After(last) {
		last = at.VerifiedAt
	}
	return v.o.OlderThan > 0 && last.After(v.now().Add(-v.o.OlderThan))
}

// work examines what comes.
func (v *verifier) work() {
	x := v.newExaminer(v.b, v.pace)
	defer x.hash.Release()
	for s := range v.checks {
		r, err := v.read(x, s)
		if err == nil && r.IsFailure() && v.o.Repair {
			s.repaired, err = v.failThenRepair(s, r)
		}
		if err != nil {
			v.cancel(err)
			return
		}
		s.result, s.read = r, true
		if v.found <- s; v.ctx.Err() != nil {
			return
		}
	}
}

// read examines a location. Of one that had failed and may be right again it
// notes before what the log has: a removal that begins meanwhile must win.
func (v *verifier) read(x *examiner, s *slot) (r Result, err error) {
	if s.at.State == registry.Failed {
		if s.seen, err = v.seen(v.ctx); err != nil {
			return "", err
		}
	}
	return v.examine(v.ctx, x, s.blob, s.at)
}

// failThenRepair records a failure at once, in order to mend it.
func (v *verifier) failThenRepair(s *slot, r Result) (source string, err error) {
	if s.at.State == registry.Stored {
		err := v.Store.append(v.ctx, event(v.o.By, v.failed(s, r)))
		if err != nil && !errors.Is(err, registry.ErrConflict) {
			return "", registryError("record "+s.blob.SHA256.String(), err)
		}
		s.at.State = registry.Failed
	}
	source, err = v.repairFromLocations(v.ctx, s.blob.SHA256, v.o.Backend, v.o.By)
	if errors.Is(err, ErrBlobUnavailable) || errors.Is(err, ErrBackendUnavailable) || errors.Is(err, ErrFull) {
		v.log.Warn("a failed location could not be repaired", "blob", s.blob.SHA256.String(), "backend_id", v.o.Backend, "error", err)
		err = nil
	}
	return source, err
}

func (v *verifier) failed(s *slot, r Result) registry.LocationFailed {
	return registry.LocationFailed{
		Blob: s.blob.SHA256, BackendID: v.o.Backend, Reason: registry.Reason(r), RecordedAt: s.at.RecordedAt,
	}
}

// end writes down how the run ended.
func (v *verifier) end(err error) (Verification, error) {
	run := &v.st.Current
	switch {
	case err == nil:
		run.Status, run.FinishedAt = RunDone, v.now().UTC()
		v.st.Ahead, v.st.List = nil, ""
		if v.o.Sample == 1 {
			whole := *run
			v.st.Whole = &whole
		}
	case errors.Is(err, ErrVerificationStopped):
		run.Status, run.FinishedAt = RunStopped, v.now().UTC()
	default:
		run.Status, run.Error = RunPaused, err.Error()
	}
	v.show()
	run.Read = v.pace.taken.Load()
	if saved := v.save(); saved != nil && err == nil {
		err = saved
	}
	if err != nil {
		err = fmt.Errorf("verify %s: %w", v.o.Backend, err)
	}
	return *run, err
}

// save keeps the state; also when the run's context is over, but never without
// the turn.
func (v *verifier) save() error {
	v.st.Current.UpdatedAt = v.now().UTC()
	v.saved = time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.ctx), markTimeout)
	defer cancel()
	text, err := json.Marshal(v.st)
	if err == nil {
		err = v.turn.SetState(ctx, text)
	}
	return err
}
