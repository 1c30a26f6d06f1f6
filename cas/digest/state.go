package digest

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
)

// The state of a hasher, all of it in one string of bytes:
//
//	1         version: 1
//	1         1 where SHA-512 is computed, otherwise 0
//	8         size of the stream in bytes, big-endian, at most 2^62-1
//	108       SHA-256, as the standard library writes it
//	204       SHA-512, likewise, where it is computed
//	32 each   BLAKE3: chaining values of complete subtrees, lowest first
//	0-16384   BLAKE3: the bytes of the last group
//
// How many chaining values and bytes there are follows from the size, so no
// counter can contradict another.
const (
	stateVersion = 1
	headerSize   = 1 + 1 + 8
	sha256State  = 108
	sha512State  = 204

	// maxSize is the largest size a state is believed: four exbibytes. A hasher
	// restored there can still be written to without its counters overflowing.
	maxSize = 1<<62 - 1
)

// ErrState is wrapped by every error of [Hasher.UnmarshalBinary].
var ErrState = errors.New("invalid hasher state")

// MarshalBinary returns the state after the last byte written. It never fails.
func (h *Hasher) MarshalBinary() ([]byte, error) {
	return h.AppendBinary(make([]byte, 0, headerSize+sha256State+sha512State+stateSize(h.size)))
}

// AppendBinary appends the state after the last byte written. It never fails.
func (h *Hasher) AppendBinary(b []byte) ([]byte, error) {
	with512 := byte(0)
	if h.sha512 != nil {
		with512 = 1
	}
	b = append(b, stateVersion, with512)
	b = binary.BigEndian.AppendUint64(b, uint64(h.size))
	b = appendHash(b, h.sha256)
	if h.sha512 != nil {
		b = appendHash(b, h.sha512)
	}
	return h.blake3.appendState(b), nil
}

// UnmarshalBinary makes h the hasher whose state was saved, with its algorithms.
// Whatever MarshalBinary cannot have written is [ErrState] (as far as can be
// seen: chaining values are opaque), and h is then as it was.
func (h *Hasher) UnmarshalBinary(b []byte) error {
	size, with512, rest, err := parseHeader(b)
	if err != nil {
		return err
	}
	want := sha256State + stateSize(size)
	if with512 {
		want += sha512State
	}
	if len(rest) != want {
		return fmt.Errorf("%w: %d bytes behind the header, not %d", ErrState, len(rest), want)
	}
	sha, rest, err := restoreHash(sha256.New(), sha256State, size, rest)
	if err != nil {
		return err
	}
	var sha5 hash.Hash
	if with512 {
		if sha5, rest, err = restoreHash(sha512.New(), sha512State, size, rest); err != nil {
			return err
		}
	}
	h.size, h.sha256, h.sha512 = size, sha, sha5
	h.blake3.setState(size, rest)
	return nil
}

func parseHeader(b []byte) (size int64, with512 bool, rest []byte, err error) {
	if len(b) < headerSize {
		return 0, false, nil, fmt.Errorf("%w: %d bytes", ErrState, len(b))
	}
	if b[0] != stateVersion {
		return 0, false, nil, fmt.Errorf("%w: version %d", ErrState, b[0])
	}
	if b[1] > 1 {
		return 0, false, nil, fmt.Errorf("%w: algorithms %d", ErrState, b[1])
	}
	n := binary.BigEndian.Uint64(b[2:])
	if n > maxSize {
		return 0, false, nil, fmt.Errorf("%w: size %d", ErrState, n)
	}
	return int64(n), b[1] == 1, b[headerSize:], nil
}

// appendHash appends the state of a hash of the standard library, all of which
// have one.
func appendHash(b []byte, h hash.Hash) []byte {
	b, err := h.(encoding.BinaryAppender).AppendBinary(b)
	if err != nil {
		panic(fmt.Sprintf("digest: save %T: %v", h, err))
	}
	return b
}

// restoreHash restores a hash of the standard library from the first n bytes. Its
// state ends in the length of its stream, and it must be written back as it was
// read.
func restoreHash(h hash.Hash, n int, size int64, b []byte) (hash.Hash, []byte, error) {
	state, rest := b[:n], b[n:]
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	if binary.BigEndian.Uint64(state[n-8:]) != uint64(size) || !bytes.Equal(appendHash(nil, h), state) {
		return nil, nil, fmt.Errorf("%w: SHA state of another size", ErrState)
	}
	return h, rest, nil
}
