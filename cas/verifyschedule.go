package cas

import (
	"context"
	"errors"
	"sync"
	"time"

	"artifactstore/registry"
)

// VerifySchedule says when a backend is verified without anybody asking.
type VerifySchedule struct {
	Backend        string        // id
	Every          time.Duration // from the beginning of a run to that of the next; 0 is never
	BytesPerSecond int64         // 0 is no bound
	Window         Window        // the hours of a day in which it reads
}

// Window is a part of the day, in time since midnight where the gateway is. One
// that ends before it begins goes over midnight; the zero Window is the whole day.
type Window struct{ From, To time.Duration }

// Open reports whether a time is in the window, and when that changes.
func (w Window) Open(at time.Time) (open bool, until time.Time) {
	if w == (Window{}) {
		return true, time.Time{}
	}
	y, m, d := at.Date()
	for day := -1; day <= 1; day++ { // yesterday's may not have ended yet
		begin := clockTime(y, m, d+day, w.From, at.Location())
		end := clockTime(y, m, d+day, w.To, at.Location())
		if w.To <= w.From {
			end = clockTime(y, m, d+day+1, w.To, at.Location())
		}
		switch {
		case at.Before(begin):
			return false, begin
		case at.Before(end):
			return true, end
		}
	}
	return false, at.Add(time.Hour) // a day that has no such hour: look again
}

func clockTime(y int, m time.Month, d int, since time.Duration, in *time.Location) time.Time {
	return time.Date(y, m, d, int(since/time.Hour), int(since%time.Hour/time.Minute), 0, 0, in)
}

// bySchedule is the actor of a run that nobody asked for.
const bySchedule = "schedule"

// The pauses between two looks at whether a verification is wanted: one that was
// requested should begin soon; a backend that was away is given time.
const (
	verifyPoll  = 2 * time.Second
	verifyRetry = time.Minute
)

var errNotWanted = errors.New("it is not due any more")

// RunVerifications does what is requested by [Store.RequestVerification] and what
// is due, and examines locations that a reader doubts, until the context ends. Any number
// of gateways may run it: they share the work, and a run that one of them leaves
// another goes on with.
func (s *Store) RunVerifications(ctx context.Context, schedules []VerifySchedule) {
	var all sync.WaitGroup
	for _, b := range s.list {
		plan := VerifySchedule{Backend: b.ID}
		for _, given := range schedules {
			if given.Backend == b.ID {
				plan = given
			}
		}
		all.Go(func() {
			for ctx.Err() == nil && s.sleep(ctx, s.tendVerification(ctx, plan)) == nil {
			}
		})
	}
	all.Go(func() { s.settleDoubts(ctx) })
	all.Wait()
}

// tendVerification verifies a backend where that is wanted, and returns after what
// time to look again.
func (s *Store) tendVerification(ctx context.Context, plan VerifySchedule) time.Duration {
	st, err := s.verifyState(ctx, plan.Backend)
	if err != nil {
		return verifyRetry
	}
	o, wanted := s.wantedNow(st, plan)
	if !wanted {
		return verifyPoll
	}
	o.wanted = func(st verifyState) bool {
		now, still := s.wantedNow(st, plan)
		return still && now.By == o.By
	}
	v, err := s.Verify(ctx, o)
	switch {
	case err == nil:
		s.log.Info("verified a backend", "backend_id", plan.Backend, "run", v.Run, "failed", v.Failed(), "seen", v.Seen)
	case errors.Is(err, errNotWanted), errors.As(err, new(*TakenError)), ctx.Err() != nil,
		errors.Is(err, ErrVerificationStopped), errors.Is(err, context.DeadlineExceeded):
	default:
		s.log.Warn("a verification paused; it goes on later", "backend_id", plan.Backend, "run", v.Run, "error", err)
		return verifyRetry
	}
	return verifyPoll
}

// wantedNow returns the run that a gateway has to do now: one that was requested,
// or interrupted, or is due.
func (s *Store) wantedNow(st verifyState, plan VerifySchedule) (o VerifyOptions, wanted bool) {
	run := &st.Current
	now := s.now()
	switch {
	case run.waits() && run.By != bySchedule:
		return run.options(), true
	case plan.Every <= 0:
		return o, false
	case run.waits(): // interrupted
	case now.Before(st.last().Add(plan.Every)):
		return o, false
	}
	open, until := plan.Window.Open(now)
	return VerifyOptions{
		Backend: plan.Backend, By: bySchedule, BytesPerSecond: plan.BytesPerSecond, Until: until, Sample: 1,
	}, open
}

// last is when the last run began that a schedule counts from.
func (st *verifyState) last() (at time.Time) {
	if st.Whole != nil {
		at = st.Whole.StartedAt
	}
	if run := &st.Current; run.Status == RunStopped && run.StartedAt.After(at) {
		at = run.StartedAt
	}
	return at
}

// doubtful is a location that gave a reader other bytes than the blob's.
type doubtful struct {
	blob registry.Blob
	at   registry.Location
}

// mostDoubts bounds the locations that wait to be examined. What is too much is
// found by the next reader, or by a verification.
const mostDoubts = 128

// doubtLater asks for a location to be examined soon.
func (s *Store) doubtLater(b registry.Blob, at registry.Location) {
	s.log.Error("wrong bytes were read; the location will be examined", "blob", b.SHA256.String(), "backend_id", at.BackendID)
	select {
	case s.doubts <- doubtful{b, at}:
	default:
	}
}

// settleDoubts examines what readers doubt until the context ends.
func (s *Store) settleDoubts(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-s.doubts:
			if err := s.doubt(ctx, d.blob, d.at, actorGateway); err != nil && ctx.Err() == nil {
				s.log.Warn("a doubtful location could not be examined", "blob", d.blob.SHA256.String(), "backend_id", d.at.BackendID, "error", err)
			}
		}
	}
}
