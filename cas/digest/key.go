package digest

import (
	"fmt"
	"strings"
)

// Key returns the key a blob is stored under:
//
//	<algorithm>/<hex[0:2]>/<hex[2:4]>/<hex>
//
// The two levels of folders keep each of them small on a file system. The
// backend's prefix is not part of it. The zero digest has no key: "".
func (d Digest) Key() string {
	if d.IsZero() {
		return ""
	}
	enc := d.Hex()
	return d.alg.String() + "/" + enc[0:2] + "/" + enc[2:4] + "/" + enc
}

// ParseKey reads a key. It accepts exactly what [Digest.Key] writes for a
// digest; everything else is [ErrInvalid].
func ParseKey(key string) (Digest, error) {
	name, rest, _ := strings.Cut(key, "/")
	alg, err := ParseAlgorithm(name)
	if err != nil {
		return Digest{}, err
	}
	const folders = len("00/00/")
	if len(rest) < folders {
		return Digest{}, fmt.Errorf("%w: key %s is too short", ErrInvalid, quote(key))
	}
	d, err := parseHex(alg, rest[folders:])
	if err != nil {
		return Digest{}, err
	}
	if d.Key() != key {
		return Digest{}, fmt.Errorf("%w: key %s: the folders are not those of the digest", ErrInvalid, quote(key))
	}
	return d, nil
}
