package cas

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"artifactstore/registry"
)

// The pace of writing: a process that dies loses what it has read since its last
// append, and that is read again; what is appended is never read again. Who goes
// on appends as many findings one by one as may have been lost, so that an object
// is read a third time only where the next process dies before it is through those. Saving the cursor only
// spares walking.
const (
	appendPause = 100 * time.Millisecond
	appendMost  = 64 // events in a batch
	savePause   = time.Second
)

// collect takes what the workers find until they have ended.
func (v *verifier) collect() {
	tick := time.NewTicker(appendPause)
	defer tick.Stop()
	for open := true; open; {
		var next <-chan *slot
		if v.head == nil {
			next = v.line
		}
		select {
		case s, ok := <-v.found:
			if open = ok; ok {
				v.batch = append(v.batch, s)
			}
			if v.careful > 0 {
				v.careful--
				v.flush()
			}
		case s, ok := <-next:
			if v.head = s; !ok {
				v.line = nil
			}
			v.advance()
		case <-tick.C:
			v.flush()
			v.report()
		}
		if len(v.batch) >= appendMost {
			v.flush()
		}
	}
	v.flush()
}

// flush appends what was found, and counts what is in order.
func (v *verifier) flush() {
	if len(v.batch) == 0 {
		return
	}
	v.write(v.batch)
	news := slices.ContainsFunc(v.batch, func(s *slot) bool { return s.result != Intact || s.mended })
	v.batch = v.batch[:0]
	if v.advance(); news {
		v.keep()
	}
}

// write records findings in one transaction. Where one no longer fits what the
// registry has, because the location was rewritten or removed meanwhile, the
// batch is halved until that one is alone.
func (v *verifier) write(batch []*slot) {
	var events []registry.Event
	for _, s := range batch {
		if d := v.says(s); d != nil {
			events = append(events, event(v.o.By, d))
		}
	}
	err := v.record(events)
	switch {
	case errors.Is(err, registry.ErrConflict) && len(batch) > 1:
		half := len(batch) / 2
		v.write(batch[:half])
		v.write(batch[half:])
		return
	case errors.Is(err, registry.ErrConflict):
		v.unfit(batch[0])
	case err != nil:
		v.cancel(registryError("record what was verified", err))
		return
	}
	for _, s := range batch {
		s.done = true
		v.after[s] = true
	}
}

// unfit decides over a finding that the registry refuses: a reader may have found
// the same failure, or an append whose answer was lost have recorded it.
func (v *verifier) unfit(s *slot) {
	b, err := v.reg.Blob(context.WithoutCancel(v.ctx), s.blob.SHA256)
	at := locationOn(b, v.o.Backend)
	if err == nil && s.result.IsFailure() && at != nil && at.State == registry.Failed && at.RecordedAt.Equal(s.at.RecordedAt) {
		return
	}
	s.result, s.mended = Changed, false
}

// record appends events, again where the registry is away for a moment. An
// interrupted run records what it has found.
func (v *verifier) record(events []registry.Event) (err error) {
	if len(events) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.ctx), time.Minute)
	defer cancel()
	for try := 0; ; try++ {
		err = v.Store.append(ctx, events...)
		if !errors.Is(err, registry.ErrUnavailable) || try == len(patience) || v.sleep(ctx, patience[try]) != nil {
			return err
		}
	}
}

// says returns what the log has to say of a finding, nil for nothing new.
func (v *verifier) says(s *slot) registry.Data {
	switch {
	case s.result == Intact && s.at.State == registry.Failed:
		s.mended = true
		return registry.LocationRepaired{Blob: s.blob.SHA256, BackendID: v.o.Backend, Source: SourceVerification, Seen: s.seen}
	case s.result == Intact:
		return registry.LocationVerified{Blob: s.blob.SHA256, BackendID: v.o.Backend, RecordedAt: s.at.RecordedAt}
	case s.result.IsFailure() && s.at.State == registry.Stored:
		return v.failed(s, s.result)
	}
	return nil
}

// advance counts what is done from the head of the line on.
func (v *verifier) advance() {
	for {
		if v.head == nil {
			select {
			case s, ok := <-v.line:
				if v.head = s; !ok {
					v.line = nil
				}
			default:
			}
		}
		if v.head == nil || !v.head.done {
			return
		}
		delete(v.after, v.head)
		v.count(v.head)
		v.head = nil
	}
}

// count adds a location to the run's.
func (v *verifier) count(s *slot) {
	run := &v.st.Current
	run.Seen++
	run.Results[s.result]++
	if s.read && s.result != Missing {
		run.Bytes += s.blob.Size
	}
	if s.mended {
		run.Recovered++
	}
	if s.repaired != "" {
		run.Repaired++
	}
	if s.result.IsFailure() && len(run.Failures) < mostFailures {
		run.Failures = append(run.Failures, Failure{s.blob.SHA256, s.blob.Size, s.result, s.repaired})
	}
	v.st.Cursor = s.blob.SHA256
	if v.nothingThere() {
		v.cancel(ErrNothingThere)
	}
}

// report shows how far the run is, saves it from time to time, and looks whether
// it is to stop.
func (v *verifier) report() {
	v.show()
	if time.Since(v.saved) < savePause {
		return
	}
	v.keep()
	if v.askedToStop(v.ctx, v.o.Backend, v.st.Current.Run) {
		v.cancel(ErrVerificationStopped)
	}
}

func (v *verifier) show() {
	if v.o.Progress != nil {
		now := v.st.Current
		now.Results = maps.Clone(now.Results)
		now.Read = v.pace.taken.Load()
		v.o.Progress(now)
	}
}

// keep saves the state with what was found behind the cursor. Who goes on learns
// of what was intact from the locations themselves.
func (v *verifier) keep() {
	v.st.Ahead = v.st.Ahead[:0]
	for s := range v.after {
		if s.result != Intact || s.mended {
			v.st.Ahead = append(v.st.Ahead, ahead{s.blob.SHA256, s.result, s.repaired})
		}
	}
	if err := v.save(); err != nil && v.ctx.Err() == nil {
		v.cancel(err)
	}
}
