package digest

import (
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"slices"
	"sync"
)

// Hasher computes the identity of a stream in one pass. Everything may be asked
// at any time, and writing may go on afterwards. It starts no goroutine, and
// writing allocates nothing. It belongs to one goroutine; make one with
// [NewHasher], or restore one into a zero Hasher with [Hasher.UnmarshalBinary].
type Hasher struct {
	size    int64 // bytes written
	sha256  hash.Hash
	sha512  hash.Hash // nil where it is not computed
	blake3  tree
	scratch [sha512.Size]byte // where Sum writes, so that it allocates nothing
}

// hashers keeps released hashers: one is 18 KiB, four times a small blob.
var hashers = sync.Pool{New: func() any { return &Hasher{sha256: sha256.New()} }}

// NewHasher returns a hasher of an empty stream. SHA-256 and BLAKE3 are always
// computed; SHA-512 where it is named. Naming one twice is harmless.
func NewHasher(also ...Algorithm) *Hasher {
	h := hashers.Get().(*Hasher)
	h.sha512 = nil
	if slices.Contains(also, SHA512) {
		h.sha512 = sha512.New()
	}
	h.Reset()
	return h
}

// Release gives the hasher's memory to a later [NewHasher]. Nothing of the
// hasher may be used afterwards. Calling it is never necessary.
func (h *Hasher) Release() { hashers.Put(h) }

// Reset makes the hasher one of an empty stream; the algorithms stay.
func (h *Hasher) Reset() {
	h.size = 0
	h.sha256.Reset()
	h.blake3.reset()
	if h.sha512 != nil {
		h.sha512.Reset()
	}
}

// Write adds p to the stream. It never fails.
func (h *Hasher) Write(p []byte) (int, error) {
	h.size += int64(len(p))
	for rest := p; len(rest) > 0; {
		piece := rest[:min(len(rest), pieceSize)]
		rest = rest[len(piece):]
		h.sha256.Write(piece)
		h.blake3.write(piece)
		if h.sha512 != nil {
			h.sha512.Write(piece)
		}
	}
	return len(p), nil
}

// pieceSize is how much of a write each hash reads in turn: few enough bytes that
// the second hash finds them in the cache, and whole groups.
const pieceSize = 2 * groupSize

// Size returns the number of bytes written, over all processes.
func (h *Hasher) Size() int64 { return h.size }

// Identity returns what the bytes written so far are known by.
func (h *Hasher) Identity() Identity {
	sha, _ := h.Sum(SHA256)
	blake, _ := h.Sum(BLAKE3)
	return Identity{SHA256: sha, BLAKE3: blake, Size: h.size}
}

// Sum returns the digest of the bytes written so far, false where the algorithm
// is not computed.
func (h *Hasher) Sum(alg Algorithm) (Digest, bool) {
	switch {
	case alg == SHA256:
		return New(alg, h.sha256.Sum(h.scratch[:0])), true
	case alg == SHA512 && h.sha512 != nil:
		return New(alg, h.sha512.Sum(h.scratch[:0])), true
	case alg == BLAKE3:
		sum := h.blake3.sum()
		return New(alg, sum[:]), true
	}
	return Digest{}, false
}
