package postgres_test

import (
	"fmt"
	"sync"
	"testing"

	"artifactstore/registry/postgres/pgtest"
)

// BenchmarkAppend appends puts of three events from many callers at once, on a
// server as durable as PostgreSQL is by default. One operation is one append.
func BenchmarkAppend(b *testing.B) {
	server := pgtest.Start(b)
	for _, writers := range []int{1, 32, 256, 1024} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			r := open(b, server.New(b))
			defer r.Close()
			todo := make(chan int, writers)
			var all sync.WaitGroup
			for range writers {
				all.Go(func() {
					for n := range todo {
						if _, err := r.Append(b.Context(), put(identity(writers, n))...); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ResetTimer()
			for n := 0; n < b.N; n++ {
				todo <- n
			}
			close(todo)
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
		})
	}
}

// BenchmarkBlob looks one blob of many up, one caller.
func BenchmarkBlob(b *testing.B) {
	r := open(b, filled(b, 100_000))
	defer r.Close()
	id := fill(4711)
	for b.Loop() {
		if _, err := r.Blob(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
}
