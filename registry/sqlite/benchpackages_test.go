package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// shelf has a repository of many tags, in which every manifest has the same
// configuration, as that of artifacts is; "elsewhere" has it too.
const shelfManifests = 10_000

func shelf(b *testing.B) *Registry {
	r := open(b, filepath.Join(b.TempDir(), "registry.db"))
	fill(b, r, shelfManifests)
	for n := uint64(0); n < shelfManifests; n += 100 {
		var events []registry.Event
		for i := range uint64(100) {
			repository := "team/app"
			if n == 0 && i == 0 {
				repository = "elsewhere"
			}
			events = append(events, artifact(repository, n+i)...)
		}
		if _, err := r.Append(b.Context(), events...); err != nil {
			b.Fatal(err)
		}
	}
	return r
}

// artifact is push with blob 0 as the configuration.
func artifact(repository string, n uint64) []registry.Event {
	events := push(repository, n)
	created := events[0].Data.(registry.PackageCreated)
	created.Files = []registry.File{{Path: blob(0).SHA256.String(), Blob: blob(0).SHA256}}
	events[0].Data = created
	return events
}

// BenchmarkPull asks what a pull of a manifest and its blobs asks.
func BenchmarkPull(b *testing.B) {
	r := shelf(b)
	now := time.Now()
	n := uint64(0)
	next := func() uint64 { n = n*7919%(shelfManifests-1) + 1; return n }
	each := func(name string, ask func(context.Context) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := ask(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	each("tag", func(ctx context.Context) error {
		_, _, _, err := r.ManifestByTag(ctx, "team/app", fmt.Sprintf("v%05d", next()))
		return err
	})
	each("digest", func(ctx context.Context) error {
		_, _, err := r.ManifestByDigest(ctx, "team/app", blob(next()).SHA256)
		return err
	})
	each("blob", func(ctx context.Context) error {
		_, err := r.BlobIn(ctx, "team/app", blob(next()).BLAKE3, now)
		return err
	})
	each("common blob", func(ctx context.Context) error {
		_, err := r.BlobIn(ctx, "elsewhere", blob(0).SHA256, now)
		return err
	})
	each("blob elsewhere", func(ctx context.Context) error {
		if _, err := r.BlobIn(ctx, "nowhere", blob(0).SHA256, now); err == nil {
			return fmt.Errorf("found")
		}
		return nil
	})
	each("used", func(ctx context.Context) error {
		_, err := r.UsedIn(ctx, "elsewhere", blob(0).SHA256)
		return err
	})
	each("tags page", func(ctx context.Context) (err error) {
		for _, err = range r.Tags(ctx, "team/app", "v05000") {
			break
		}
		return err
	})
	each("referrers page", func(ctx context.Context) (err error) {
		for _, err = range r.Referrers(ctx, "team/app", []string{blob(0).SHA256.String()}, "", digest.Digest{}.String()) {
			break
		}
		return err
	})
}

// BenchmarkPush appends what a push of a manifest with ten layers appends, from many
// writers.
func BenchmarkPush(b *testing.B) {
	r := open(b, filepath.Join(b.TempDir(), "registry.db"))
	fill(b, r, 1000)
	var layers []registry.File
	for n := range uint64(10) {
		layers = append(layers, registry.File{Path: fmt.Sprintf("layer%d", n), Blob: blob(n).SHA256})
	}
	var next atomic.Uint64
	var group sync.WaitGroup
	b.ResetTimer()
	for range 32 {
		group.Go(func() {
			for n := next.Add(1) + 1000; n <= uint64(b.N)+1000; n = next.Add(1) + 1000 {
				events := append(put(n), push("team/app", n)...)
				created := events[3].Data.(registry.PackageCreated)
				created.Files = layers
				events[3].Data = created
				if _, err := r.Append(context.Background(), events...); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pushes/s")
}
