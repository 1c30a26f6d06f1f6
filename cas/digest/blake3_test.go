package digest

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	zeebo "github.com/zeebo/blake3"
	"lukechampine.com/blake3"
)

// input is the input of the official test vectors: byte i is i modulo 251, so
// that no two chunks or groups are equal.
func input(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// treeSum hashes p by this package, in one write.
func treeSum(p []byte) [32]byte {
	var t tree
	t.write(p)
	return t.sum()
}

func TestOfficialVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/blake3_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct {
			Len  int    `json:"input_len"`
			Hash string `json:"hash"`
		}
	}
	if err := json.Unmarshal(text, &file); err != nil || len(file.Cases) != 35 {
		t.Fatalf("%d vectors: %v", len(file.Cases), err)
	}
	for _, c := range file.Cases {
		in := input(c.Len)
		h := NewHasher()
		h.Write(in)
		if got := h.Identity().BLAKE3.Hex(); got != c.Hash {
			t.Errorf("%d bytes: %s, the vector says %s", c.Len, got, c.Hash)
		}
		// The vectors are what two implementations of others say, too.
		if l, z := blake3.Sum256(in), zeebo.Sum256(in); l != z || New(BLAKE3, l[:]).Hex() != c.Hash {
			t.Errorf("%d bytes: the vector is not what the oracles say", c.Len)
		}
	}
}

// borders are sizes around everything that has a size: words, blocks, chunks, vectors
// of 8 and of 16, groups, and subtrees of groups.
func borders() []int {
	var all []int
	for _, at := range []int{0, 64, 1024, 2048, 3072, 7168, 8192, 9216, 15360} {
		for d := -1; d <= 1; d++ {
			all = append(all, max(at+d, 0))
		}
	}
	for _, groups := range []int{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 128, 255, 256, 257} {
		for _, d := range []int{-1025, -1024, -1, 0, 1, 1023, 1024, 1025} {
			all = append(all, groups*groupSize+d)
		}
	}
	return all
}

func TestBordersAgainstOracles(t *testing.T) {
	all := borders()
	in := input(all[len(all)-1])
	for _, n := range all {
		got := treeSum(in[:n])
		if l := blake3.Sum256(in[:n]); got != l {
			t.Errorf("%d bytes: %x, lukechampine says %x", n, got, l)
		}
		if z := zeebo.Sum256(in[:n]); got != z {
			t.Errorf("%d bytes: %x, zeebo says %x", n, got, z)
		}
	}
}

// A prime stride over three groups meets every offset within a block and every
// number of chunks.
func TestManySizesAgainstOracle(t *testing.T) {
	in := input(3*groupSize + 64)
	for n := 0; n <= len(in); n += 13 {
		if got, want := treeSum(in[:n]), zeebo.Sum256(in[:n]); got != want {
			t.Fatalf("%d bytes: %x, want %x", n, got, want)
		}
	}
}

// The library may read what lies behind a short group in the buffer, but it must
// not count.
func TestLeftoversDoNotCount(t *testing.T) {
	h := NewHasher()
	h.Write(bytes.Repeat([]byte{0xff}, 5*groupSize-1))
	h.Reset()
	for _, n := range []int{0, 1, 1023, 1024, 1025, 5000, groupSize - 1} {
		h.Reset()
		h.Write(input(n))
		if got, want := h.blake3.sum(), zeebo.Sum256(input(n)); got != want {
			t.Errorf("%d bytes in a used hasher: %x, want %x", n, got, want)
		}
	}
}
