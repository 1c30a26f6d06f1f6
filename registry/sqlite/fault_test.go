package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"artifactstore/registry"
)

func TestFullDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, path)
	mustAppend(t, r, put(0)...)
	limit(t, r, rows(t, path, "PRAGMA page_count")[0][0].(int64)+5)
	n, acknowledged := uint64(1), uint64(0)
	var err error
	for ; err == nil && n < 10_000; n++ {
		if _, err = r.Append(t.Context(), put(n)...); err == nil {
			acknowledged = n
		}
	}
	if !errors.Is(err, registry.ErrFull) {
		t.Fatalf("append without room: %v", err)
	}
	if _, err := r.Blob(t.Context(), blob(acknowledged).SHA256); err != nil {
		t.Errorf("reading without room: %v", err)
	}
	if report := check(t, r); len(report.Problems) > 0 || report.Blobs != int64(acknowledged+1) {
		t.Errorf("check of %d blobs: %+v", acknowledged+1, report)
	}
	limit(t, r, 1<<30)
	if last := mustAppend(t, r, put(n)...); last != 3*(acknowledged+2) {
		t.Errorf("with room again the log ends with %d, not %d", last, 3*(acknowledged+2))
	}
	if err := r.Health(t.Context()); err != nil {
		t.Errorf("health with room again: %v", err)
	}
}

// limit bounds the pages of the file for the writer's connection.
func limit(t *testing.T, r *Registry, pages int64) {
	t.Helper()
	err := r.write(t.Context(), func(x *transaction) error {
		return x.conn.script(context.Background(), fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadOnlyDatabase(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	err := r.write(t.Context(), func(x *transaction) error {
		return x.conn.script(context.Background(), "PRAGMA query_only = 1")
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Append(t.Context(), put(1)...); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("append to a database that refuses writes: %v", err)
	}
	if err := r.Health(t.Context()); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("health of a database that refuses writes: %v", err)
	}
	if last, err := r.Last(t.Context()); err != nil || last != 0 {
		t.Errorf("reading goes on: %d, %v", last, err)
	}
}

// TestUnhealthyUntilAWriteSucceeds: a full disk still gives the lock away, so
// after a failed write health is a write that succeeds.
func TestUnhealthyUntilAWriteSucceeds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, path)
	if err := script(t, path, "CREATE TRIGGER broken BEFORE UPDATE ON head BEGIN SELECT RAISE(ABORT, 'broken'); END"); err != nil {
		t.Fatal(err)
	}
	if err := r.Health(t.Context()); err != nil {
		t.Errorf("health that nothing speaks against: %v", err)
	}
	if err := r.write(t.Context(), func(*transaction) error { return registry.ErrFull }); !errors.Is(err, registry.ErrFull) {
		t.Errorf("a write without room: %v", err)
	}
	for range 2 {
		if err := r.Health(t.Context()); err == nil {
			t.Error("healthy while no write succeeds")
		}
	}
	if err := script(t, path, "DROP TRIGGER broken"); err != nil {
		t.Fatal(err)
	}
	if err := r.Health(t.Context()); err != nil {
		t.Errorf("health after a write that succeeded: %v", err)
	}
}

func TestAnotherProcessHoldsTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	r, err := Open(t.Context(), Options{Path: path, Busy: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	other := outside(t, path)
	defer other.close()
	if err := other.script(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Append(t.Context(), put(1)...); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("append under another's lock: %v", err)
	}
	if err := r.Health(t.Context()); err != nil {
		t.Errorf("busy is not ill: %v", err)
	}
	if _, err := r.Totals(t.Context()); err != nil {
		t.Errorf("read under another's lock: %v", err)
	}
	if err := other.script(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if last := mustAppend(t, r, put(1)...); last != 3 {
		t.Errorf("the first append ends at %d", last)
	}
}

// TestCommandBesideABusyServer: a writer that never rests lets another in.
func TestCommandBesideABusyServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	server, command := open(t, path), open(t, path)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var next atomic.Uint64
	for range 64 {
		group.Go(func() {
			for ctx.Err() == nil {
				if _, err := server.Append(context.Background(), put(next.Add(1))...); err != nil {
					t.Errorf("server: %v", err)
					return
				}
			}
		})
	}
	for n := range uint64(10) {
		began := time.Now()
		if _, err := command.Append(t.Context(), put(1<<40+n)...); err != nil {
			t.Errorf("command: %v", err)
		}
		t.Logf("the command waited %v", time.Since(began).Round(time.Millisecond))
	}
	stop()
	group.Wait()
}

// TestPace: who writes without a break pauses after each turn, long enough for
// somebody who asks every poll; who has breaks anyway need not.
func TestPace(t *testing.T) {
	if pause < 2*poll {
		t.Errorf("a pause of %v is missed by who asks every %v", pause, poll)
	}
	begin := time.Unix(1000, 0)
	for _, c := range []struct {
		name       string
		group, gap time.Duration
		pauses     bool
	}{
		{"busy", 5 * time.Millisecond, 0, true},
		{"nearly busy", 5 * time.Millisecond, pause - 1, true},
		{"with breaks", 5 * time.Millisecond, pause, false},
	} {
		var p pace
		now, written, paused := begin, time.Duration(0), false
		for range 100 {
			if d := p.rest(now); d > 0 {
				paused, written = true, 0
				now = now.Add(d)
			}
			now, written = now.Add(c.group), written+c.group
			p.wrote = now
			now = now.Add(c.gap)
			if c.pauses && written > turn+c.group {
				t.Fatalf("%s: wrote for %v without a pause", c.name, written)
			}
		}
		if paused != c.pauses {
			t.Errorf("%s: paused: %v", c.name, paused)
		}
	}
}

func TestPanicInAChange(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	err := r.write(t.Context(), func(x *transaction) error {
		if err := x.append([]entry{entryOf(t, put(1)[0])}); err != nil {
			return err
		}
		panic("on purpose")
	})
	if !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("a change that panics: %v", err)
	}
	if last := mustAppend(t, r, put(1)...); last != 3 {
		t.Errorf("after a panic the log ends with %d", last)
	}
}

func entryOf(t *testing.T, e registry.Event) entry {
	t.Helper()
	data, err := registry.EncodeData(e.Data)
	if err != nil {
		t.Fatal(err)
	}
	return entry{e, data}
}

func TestTimeNeverGoesBackwards(t *testing.T) {
	clock := []time.Time{time.Unix(2000, 0), time.Unix(1000, 0), time.Unix(3000, 500)}
	next := 0
	r, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "registry.db"), Now: func() time.Time {
		next++
		return clock[next-1]
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for n := range uint64(3) {
		mustAppend(t, r, put(n)...)
	}
	want := []int64{2000, 2000, 3000}
	for record, err := range r.Since(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if got := record.Time.Unix(); got != want[(record.Position-1)/3] || record.Time.Nanosecond() != 0 {
			t.Errorf("event %d has time %v", record.Position, record.Time)
		}
	}
}
