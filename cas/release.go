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
	b, err := s.lookUp(ctx, d)
	if err != nil {
		return err
	}
	if b.References > 0 {
		k, err := s.user(ctx, b)
		if err != nil {
			return err
		}
		return &ReferencedError{Blob: d, By: k.String()}
	}
	err = s.append(ctx, event(principal, registry.BlobReleased{Blob: b.SHA256}))
	return registryError("release "+d.String(), err)
}
