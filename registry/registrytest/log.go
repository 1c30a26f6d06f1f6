package registrytest

import (
	"context"
	"errors"
	"testing"

	"artifactstore/registry"
)

func testSince(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, put("local", 1, 2, 3)...)
	all := records(t, other, 0)
	if len(all) != 9 {
		t.Fatalf("%d records, want 9", len(all))
	}
	for after := range all {
		diff(t, "records after a position", records(t, other, uint64(after)), all[after:])
	}
	for _, after := range []uint64{9, 10, 1 << 40} {
		diff(t, "records after the end", records(t, r, after), []registry.Record{})
	}
	for rec, err := range r.Since(t.Context(), 4) {
		if err != nil || rec.Position != 5 {
			t.Errorf("first after 4: position %d, %v", rec.Position, err)
		}
		break // a reader that leaves early holds nothing up
	}
	last, err := other.Last(t.Context())
	if last != 9 || err != nil {
		t.Errorf("Last: %d, %v", last, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = nil
	for _, e := range r.Since(ctx, 0) {
		if err != nil {
			t.Error("Since goes on after an error")
		}
		err = e
	}
	wantError(t, "Since with a cancelled context", err, context.Canceled)
}

// testSinceNeverSkips follows the log from two handles while both append.
func testSinceNeverSkips(t *testing.T, db *database) {
	handles := []registry.Registry{db.open(), db.open()}
	const writers, calls = 8, 10
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	together(writers+2, func(i int) {
		r := handles[i%2]
		if i < 2 {
			if err := follow(ctx, r, 3*writers*calls); err != nil {
				t.Errorf("follower: %v", err)
			}
			return
		}
		for c := range calls {
			if _, err := r.Append(ctx, put("local", i*calls+c)...); err != nil {
				t.Errorf("Append: %v", err)
			}
		}
	})
}

// follow reads the log to a position as a follower does.
func follow(ctx context.Context, r registry.Registry, end uint64) error {
	var seen uint64
	for seen < end {
		if err := r.Wait(ctx, seen); err != nil {
			return err
		}
		woken := seen
		for rec, err := range r.Since(ctx, seen) {
			if err != nil {
				return err
			}
			if seen++; rec.Position != seen {
				return errors.New("a position was skipped or came twice")
			}
		}
		if seen == woken {
			return errors.New("Wait returned, but there is nothing to read")
		}
	}
	return nil
}

func testAppendWhileReading(t *testing.T, db *database) {
	r := db.open()
	mustAppend(t, r, put("local", 1, 2)...)
	n := 10
	for rec, err := range r.Since(t.Context(), 0) {
		if err != nil {
			t.Fatalf("Since: %v", err)
		}
		if rec.Position <= 6 {
			mustAppend(t, r, put("local", n)...)
			n++
		}
	}
	for _, err := range r.Blobs(t.Context(), blob(1)) {
		if err != nil {
			t.Fatalf("Blobs: %v", err)
		}
		mustAppend(t, r, put("local", n)...)
		n++
		if n == 20 {
			break
		}
	}
	agrees(t, r)
}

func testWaitBehind(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, put("local", 1)...)
	for after := range uint64(3) {
		for _, h := range []registry.Registry{r, other} {
			if err := h.Wait(t.Context(), after); err != nil {
				t.Errorf("Wait(%d) behind the end: %v", after, err)
			}
		}
	}
}

// testWaitWakes waits on both handles for what one of them appends.
func testWaitWakes(t *testing.T, db *database) {
	handles := []registry.Registry{db.open(), db.open()}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for round := range 3 {
		after := uint64(3 * round)
		woken := make(chan error, 2)
		for _, r := range handles {
			go func() { woken <- r.Wait(ctx, after) }()
		}
		mustAppend(t, handles[round%2], put("local", round)...)
		for range handles {
			if err := <-woken; err != nil {
				t.Errorf("Wait(%d): %v", after, err)
			}
		}
	}
}

func testWaitGivesUp(t *testing.T, db *database) {
	r := db.open()
	mustAppend(t, r, put("local", 1)...)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- r.Wait(ctx, 3) }()
	go func() { ended <- r.Wait(ctx, 100) }()
	mustAppend(t, r) // nothing new: wakes nobody
	select {
	case err := <-ended:
		t.Errorf("Wait returned without a new record: %v", err)
		ended <- err
	default:
	}
	cancel()
	for range 2 {
		wantError(t, "Wait with a cancelled context", <-ended, context.Canceled)
	}
}
