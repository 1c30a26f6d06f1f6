package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"artifactstore/registry"
)

// BenchmarkAppend appends what a put appends (three events), durably.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			r := open(b, filepath.Join(b.TempDir(), "registry.db"))
			var next atomic.Uint64
			var group sync.WaitGroup
			start := time.Now()
			b.ResetTimer()
			for range writers {
				group.Go(func() {
					for n := next.Add(1); n <= uint64(b.N); n = next.Add(1) {
						if _, err := r.Append(context.Background(), put(n)...); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "appends/s")
		})
	}
}

// fill puts blobs, a multiple of a hundred.
func fill(b *testing.B, r *Registry, blobs uint64) {
	b.Helper()
	for n := uint64(0); n < blobs; n += 100 {
		var events []registry.Event
		for i := range uint64(100) {
			events = append(events, put(n+i)...)
		}
		if _, err := r.Append(b.Context(), events...); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBlob looks up a blob with one location and one lease, as every GET
// and HEAD does.
func BenchmarkBlob(b *testing.B) {
	const blobs = 20_000
	r := open(b, filepath.Join(b.TempDir(), "registry.db"))
	fill(b, r, blobs)
	look := func(b *testing.B, n uint64) {
		if _, err := r.Blob(b.Context(), blob(n*7919%blobs).BLAKE3); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		n := uint64(0)
		for b.Loop() {
			n++
			look(b, n)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		var n atomic.Uint64
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				look(b, n.Add(1))
			}
		})
	})
}

// BenchmarkCheck checks a log of 30,000 events.
func BenchmarkCheck(b *testing.B) {
	const blobs = 10_000
	r := open(b, filepath.Join(b.TempDir(), "registry.db"))
	fill(b, r, blobs)
	for b.Loop() {
		if report, err := r.Check(b.Context(), nil); err != nil || len(report.Problems) > 0 {
			b.Fatal(report, err)
		}
	}
	b.ReportMetric(3*blobs*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
