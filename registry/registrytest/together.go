package registrytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"artifactstore/registry"
)

// together calls f(i) for all i below n at once and waits for all.
func together(n int, f func(i int)) {
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	all.Wait()
}

func testPositionsOverHandles(t *testing.T, db *database) {
	handles := []registry.Registry{db.open(), db.open(), db.open()}
	const writers, calls = 12, 8
	lasts := make([][]uint64, writers)
	together(writers, func(w int) {
		for c := range calls {
			last, err := handles[w%len(handles)].Append(t.Context(), put("local", w*calls+c)...)
			if err != nil {
				t.Errorf("Append: %v", err)
			}
			lasts[w] = append(lasts[w], last)
		}
	})
	log := records(t, handles[0], 0)
	if len(log) != 3*writers*calls {
		t.Fatalf("%d records, want %d", len(log), 3*writers*calls)
	}
	for w, all := range lasts {
		for c, last := range all {
			diff(t, fmt.Sprintf("events before position %d", last), events(log[last-3:last]), put("local", w*calls+c))
		}
	}
	for _, r := range handles {
		agrees(t, r)
	}
}

func testRefusedDisturbsNobody(t *testing.T, db *database) {
	r := db.open()
	mustAppend(t, r, put("local", 0)...)
	const n = 64
	together(n, func(i int) {
		if i%2 == 0 {
			_, err := r.Append(t.Context(), append(put("far", n+i), by("ci", stored(0))...)...)
			wantError(t, "second blob_stored", err, registry.ErrConflict)
			return
		}
		if _, err := r.Append(t.Context(), put("local", i)...); err != nil {
			t.Errorf("Append beside one that is refused: %v", err)
		}
	})
	want := map[registry.LocationTotal]int64{{BackendID: "local", State: registry.Stored}: n/2 + 1}
	diff(t, "locations", totals(t, r).Locations, want)
	agrees(t, r)
}

// testSameBlobAtOnce puts one blob from many goroutines over two handles. Each
// new fact has one winner; the lease is everybody's.
func testSameBlobAtOnce(t *testing.T, db *database) {
	handles := []registry.Registry{db.open(), db.open()}
	for round := range 8 {
		const n = 16
		won := make([]bool, n)
		together(n, func(i int) {
			actor := fmt.Sprintf("ci-%d", i)
			_, err := handles[i%2].Append(t.Context(), by(actor, stored(round), recorded(round, "local"), leased(round, day(1+i)))...)
			if won[i] = err == nil; !won[i] {
				wantError(t, "put of a blob that is there", err, registry.ErrConflict)
			}
		})
		winners, until := 0, 0
		for i, ok := range won {
			if ok {
				winners, until = winners+1, i
			}
		}
		b, err := handles[0].Blob(t.Context(), blob(round))
		if err != nil || winners != 1 || !b.LeasedUntil.Equal(day(1+until)) || len(b.Locations) != 1 {
			t.Errorf("round %d: %d winners, blob %+v, %v", round, winners, b, err)
		}
	}
	agrees(t, handles[1])
}

// testCancelledAppend gives up at once. Whatever the answer is, it must be true.
func testCancelledAppend(t *testing.T, db *database) {
	r := db.open()
	const n = 32
	errs := make([]error, n)
	together(n, func(i int) {
		ctx, cancel := context.WithCancel(t.Context())
		if i%2 == 0 {
			cancel()
		} else {
			go cancel()
		}
		_, errs[i] = r.Append(ctx, put("local", i)...)
		cancel()
	})
	mustAppend(t, r, put("far", n)...)
	for i, err := range errs {
		if err != nil {
			wantError(t, "cancelled append", err, context.Canceled)
		} else if _, err := r.Blob(t.Context(), blob(i)); err != nil {
			t.Errorf("append %d succeeded, but: %v", i, err)
		}
	}
	agrees(t, r)
}

// testCloseWaits closes a handle while it appends.
func testCloseWaits(t *testing.T, db *database) {
	r, closing := db.open(), db.each(t)
	const n = 32
	errs := make([]error, n+1)
	together(n+1, func(i int) {
		if i == n {
			errs[n] = closing.Close()
			return
		}
		_, errs[i] = closing.Append(t.Context(), put("local", i)...)
	})
	if errs[n] != nil {
		t.Errorf("Close: %v", errs[n])
	}
	for i, err := range errs[:n] {
		_, missing := r.Blob(t.Context(), blob(i))
		if err == nil && missing != nil {
			t.Errorf("append %d succeeded, but: %v", i, missing)
		}
		if err != nil && missing == nil && !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("append %d failed (%v), but the blob is there", i, err)
		}
	}
	if _, err := closing.Append(t.Context(), put("local", n)...); err == nil {
		t.Error("a closed registry appends")
	}
	agrees(t, r)
}
