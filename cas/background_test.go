package cas_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"artifactstore/backends"
	"artifactstore/cas"
	"artifactstore/registry"
)

// claims are a registry that has claims only, on the clock of the test.
type claims struct {
	registry.Registry
	mu   sync.Mutex
	rows map[string]claim
	away bool
}

type claim struct {
	token uint64
	ends  time.Time
	state []byte
}

var errAway = registry.ErrUnavailable

func (c *claims) Claim(_ context.Context, name, _ string, lasting time.Duration) (uint64, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	row := c.rows[name]
	if c.away || row.ends.After(time.Now()) {
		return 0, false, nil
	}
	row.token++
	row.ends = time.Now().Add(lasting)
	c.rows[name] = row
	return row.token, true, nil
}

func (c *claims) guarded(name string, token uint64, change func(*claim)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	row := c.rows[name]
	switch {
	case c.away:
		return errAway
	case row.token != token || row.ends.IsZero():
		return registry.ErrConflict
	}
	change(&row)
	c.rows[name] = row
	return nil
}

func (c *claims) Renew(_ context.Context, name string, token uint64, lasting time.Duration) error {
	return c.guarded(name, token, func(row *claim) { row.ends = time.Now().Add(lasting) })
}

func (c *claims) SetState(_ context.Context, name string, token uint64, value []byte) error {
	return c.guarded(name, token, func(row *claim) { row.state = value })
}

func (c *claims) Release(_ context.Context, name string, token uint64) error {
	err := c.guarded(name, token, func(row *claim) { row.ends = time.Time{} })
	if errors.Is(err, registry.ErrConflict) {
		return nil
	}
	return err
}

func (c *claims) State(_ context.Context, name string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rows[name].state == nil {
		return nil, fs.ErrNotExist
	}
	return c.rows[name].state, nil
}

// gateways are stores of one registry.
func gateways(t *testing.T, n int) (*claims, []*cas.Store) {
	t.Helper()
	c := &claims{rows: map[string]claim{}}
	var all []*cas.Store
	for range n {
		s, err := cas.New(cas.Options{
			Registry: c,
			Backends: []cas.Backend{{ID: "a", Backend: struct{ backends.Backend }{}}},
			Policy:   cas.Policy{Default: "a", DefaultClass: "x", Classes: map[string]time.Duration{"x": -1}},
			Log:      slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return c, all
}

// runs counts the runs of a task and how many were at once.
type runs struct {
	mu         sync.Mutex
	began      []time.Time
	now, most  int
	takes      time.Duration
	fails      bool
	interrupts int
}

func (r *runs) run(ctx context.Context, _ *cas.Turn) error {
	r.mu.Lock()
	r.began = append(r.began, time.Now())
	r.now++
	r.most = max(r.most, r.now)
	fails := r.fails
	r.mu.Unlock()
	defer func() { r.mu.Lock(); r.now--; r.mu.Unlock() }()
	select {
	case <-time.After(r.takes):
	case <-ctx.Done():
		r.mu.Lock()
		r.interrupts++
		r.mu.Unlock()
		return ctx.Err()
	}
	if fails {
		return errFault
	}
	return nil
}

func (r *runs) count() (runs, interrupts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.began), r.interrupts
}

// Three gateways do a task once an interval, one of them at a time, whether it ends
// well or not, and also where it takes longer than a claim.
func TestBackgroundIsShared(t *testing.T) {
	for name, r := range map[string]*runs{
		"short": {takes: time.Second}, "failing": {takes: time.Second, fails: true}, "long": {takes: 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, stores := gateways(t, 3)
				ctx, cancel := context.WithCancel(t.Context())
				var all sync.WaitGroup
				for _, s := range stores {
					all.Go(func() { s.Background(ctx, cas.Task{Name: "work", Every: 10 * time.Minute, Run: r.run}) })
				}
				time.Sleep(61 * time.Minute)
				done, err := stores[0].Completed(ctx)
				cancel()
				all.Wait()
				if len(r.began) != 7 || r.most != 1 {
					t.Errorf("%d runs in an hour, %d at once: %v", len(r.began), r.most, r.began)
				}
				if at := done["work"]; err != nil || at.IsZero() != r.fails {
					t.Errorf("completed at %v: %v", at, err)
				}
			})
		})
	}
}

// A gateway that is stopped in a run gives it to another at once; one that dies, when
// its claim ends.
func TestBackgroundGoesOnElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stores := gateways(t, 3)
		r := &runs{takes: time.Hour}
		task := cas.Task{Name: "work", Every: 24 * time.Hour, Run: r.run}
		first, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { stores[0].Background(first, task) })
		time.Sleep(time.Minute)
		second, stopSecond := context.WithCancel(t.Context())
		all.Go(func() { stores[1].Background(second, task) })
		time.Sleep(time.Minute)
		stop()
		time.Sleep(20 * time.Second)
		if n, _ := r.count(); n != 2 {
			t.Fatalf("%d runs", n)
		}
		// It dies: nothing of it reaches the registry any more.
		c.mu.Lock()
		c.away = true
		c.mu.Unlock()
		stopSecond()
		synctest.Wait()
		c.mu.Lock()
		c.away = false
		c.mu.Unlock()
		third, stopThird := context.WithCancel(t.Context())
		all.Go(func() { stores[2].Background(third, task) })
		time.Sleep(time.Minute)
		stopThird()
		all.Wait()
		if n, interrupts := r.count(); n != 3 || interrupts != 3 {
			t.Errorf("%d runs, %d interrupted", n, interrupts)
		}
	})
}

// A process whose registry is away stops its work before another may begin it.
func TestTurnIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, stores := gateways(t, 2)
		began := time.Now()
		err := stores[0].InTurn(t.Context(), "work", func(ctx context.Context, turn *cas.Turn) error {
			if turn.Broke() || turn.State() != nil || turn.Check() != nil {
				t.Error("a first turn has a past")
			}
			if err := turn.SetState(ctx, []byte("half")); err != nil {
				t.Error(err)
			}
			time.Sleep(5 * time.Minute) // as long as it lasts it is renewed
			if ctx.Err() != nil || turn.Check() != nil {
				t.Error("lost while renewed")
			}
			var taken *cas.TakenError
			if err := stores[1].InTurn(t.Context(), "work", nil); !errors.As(err, &taken) || taken.By == "" || !taken.Since.Equal(began) {
				t.Errorf("taken: %v", err)
			}
			c.mu.Lock()
			c.away = true
			c.mu.Unlock()
			<-ctx.Done()
			wantError(t, context.Cause(ctx), cas.ErrTurnLost)
			wantError(t, turn.Check(), cas.ErrTurnLost)
			c.mu.Lock()
			free := !c.rows["work"].ends.After(time.Now().Add(-2 * time.Second))
			c.away = false
			c.mu.Unlock()
			if free {
				t.Error("another may have had it for long")
			}
			time.Sleep(time.Second)
			err := stores[1].InTurn(t.Context(), "work", func(_ context.Context, turn *cas.Turn) error {
				if !turn.Broke() || string(turn.State()) != "half" {
					t.Errorf("broke %v, state %q", turn.Broke(), turn.State())
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			wantError(t, turn.SetState(t.Context(), []byte("late")), cas.ErrTurnLost)
			return ctx.Err()
		})
		wantError(t, err, cas.ErrTurnLost)
		if err := stores[1].InTurn(t.Context(), "work", func(_ context.Context, turn *cas.Turn) error {
			if turn.Broke() || string(turn.State()) != "half" {
				t.Errorf("broke %v, state %q", turn.Broke(), turn.State())
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
}

// Who waits for a turn is told once for whom, and has it when it is free.
func TestWaitTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, stores := gateways(t, 2)
		var all sync.WaitGroup
		all.Go(func() {
			stores[0].InTurn(t.Context(), "work", func(context.Context, *cas.Turn) error {
				time.Sleep(time.Minute)
				return nil
			})
		})
		synctest.Wait()
		told, began := 0, time.Now()
		err := stores[1].WaitTurn(t.Context(), "work", func(*cas.TakenError) { told++ }, func(context.Context, *cas.Turn) error { return nil })
		if waited := time.Since(began); err != nil || told != 1 || waited < time.Minute || waited > 62*time.Second {
			t.Errorf("waited %s, told %d times: %v", waited, told, err)
		}
		all.Wait()
	})
}
