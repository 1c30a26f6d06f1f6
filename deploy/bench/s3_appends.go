package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
	"artifactstore/registry/postgres"
	"artifactstore/registry/sqlite"
)

// measuredBefore are the appends a second that were measured when the libraries
// were chosen, on a machine like the one this was written on: event, blob and
// location in one transaction, group-committed (SQLite's at one writer: one
// transaction each).
var measuredBefore = map[string]map[int]float64{
	"sqlite":   {1: 760, 32: 6914, 256: 10832},
	"postgres": {1: 366, 32: 5891, 256: 23500},
}

// appendsOnBoth measures how many puts a second each registry records: three
// events and their views each, durable.
func appendsOnBoth(t *table, o options, dir, url string) error {
	lite, err := sqlite.Open(context.Background(), sqlite.Options{Path: filepath.Join(dir, "appends.db")})
	if err != nil {
		return err
	}
	defer lite.Close()
	big, err := postgres.Open(context.Background(), postgres.Options{URL: url})
	if err != nil {
		return err
	}
	defer big.Close()
	var a appender
	for _, writers := range []int{1, 32, 256} {
		rates := map[string][]turn{}
		for range t.rounds {
			for name, r := range map[string]registry.Registry{"sqlite": lite, "postgres": big} {
				one, err := a.crowd(r, writers, o.round)
				if err != nil {
					return fmt.Errorf("append on %s: %w", name, err)
				}
				rates[name] = append(rates[name], one)
			}
		}
		for _, name := range []string{"sqlite", "postgres"} {
			t.beside(fmt.Sprintf("appends of a put's three events, %s, %d writers", name, writers), medianOf(rates[name], turn.rate), measuredBefore[name][writers])
		}
	}
	return nil
}

// appender records puts of blobs that nobody has.
type appender struct{ serial atomic.Uint64 }

func (a *appender) crowd(r registry.Registry, writers int, last time.Duration) (turn, error) {
	var (
		done atomic.Int64
		fail atomic.Pointer[error]
		all  sync.WaitGroup
	)
	t, err := own(func() (float64, error) {
		end := time.Now().Add(last)
		for range writers {
			all.Go(func() {
				for time.Now().Before(end) {
					if _, err := r.Append(context.Background(), a.put()...); err != nil {
						fail.Store(&err)
						return
					}
					done.Add(1)
				}
			})
		}
		all.Wait()
		if err := fail.Load(); err != nil {
			return 0, *err
		}
		return float64(done.Load()), nil
	})
	return t, err
}

// put returns the events of a put.
func (a *appender) put() []registry.Event {
	n := binary.BigEndian.AppendUint64(nil, a.serial.Add(1))
	sum := func(algorithm digest.Algorithm, kind byte) digest.Digest {
		s := sha256.Sum256(append(n[:8:8], kind))
		return digest.New(algorithm, s[:])
	}
	blob := sum(digest.SHA256, 0)
	all := []registry.Data{
		registry.BlobStored{SHA256: blob, BLAKE3: sum(digest.BLAKE3, 1), Size: 4096},
		registry.LocationRecorded{Blob: blob, BackendID: "local"},
		registry.BlobLeased{Blob: blob, Producer: "bench", RetentionClass: "standard", Until: time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)},
	}
	events := make([]registry.Event, len(all))
	for i, d := range all {
		events[i] = registry.Event{Actor: "bench", Data: d}
	}
	return events
}
