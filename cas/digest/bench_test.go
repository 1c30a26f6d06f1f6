package digest

import (
	"crypto/sha256"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/zeebo/blake3"
	"lukechampine.com/blake3/guts"
)

// cpu returns the CPU time this process has used, of all its threads.
func cpu(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs hash over a buffer and reports CPU seconds for a GiB.
func measure(b *testing.B, buf []byte, hash func([]byte)) {
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	hash(buf)
	start := cpu(b)
	for b.Loop() {
		hash(buf)
	}
	gib := float64(b.N) * float64(len(buf)) / (1 << 30)
	b.ReportMetric((cpu(b)-start).Seconds()/gib, "cpu-s/GiB")
}

// fastestBLAKE3 compresses whole groups and throws their values away, which no
// hasher can beat with this library.
func fastestBLAKE3(p []byte) {
	for ; len(p) >= groupSize; p = p[groupSize:] {
		guts.ChainingValue(guts.CompressBuffer((*[groupSize]byte)(p), groupSize, &guts.IV, 0, 0))
	}
}

// BenchmarkHasher stands beside its parts alone, over the buffer size of the
// store: the hasher is to cost at most 5 % more than the two of them.
func BenchmarkHasher(b *testing.B) {
	buf := input(256 << 10)
	sha, zeebo := sha256.New(), blake3.New()
	b.Run("sha256", func(b *testing.B) { measure(b, buf, func(p []byte) { sha.Write(p) }) })
	b.Run("blake3", func(b *testing.B) { measure(b, buf, fastestBLAKE3) })
	b.Run("blake3-zeebo", func(b *testing.B) { measure(b, buf, func(p []byte) { zeebo.Write(p) }) })
	h := NewHasher()
	b.Run("both", func(b *testing.B) { measure(b, buf, func(p []byte) { h.Write(p) }) })
	for _, n := range []int{1 << 10, 4 << 10, 32 << 10, 1 << 20} {
		buf := input(n)
		b.Run(fmt.Sprintf("both/write=%dKiB", n>>10), func(b *testing.B) { measure(b, buf, func(p []byte) { h.Write(p) }) })
	}
}

// BenchmarkSmall is what one small blob costs from beginning to end.
func BenchmarkSmall(b *testing.B) {
	buf := input(4 << 10)
	measure(b, buf, func(p []byte) {
		h := NewHasher()
		h.Write(p)
		h.Identity()
		h.Release()
	})
}
