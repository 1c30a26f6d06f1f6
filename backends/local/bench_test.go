package local_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"artifactstore/backends"
	"artifactstore/backends/local"
)

// BenchmarkCommit4KiB stores small objects under keys like the store's own, two
// levels of 256 folders, beside a reference that makes the bare calls: create,
// write, fsync, rename, fsync the folder. The reference's folders are there
// before; "known" gives the backend the same. Nothing is removed before the end:
// ext4 is slow to create files after many were removed.
func BenchmarkCommit4KiB(b *testing.B) {
	all := b.TempDir()
	for _, workers := range []int{1, 32} {
		b.Run(fmt.Sprintf("bare/%d", workers), func(b *testing.B) {
			root := newRoot(b, all)
			keys := preparedKeys(b, root)
			parallel(b, workers, func(i int64, p []byte) error { return bare(root, keys(i), p, i) })
		})
		b.Run(fmt.Sprintf("known/%d", workers), func(b *testing.B) {
			root := newRoot(b, all)
			be := openLocal(b, root)
			keys := preparedKeys(b, root)
			for i := range int64(folders) {
				if err := putLocal(b, be, keys(i)+"-first", nil); err != nil {
					b.Fatal(err)
				}
			}
			parallel(b, workers, func(i int64, p []byte) error { return putLocal(b, be, keys(i), p) })
		})
		b.Run(fmt.Sprintf("spread/%d", workers), func(b *testing.B) {
			be := openLocal(b, newRoot(b, all))
			parallel(b, workers, func(_ int64, p []byte) error {
				h := hex.EncodeToString(p[:32])
				return putLocal(b, be, "sha256/"+h[:2]+"/"+h[2:4]+"/"+h, p)
			})
		})
	}
}

func newRoot(b *testing.B, all string) string {
	b.Helper()
	root, err := os.MkdirTemp(all, "")
	if err != nil {
		b.Fatal(err)
	}
	return root
}

// folders is how many leaf folders the prepared keys use.
const folders = 64

func preparedKeys(b *testing.B, root string) func(i int64) string {
	b.Helper()
	for i := range folders {
		if err := os.MkdirAll(filepath.Join(root, "sha256", fmt.Sprintf("%02x", i), "00"), 0o750); err != nil {
			b.Fatal(err)
		}
	}
	return func(i int64) string { return fmt.Sprintf("sha256/%02x/00/%d", i%folders, i) }
}

func openLocal(b *testing.B, root string) *local.Backend {
	b.Helper()
	be, err := local.Open(b.Context(), local.Options{Root: root})
	if err != nil {
		b.Fatal(err)
	}
	return be
}

func putLocal(b *testing.B, be *local.Backend, key string, p []byte) error {
	u, err := be.Begin(b.Context(), backends.Hint{Key: key, Size: int64(len(p))})
	if err != nil {
		return err
	}
	defer u.Abort(b.Context())
	if _, err := u.Write(p); err != nil {
		return err
	}
	return u.Commit(b.Context(), key)
}

// bare is what no durable put can do without.
func bare(root, key string, p []byte, i int64) error {
	staging := filepath.Join(root, fmt.Sprint(i))
	f, err := os.OpenFile(staging, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(p); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	to := filepath.Join(root, key)
	if err := os.Rename(staging, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func parallel(b *testing.B, workers int, f func(i int64, p []byte) error) {
	b.SetBytes(4096)
	b.SetParallelism(max(1, workers/runtime.GOMAXPROCS(0)))
	var n atomic.Int64
	if workers == 1 {
		p := make([]byte, 4096)
		for b.Loop() {
			rand.Read(p)
			if err := f(n.Add(1), p); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	b.RunParallel(func(pb *testing.PB) {
		p := make([]byte, 4096)
		for pb.Next() {
			rand.Read(p)
			if err := f(n.Add(1), p); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkCommitLarge stores 256 MiB, beside a file written and synced at the end.
func BenchmarkCommitLarge(b *testing.B) {
	const size = 256 << 20
	p := make([]byte, 256<<10)
	rand.Read(p)
	fill := func(w io.Writer) error {
		for range size / len(p) {
			if _, err := w.Write(p); err != nil {
				return err
			}
		}
		return nil
	}
	b.Run("bare", func(b *testing.B) {
		name := filepath.Join(b.TempDir(), "f")
		b.SetBytes(size)
		for b.Loop() {
			f, err := os.Create(name)
			if err != nil {
				b.Fatal(err)
			}
			if err := fill(f); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			f.Close()
		}
	})
	b.Run("local", func(b *testing.B) {
		be := openLocal(b, b.TempDir())
		b.SetBytes(size)
		for b.Loop() {
			u, err := be.Begin(b.Context(), backends.Hint{Size: -1})
			if err != nil {
				b.Fatal(err)
			}
			if err := fill(u); err != nil {
				b.Fatal(err)
			}
			if err := u.Commit(b.Context(), "k"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
