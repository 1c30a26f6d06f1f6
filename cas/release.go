package cas

import (
	"context"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// Release ends the principal's promise to keep a blob. The blob stays as long
// as anybody else's lease keeps it; from then on it is unknown to readers, and
// its bytes leave when garbage is collected. A blob that nothing keeps is
// ErrBlobUnknown; one that a package needs is *ReferencedError, and nothing ends.
func (s *Store) Release(ctx context.Context, d digest.Digest, principal string) error {
	return s.ReleaseAmong(ctx, d, principal, nil)
}

// ReleaseAmong is [Store.Release] for a principal that may know some of the packages
// there are (nil: all): one that only others need is given up without a word of them,
// and stays.
func (s *Store) ReleaseAmong(ctx context.Context, d digest.Digest, principal string, may func(resource string) bool) error {
	b, err := s.lookUp(ctx, d)
	if err != nil {
		return err
	}
	if b.References > 0 {
		by, needed, err := s.user(ctx, b, may)
		if err != nil {
			return err
		}
		if needed {
			return &ReferencedError{Blob: d, By: by.String()}
		}
	}
	err = s.append(ctx, event(principal, registry.BlobReleased{Blob: b.SHA256}))
	return registryError("release "+d.String(), err)
}
