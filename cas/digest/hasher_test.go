package digest

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"testing"

	zeebo "github.com/zeebo/blake3"
	"pgregory.net/rapid"
)

// check compares everything a hasher says with what others say of the bytes.
func check(t interface {
	Helper()
	Fatalf(string, ...any)
}, h *Hasher, in []byte, with512 bool,
) {
	t.Helper()
	s2, s5, b3 := sha256.Sum256(in), sha512.Sum512(in), zeebo.Sum256(in)
	want := Identity{New(SHA256, s2[:]), New(BLAKE3, b3[:]), int64(len(in))}
	if got := h.Identity(); got != want || h.Size() != want.Size {
		t.Fatalf("identity of %d bytes: %v, want %v", len(in), got, want)
	}
	if d, ok := h.Sum(SHA256); !ok || d != want.SHA256 {
		t.Fatalf("sha256 of %d bytes: %v, %v", len(in), d, ok)
	}
	if d, ok := h.Sum(BLAKE3); !ok || d != want.BLAKE3 {
		t.Fatalf("blake3 of %d bytes: %v, %v", len(in), d, ok)
	}
	switch d, ok := h.Sum(SHA512); {
	case ok != with512:
		t.Fatalf("sha512 computed: %v, want %v", ok, with512)
	case ok && d != New(SHA512, s5[:]), !ok && !d.IsZero():
		t.Fatalf("sha512 of %d bytes: %v", len(in), d)
	}
}

func TestNamedAlgorithms(t *testing.T) {
	for _, c := range []struct {
		also    []Algorithm
		with512 bool
	}{
		{nil, false},
		{[]Algorithm{SHA256, BLAKE3, SHA256}, false},
		{[]Algorithm{0}, false},
		{[]Algorithm{SHA512}, true},
		{[]Algorithm{SHA512, BLAKE3, SHA512}, true},
	} {
		h := NewHasher(c.also...)
		check(t, h, nil, c.with512)
		h.Write([]byte("abc"))
		check(t, h, []byte("abc"), c.with512)
		h.Reset()
		check(t, h, nil, c.with512)
		h.Release()
	}
	if d, ok := NewHasher().Sum(0); ok || !d.IsZero() {
		t.Errorf("a sum by no algorithm: %v", d)
	}
}

// A released hasher that computed SHA-512 must not make a later one do so, nor
// leave bytes in it.
func TestReleased(t *testing.T) {
	for range 20 {
		h := NewHasher(SHA512)
		h.Write(input(40_000))
		h.Release()
		g := NewHasher()
		check(t, g, nil, false)
		g.Write([]byte("x"))
		check(t, g, []byte("x"), false)
		g.Release()
	}
}

// Random writes, each followed or not by asking everything and by a move into
// another process, say what one write says.
func TestRandomSplits(t *testing.T) {
	in := input(40 * groupSize)
	rapid.Check(t, func(t *rapid.T) {
		with512 := rapid.Bool().Draw(t, "sha512")
		h := NewHasher()
		if with512 {
			h = NewHasher(SHA512)
		}
		written := 0
		for range rapid.IntRange(1, 12).Draw(t, "writes") {
			n := min(writeSize().Draw(t, "n"), len(in)-written)
			if m, err := h.Write(in[written : written+n]); m != n || err != nil {
				t.Fatalf("write of %d: %d, %v", n, m, err)
			}
			written += n
			if rapid.Bool().Draw(t, "ask") {
				check(t, h, in[:written], with512)
			}
			h = moved(t, h)
		}
		check(t, h, in[:written], with512)
	})
}

// writeSize prefers sizes about the borders of the tree.
func writeSize() *rapid.Generator[int] {
	near := rapid.Custom(func(t *rapid.T) int {
		at := rapid.SampledFrom([]int{64, 1024, groupSize, 2 * groupSize, 4 * groupSize, 8 * groupSize}).Draw(t, "at")
		return at + rapid.IntRange(-2, 2).Draw(t, "off")
	})
	return rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(0, 5*groupSize), near)
}

// moved saves a hasher and restores it elsewhere.
func moved(t interface{ Fatalf(string, ...any) }, h *Hasher) *Hasher {
	state, err := h.MarshalBinary()
	if err != nil {
		t.Fatalf("save: %v", err)
	}
	var g Hasher
	if err := g.UnmarshalBinary(state); err != nil {
		t.Fatalf("restore after %d bytes: %v", h.Size(), err)
	}
	again, err := g.AppendBinary([]byte("before"))
	if err != nil || !bytes.Equal(again, append([]byte("before"), state...)) {
		t.Fatalf("state after %d bytes is another one when restored: %v", h.Size(), err)
	}
	return &g
}

// A state taken at every byte of the first chunks and about each group border
// goes on to the same identity.
func TestRestoreAtAnyByte(t *testing.T) {
	in := input(3*groupSize + 5)
	want := NewHasher()
	want.Write(in)
	h := NewHasher()
	for i := range in {
		if i < 2100 || i%groupSize < 3 || i%groupSize > groupSize-3 {
			g := moved(t, h)
			g.Write(in[i:])
			if g.Identity() != want.Identity() {
				t.Fatalf("restored at byte %d: %v", i, g.Identity())
			}
		}
		h.Write(in[i : i+1])
	}
	check(t, h, in, false)
}

func TestWriteAllocatesNothing(t *testing.T) {
	in := input(groupSize * 16)
	for _, n := range []int{1, 100, 1024, 4096, groupSize, groupSize + 1, len(in)} {
		h := NewHasher(SHA512)
		if a := testing.AllocsPerRun(50, func() { h.Write(in[:n]) }); a != 0 {
			t.Errorf("a write of %d bytes allocates %v times", n, a)
		}
	}
}

func TestSumAllocatesNothing(t *testing.T) {
	h := NewHasher(SHA512)
	h.Write(input(5000))
	if a := testing.AllocsPerRun(50, func() { h.Identity(); h.Sum(SHA512) }); a != 0 {
		t.Errorf("asking for all sums allocates %v times", a)
	}
}
