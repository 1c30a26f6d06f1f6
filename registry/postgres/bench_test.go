package postgres_test

import (
	"fmt"
	"sync"
	"testing"

	"artifactstore/cas/digest"
	"artifactstore/registry"
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

// BenchmarkPush appends pushes of a manifest of six files, each with its blob, its
// location, the package and a tag, as BenchmarkAppend does.
func BenchmarkPush(b *testing.B) {
	server := pgtest.Start(b)
	for _, writers := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			r := open(b, server.New(b))
			defer r.Close()
			var files []registry.File
			for n := range 6 {
				layer := identity(0, n)
				if _, err := r.Append(b.Context(), put(layer)...); err != nil {
					b.Fatal(err)
				}
				files = append(files, registry.File{Path: fmt.Sprint(n), Blob: layer.SHA256})
			}
			todo := make(chan int, writers)
			var all sync.WaitGroup
			for range writers {
				all.Go(func() {
					for n := range todo {
						if _, err := r.Append(b.Context(), push(identity(writers, n), n, files)...); err != nil {
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
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pushes/s")
		})
	}
}

// push is what the store appends for a new manifest with a tag.
func push(id digest.Identity, n int, files []registry.File) []registry.Event {
	name := fmt.Sprintf("team/app%d", n%50)
	say := func(d registry.Data) registry.Event { return registry.Event{Actor: "ci", Data: d} }
	return append(put(id)[:2],
		say(registry.PackageCreated{Package: registry.PackageKey{Producer: "team", Name: name, Version: id.SHA256.String()}, Format: registry.FormatOCI,
			RetentionClass: "standard", Files: files, Manifest: id.SHA256, OCI: &registry.OCI{MediaType: "application/vnd.oci.image.manifest.v1+json"}}),
		say(registry.TagSet{Repository: name, Tag: "latest", Manifest: id.SHA256}))
}
