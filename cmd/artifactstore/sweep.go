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

// sweepForever removes what uploads left behind that never ended, on every
// backend, now and from time to time, until the context ends.
func sweepForever(ctx context.Context, list []cas.Backend, grace time.Duration, log *slog.Logger) {
	pause := min(max(grace/4, minSweepPause), maxSweepPause)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		for _, b := range list {
			sweep(ctx, b, time.Now().Add(-grace), log)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
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
