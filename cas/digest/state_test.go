package digest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

func state(t *testing.T, n int, also ...Algorithm) []byte {
	t.Helper()
	h := NewHasher(also...)
	h.Write(input(n))
	b, err := h.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The state's size is part of what sessions cost, and its layout is what an
// older process left behind.
func TestStateLayout(t *testing.T) {
	for _, c := range []struct {
		n    int
		also []Algorithm
		want int
	}{
		{0, nil, 118},
		{0, []Algorithm{SHA512}, 322},
		{100, nil, 118 + 100},
		{groupSize, nil, 118 + groupSize},
		{groupSize + 1, nil, 118 + 32 + 1},
		{3*groupSize + 1, nil, 118 + 2*32 + 1},
		{4*groupSize + 1, nil, 118 + 32 + 1},
	} {
		b := state(t, c.n, c.also...)
		if len(b) != c.want {
			t.Errorf("state after %d bytes has %d, want %d", c.n, len(b), c.want)
		}
		if b[0] != 1 || binary.BigEndian.Uint64(b[2:]) != uint64(c.n) {
			t.Errorf("state after %d bytes begins %x", c.n, b[:headerSize])
		}
	}
}

func TestStateRefused(t *testing.T) {
	with := func(b []byte, at int, v ...byte) []byte {
		copy(b[at:], v)
		return b
	}
	size := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	const sha = headerSize
	for name, b := range map[string][]byte{
		"nothing":                     {},
		"a short header":              state(t, 0)[:headerSize-1],
		"only a header":               state(t, 0)[:headerSize],
		"version 0":                   with(state(t, 9), 0, 0),
		"version 2":                   with(state(t, 9), 0, 2),
		"an unknown algorithm":        with(state(t, 9), 1, 2),
		"SHA-512 that is not there":   with(state(t, 9), 1, 1),
		"SHA-512 that is not named":   with(state(t, 9, SHA512), 1, 0),
		"one byte less":               state(t, 9)[:headerSize+sha256State+8],
		"one byte more":               append(state(t, 9), 0),
		"a size one more":             with(state(t, 9), 2, size(10)...),
		"a size a group more":         with(state(t, 9), 2, size(9+groupSize)...),
		"a negative size":             with(state(t, 9), 2, size(math.MaxUint64)...),
		"the largest size":            with(state(t, 9), 2, size(maxSize)...),
		"a size beyond it":            with(state(t, 9), 2, size(maxSize+1)...),
		"SHA-256 of another magic":    with(state(t, 9), sha, 'x'),
		"SHA-256 of another size":     with(state(t, 9), sha+sha256State-8, size(73)...),
		"SHA-256 with bytes too many": with(state(t, 9), sha+36+9, 1),
		"SHA-512 of another size":     with(state(t, 9, SHA512), sha+sha256State+sha512State-8, size(137)...),
	} {
		h := NewHasher()
		h.Write([]byte("abc"))
		if err := h.UnmarshalBinary(b); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v, want ErrState", name, err)
		}
		check(t, h, []byte("abc"), false) // a refused state changes nothing
	}
}

// A hasher restored at the largest size believed goes on over the next borders
// without overflowing a counter.
func TestLongestStream(t *testing.T) {
	var h Hasher
	b := append([]byte{stateVersion, 0}, binary.BigEndian.AppendUint64(nil, maxSize)...)
	sha := appendHash(nil, sha256.New())
	copy(sha[36:], input(maxSize%64))
	binary.BigEndian.PutUint64(sha[sha256State-8:], maxSize)
	b = append(b, sha...)
	b = append(b, make([]byte, stateSize(maxSize))...)
	if err := h.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	more := input(5*groupSize + 1)
	h.Write(more)
	if h.Size() != maxSize+int64(len(more)) {
		t.Errorf("size %d", h.Size())
	}
	if groups, n := position(h.Size()); h.blake3.groups != groups || h.blake3.n != n {
		t.Errorf("%d groups and %d bytes, want %d and %d", h.blake3.groups, h.blake3.n, groups, n)
	}
	if err := h.UnmarshalBinary(append(b[:2], binary.BigEndian.AppendUint64(nil, maxSize+1)...)); !errors.Is(err, ErrState) {
		t.Errorf("a size beyond the largest: %v", err)
	}
}

func FuzzHasherState(f *testing.F) {
	for _, n := range []int{0, 1, 1025, groupSize, 3*groupSize + 1} {
		h := NewHasher()
		if n == 1025 {
			h = NewHasher(SHA512)
		}
		h.Write(input(n))
		b, _ := h.MarshalBinary()
		f.Add(b, []byte("more"))
	}
	f.Fuzz(func(t *testing.T, state, more []byte) {
		var h Hasher
		if err := h.UnmarshalBinary(state); err != nil {
			if !errors.Is(err, ErrState) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if again, _ := h.MarshalBinary(); string(again) != string(state) {
			t.Fatalf("%x was accepted, %x is written", state, again)
		}
		before := h.Size()
		h.Write(more)
		if h.Size() != before+int64(len(more)) {
			t.Fatalf("size %d after %d and %d", h.Size(), before, len(more))
		}
		h.Identity()
		h.Sum(SHA512)
	})
}
