package main

import (
	"context"
	"log/slog"
	"time"

	"artifactstore/cas"
)

// The pause between two sweeps is a quarter of the grace, so that what was
// abandoned is gone soon after its time, within bounds: sweeping is cheap, but
// it lists what is staged.
const (
	minSweepPause = 500 * time.Millisecond
	maxSweepPause = time.Hour
)

// sweepForever ends the upload sessions whose time is over, and removes what
// uploads left behind that never ended, on every backend, now and from time to
// time, until the context ends.
//
// A session's bytes may be older than its row by a request that took the session
// up and brought nothing, which may have lasted as long as the grace: only
// what is twice as old is nobody's.
func sweepForever(ctx context.Context, store *cas.Store, grace time.Duration, log *slog.Logger) {
	pause := min(max(grace/4, minSweepPause), maxSweepPause)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		expire(ctx, store, log)
		for _, b := range store.Backends() {
			sweep(ctx, b, time.Now().Add(-2*grace), log)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// expireBatch is how many sessions are ended at a time: few enough to hold in
// memory with the states of their hashes.
const expireBatch = 200

// expire ends the sessions whose time is over.
func expire(ctx context.Context, store *cas.Store, log *slog.Logger) {
	for ctx.Err() == nil {
		n, err := store.ExpireUploads(ctx, expireBatch)
		if n > 0 {
			log.Info("ended upload sessions that had expired", "ended", n)
		}
		if err != nil && ctx.Err() == nil {
			log.Warn("some expired upload sessions could not be ended; the next sweep tries again", "error", err)
		}
		if err != nil || n == 0 {
			return
		}
	}
}

func sweep(ctx context.Context, b cas.Backend, before time.Time, log *slog.Logger) {
	n, err := b.Sweep(ctx, before)
	if n > 0 {
		log.Info("removed abandoned uploads", "backend_id", b.ID, "removed", n)
	}
	if err != nil && ctx.Err() == nil {
		log.Warn("some abandoned uploads could not be removed; the next sweep tries again", "backend_id", b.ID, "error", err)
	}
}
