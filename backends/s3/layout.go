package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"artifactstore/backends"
)

// staging is the folder below the key prefix for what the backend keeps for
// itself. No object can be there: CheckKey refuses a segment that begins with a
// dot, and List leaves out what CheckKey refuses.
const staging = ".staging/"

// object returns the key in the bucket of an object.
func (b *Backend) object(key string) (string, error) {
	if err := backends.CheckKey(key); err != nil {
		return "", err
	}
	return b.prefix + key, nil
}

// dataName is where an upload whose key is not known yet assembles its object.
func dataName(nonce string) string { return staging + nonce + "/data" }

// tailName is where Suspend keeps the bytes before offset that make no part yet.
// It names the parts they follow, so that Sweep sees in the same listing that
// these are alive. Two uploads resumed from one state may be suspended at one offset
// with different bytes: the token keeps their tails apart.
func tailName(nonce, uploadID string, offset int64, token string) string {
	return fmt.Sprintf("%s%s/tail-%s-%d-%s", staging, nonce, group(uploadID), offset, token)
}

// group is a short name of an upload's parts, "0" where there are none.
func group(uploadID string) string {
	if uploadID == "" {
		return "0"
	}
	sum := sha256.Sum256([]byte(uploadID))
	return hex.EncodeToString(sum[:8])
}

// parseTail takes a name below the staging folder apart.
func parseTail(name string) (nonce, group string, ok bool) {
	nonce, rest, ok := strings.Cut(name, "/tail-")
	if !ok {
		return "", "", false
	}
	group, _, ok = strings.Cut(rest, "-")
	return nonce, group, ok
}
