package cas

import (
	"context"
	"iter"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// knownOn walks the blobs that have a location on a backend, in the order of digests.
type knownOn struct {
	backendID string
	next      func() (registry.Blob, error, bool)
	stop      func()
	at        registry.Blob // zero before the first and after the last
	ended     bool
}

// knownOn begins after a key.
func (s *Store) knownOn(ctx context.Context, backendID, after string) *knownOn {
	d, _ := digest.ParseKey(after)
	k := &knownOn{backendID: backendID}
	k.next, k.stop = iter.Pull2(s.reg.Blobs(ctx, d))
	return k
}

// has reports whether a blob has a location. It is asked in ascending order.
func (k *knownOn) has(d digest.Digest) (bool, error) {
	for !k.ended && (k.at.SHA256.IsZero() || k.at.SHA256.Hex() < d.Hex()) {
		b, err, ok := k.next()
		if err != nil {
			return false, registryError("list blobs", err)
		}
		k.at, k.ended = b, !ok
	}
	return k.at.SHA256 == d && stateOn(k.at, k.backendID) != "", nil
}
