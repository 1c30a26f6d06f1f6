package sqlite

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

func tokenHash(n uint64) digest.Digest {
	sum := sha256.Sum256(fmt.Appendf(nil, "token %d", n))
	return digest.New(digest.SHA256, sum[:])
}

// BenchmarkTokenByHash looks up a token as every authorised request does: while nothing
// is committed, from many at once, and right after a commit.
func BenchmarkTokenByHash(b *testing.B) {
	const tokens = 1000
	r := open(b, filepath.Join(b.TempDir(), "registry.db"))
	var events []registry.Event
	for n := range uint64(tokens) {
		events = append(events, tokenEvent(registry.TokenCreated{
			ID: fmt.Sprintf("t%d", n), Principal: "ci", SHA256: tokenHash(n), Grants: []string{"push:ci", "pull:*"},
		}))
	}
	if _, err := r.Append(b.Context(), events...); err != nil {
		b.Fatal(err)
	}
	var hashes [tokens]digest.Digest
	for n := range hashes {
		hashes[n] = tokenHash(uint64(n))
	}
	look := func(b *testing.B, ctx context.Context, n uint64) {
		if _, err := r.TokenByHash(ctx, hashes[n%tokens]); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for n := uint64(0); b.Loop(); n++ {
			look(b, b.Context(), n)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		var next atomic.Uint64
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				look(b, b.Context(), next.Add(1))
			}
		})
	})
	b.Run("asked", func(b *testing.B) {
		b.ReportAllocs()
		for n := uint64(0); b.Loop(); n++ {
			if _, err := r.token(b.Context(), selectTokenByHash, hashes[n%tokens].Sum()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
