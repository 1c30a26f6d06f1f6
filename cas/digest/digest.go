// Package digest names bytes by what they are.
//
// A [Digest] is an algorithm and a sum; its text form is "algorithm:hex" as in
// the OCI image specification (descriptor.md, "Digests"): lower-case hex of the
// algorithm's exact length and nothing else. An [Identity] is the pair of
// digests and the size that the store records for every blob. A [Hasher]
// computes an identity in one pass over a stream; its state can be saved after
// any byte and restored in another process. The package does no I/O.
package digest

import (
	"crypto/sha256"
	"crypto/sha512"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Algorithm is a hash function a digest can be made with. The zero value is no
// algorithm.
type Algorithm uint8

// The algorithms of the store. SHA256 is the primary one: it names the key of
// the stored object.
const (
	SHA256 Algorithm = iota + 1
	SHA512
	BLAKE3
)

var algorithms = [...]struct {
	name string
	size int // bytes in a sum
}{
	SHA256: {"sha256", sha256.Size},
	SHA512: {"sha512", sha512.Size},
	BLAKE3: {"blake3", 32},
}

// String returns the algorithm's name as it stands before the colon of a
// digest, "" for the zero value.
func (a Algorithm) String() string { return algorithms[a].name }

// Size returns the number of bytes in a sum, 0 for the zero value.
func (a Algorithm) Size() int { return algorithms[a].size }

// ErrInvalid is wrapped by every error of [Parse] and [ParseKey].
var ErrInvalid = errors.New("invalid digest")

// Digest is an algorithm and a sum made with it. It is comparable and can be a
// map key; the zero value is no digest.
type Digest struct {
	alg Algorithm
	sum [sha512.Size]byte // the first alg.Size() bytes; the rest zero
}

// New returns the digest of a sum of exactly alg.Size() bytes. It panics on
// another length: a sum comes from a hash function or from a checked column,
// never from input.
func New(alg Algorithm, sum []byte) Digest {
	if alg == 0 || len(sum) != alg.Size() {
		panic(fmt.Sprintf("digest: sum of %d bytes for algorithm %q", len(sum), alg))
	}
	d := Digest{alg: alg}
	copy(d.sum[:], sum)
	return d
}

// Parse reads "algorithm:hex". It accepts exactly what [Digest.String] writes:
// a known algorithm in lower case and its full length of lower-case hex.
func Parse(s string) (Digest, error) {
	name, enc, ok := strings.Cut(s, ":")
	if !ok {
		return Digest{}, fmt.Errorf("%w: %s: want algorithm:hex", ErrInvalid, quote(s))
	}
	alg, err := ParseAlgorithm(name)
	if err != nil {
		return Digest{}, err
	}
	return parseHex(alg, enc)
}

// ParseAlgorithm reads an algorithm's name.
func ParseAlgorithm(name string) (Algorithm, error) {
	for a := SHA256; a <= BLAKE3; a++ {
		if a.String() == name {
			return a, nil
		}
	}
	return 0, fmt.Errorf("%w: unknown algorithm %s: want sha256, sha512 or blake3", ErrInvalid, quote(name))
}

func parseHex(alg Algorithm, enc string) (Digest, error) {
	d := Digest{alg: alg}
	if len(enc) != 2*alg.Size() {
		return Digest{}, fmt.Errorf("%w: %s takes %d hex digits, not %d", ErrInvalid, alg, 2*alg.Size(), len(enc))
	}
	if strings.ContainsAny(enc, "ABCDEF") {
		return Digest{}, fmt.Errorf("%w: %s: hex must be lower case", ErrInvalid, alg)
	}
	if _, err := hex.Decode(d.sum[:], []byte(enc)); err != nil {
		return Digest{}, fmt.Errorf("%w: %s: not hex", ErrInvalid, alg)
	}
	return d, nil
}

// quote shortens input for an error message: a message is not a place to send
// ten kilobytes back.
func quote(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return fmt.Sprintf("%q", s)
}

// Algorithm returns the algorithm, 0 for the zero digest.
func (d Digest) Algorithm() Algorithm { return d.alg }

// IsZero reports whether d is no digest.
func (d Digest) IsZero() bool { return d.alg == 0 }

// Sum returns a copy of the sum's bytes.
func (d Digest) Sum() []byte { return append([]byte(nil), d.sum[:d.alg.Size()]...) }

// Hex returns the sum in lower-case hex.
func (d Digest) Hex() string { return hex.EncodeToString(d.sum[:d.alg.Size()]) }

// String returns "algorithm:hex", "" for the zero digest.
func (d Digest) String() string {
	if d.IsZero() {
		return ""
	}
	b, _ := d.AppendText(make([]byte, 0, len("sha512:")+2*sha512.Size))
	return string(b)
}

// AppendText appends the text form to b.
func (d Digest) AppendText(b []byte) ([]byte, error) {
	if d.IsZero() {
		return b, nil
	}
	b = append(b, d.alg.String()...)
	b = append(b, ':')
	return hex.AppendEncode(b, d.sum[:d.alg.Size()]), nil
}

// MarshalText returns the text form; the zero digest is empty.
func (d Digest) MarshalText() ([]byte, error) { return d.AppendText(nil) }

// UnmarshalText reads the text form strictly; empty text is the zero digest.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Digest{}
		return nil
	}
	v, err := Parse(string(b))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// Value is the form for a database column whose algorithm is fixed by its
// name: the raw sum, or NULL for the zero digest.
func (d Digest) Value() (driver.Value, error) {
	if d.IsZero() {
		return nil, nil
	}
	return d.Sum(), nil
}

// Identity is what the store knows a blob by.
type Identity struct {
	SHA256 Digest `json:"sha256" cbor:"sha256"`
	BLAKE3 Digest `json:"blake3" cbor:"blake3"`
	Size   int64  `json:"size" cbor:"size"` // bytes
}
