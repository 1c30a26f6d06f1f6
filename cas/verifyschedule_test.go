package cas_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"artifactstore/cas"
	shapes "artifactstore/deploy/house"
)

// gateway is a store beside h's, in a process of its own.
func (h *house) gateway(counted *reads, now func() time.Time, claiming, released func()) *cas.Store {
	h.t.Helper()
	l := &life{end: func() {}, left: -1, reads: counted, claiming: claiming, released: released}
	store, err := cas.New(cas.Options{
		Registry: livingRegistry{h.reg, l},
		Backends: []cas.Backend{{ID: "a", Backend: livingBackend{h.disks["a"], l}}},
		Policy:   cas.Policy{Default: "a", DefaultClass: "standard", Classes: map[string]time.Duration{"standard": day}},
		Now:      now,
		Log:      slog.New(slog.DiscardHandler),
		Sleep: func(ctx context.Context, d time.Duration) error { // no pause is long
			select {
			case <-time.After(min(d, 5*time.Millisecond)):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return store
}

// awaitRun waits until the last run of backend a is as wanted.
func (h *house) awaitRun(wanted func(v cas.Verification) bool) cas.Verification {
	h.t.Helper()
	var last cas.Verified
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var err error
		if last, err = h.store.Verified(h.t.Context(), "a"); err != nil {
			h.t.Fatal(err)
		}
		if last.Last != nil && wanted(*last.Last) {
			return *last.Last
		}
	}
	h.t.Fatalf("it never came to that: %+v", last.Last)
	return cas.Verification{}
}

// Two gateways share scheduled passes: each object is read once a pass, also when
// one gateway is stopped in the middle and the other goes on, but for the
// objects that were just being read.
func TestScheduledVerificationIsShared(t *testing.T) { everyHouse(t, scheduledIsShared) }

func scheduledIsShared(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	h.fill(150)
	var mu sync.Mutex
	clock := time.Now()
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
	counted := &reads{n: map[string]int{}}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	plan := []cas.VerifySchedule{{Backend: "a", Every: 7 * day}}
	for range 2 {
		g := h.gateway(counted, now, nil, nil)
		all.Go(func() { g.RunVerifications(ctx, plan) })
	}
	done := func(v cas.Verification) bool { return v.Status == cas.RunDone }
	first := h.awaitRun(done)
	if first.By != "schedule" || first.Results[cas.Intact] != 150 {
		t.Errorf("%+v", first)
	}
	mu.Lock()
	clock = clock.Add(8 * day)
	mu.Unlock()
	second := h.awaitRun(func(v cas.Verification) bool { return v.Run != first.Run && done(v) })
	stop()
	all.Wait()
	for key, n := range counted.n {
		if n != 2 {
			t.Errorf("%s was read %d times in two passes", key, n)
		}
	}
	if len(counted.n) != 150 || second.Results[cas.Intact] != 150 {
		t.Errorf("%d objects, %+v", len(counted.n), second)
	}
}

// A gateway that has seen that a pass is due, and comes to it when another has done
// it, does not do it again.
func TestScheduledVerificationIsDoneOnce(t *testing.T) {
	h := open(t, options{})
	h.fill(20)
	counted := &reads{n: map[string]int{}}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	plan := []cas.VerifySchedule{{Backend: "a", Every: 7 * day}}
	waits, goOn, wentOn := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var claimed, released sync.Once
	late := h.gateway(counted, nil,
		func() { claimed.Do(func() { close(waits); <-goOn }) },
		func() { released.Do(func() { close(wentOn) }) })
	all.Go(func() { late.RunVerifications(ctx, plan) })
	<-waits
	early := h.gateway(counted, nil, nil, nil)
	all.Go(func() { early.RunVerifications(ctx, plan) })
	first := h.awaitRun(func(v cas.Verification) bool { return v.Over() })
	close(goOn)
	<-wentOn
	last := h.awaitRun(func(v cas.Verification) bool { return v.Over() })
	stop()
	all.Wait()
	if last.Run != first.Run || counted.total != 20 {
		t.Errorf("%d reads of 20 objects: %+v, then %+v", counted.total, first, last)
	}
}

// What is requested of one gateway another does; while it waits or runs a second
// request is refused; and it can be stopped through any.
func TestRequestedVerification(t *testing.T) { everyHouse(t, requested) }

func requested(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	h.fill(20)
	asker := h.gateway(&reads{n: map[string]int{}}, nil, nil, nil) // h's own claims end at once
	if _, err := asker.RequestVerification(t.Context(), cas.VerifyOptions{Backend: "x"}); !errors.Is(err, cas.ErrBackendUnknown) {
		t.Errorf("an unknown backend: %v", err)
	}
	asked, err := asker.RequestVerification(t.Context(), cas.VerifyOptions{Backend: "a", By: "ann", Repair: true, OlderThan: time.Nanosecond})
	if err != nil || asked.Status != cas.RunRequested {
		t.Fatalf("%+v %v", asked, err)
	}
	if _, err := asker.RequestVerification(t.Context(), cas.VerifyOptions{Backend: "a"}); !errors.As(err, new(*cas.TakenError)) {
		t.Errorf("a second request: %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	counted := &reads{n: map[string]int{}}
	g := h.gateway(counted, nil, nil, nil)
	var all sync.WaitGroup
	all.Go(func() { g.RunVerifications(ctx, nil) })
	done := h.awaitRun(func(v cas.Verification) bool { return v.Over() })
	if done.Run != asked.Run || done.By != "ann" || !done.Repair || done.Results[cas.Intact] != 20 {
		t.Errorf("%+v", done)
	}

	counted.before = func(ctx context.Context, total int) {
		if total == 30 {
			<-ctx.Done()
		}
	}
	asked, err = asker.RequestVerification(t.Context(), cas.VerifyOptions{Backend: "a", By: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	h.awaitRun(func(v cas.Verification) bool { return v.Run == asked.Run && v.Status == cas.RunRunning })
	if _, err := asker.StopVerification(t.Context(), "a", asked.Run); err != nil {
		t.Error(err)
	}
	stopped := h.awaitRun(func(v cas.Verification) bool { return v.Run == asked.Run && v.Over() })
	stop()
	all.Wait()
	if stopped.Status != cas.RunStopped {
		t.Errorf("%+v", stopped)
	}
	// One that nobody has yet is stopped at once.
	asked, err = asker.RequestVerification(t.Context(), cas.VerifyOptions{Backend: "a"})
	if v, stopErr := asker.StopVerification(t.Context(), "a", asked.Run); err != nil || stopErr != nil || v.Status != cas.RunStopped {
		t.Errorf("%+v %v %v", v, err, stopErr)
	}
	if old, err := asker.Verification(t.Context(), "a", done.Run); err != nil || old.Status != cas.RunDone {
		t.Errorf("an earlier run: %+v %v", old, err)
	}
}

func TestWindow(t *testing.T) {
	night := cas.Window{From: 22 * time.Hour, To: 6 * time.Hour}
	noon := cas.Window{From: 11*time.Hour + 30*time.Minute, To: 13 * time.Hour}
	for _, c := range []struct {
		w     cas.Window
		at    string
		open  bool
		until string
	}{
		{night, "2026-03-10 21:59", false, "2026-03-10 22:00"},
		{night, "2026-03-10 22:00", true, "2026-03-11 06:00"},
		{night, "2026-03-11 05:59", true, "2026-03-11 06:00"},
		{night, "2026-03-11 06:00", false, "2026-03-11 22:00"},
		{noon, "2026-12-31 11:29", false, "2026-12-31 11:30"},
		{noon, "2026-12-31 12:00", true, "2026-12-31 13:00"},
		{noon, "2026-12-31 13:00", false, "2027-01-01 11:30"},
	} {
		at, _ := time.Parse("2006-01-02 15:04", c.at)
		open, until := c.w.Open(at)
		if open != c.open || until.Format("2006-01-02 15:04") != c.until {
			t.Errorf("%v at %s: %v until %s, want %v until %s", c.w, c.at, open, until, c.open, c.until)
		}
	}
	if open, until := (cas.Window{}).Open(time.Now()); !open || !until.IsZero() {
		t.Error("no window is the whole day")
	}
}
