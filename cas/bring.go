package cas

import (
	"context"
	"errors"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// bringAll copies blobs of a repository to the backend that the options route to,
// those that are not there: pushed while another rule held, or mounted from a
// repository of another producer. A copy stays when a later one fails: the push goes
// on there when it is repeated. A blob whose bytes are lost is *MissingError: pushed
// again, it heals.
func (s *Store) bringAll(ctx context.Context, blobs []registry.Blob, o PutOptions) error {
	class, _, err := s.class(o)
	if err != nil {
		return err
	}
	to, _ := s.policy.Route(class, o.Producer)
	var missing []digest.Digest
	for _, b := range blobs {
		if stateOn(b, to) == registry.Stored {
			continue
		}
		switch err := s.bring(ctx, b, o); {
		case errors.Is(err, ErrBlobUnavailable):
			missing = append(missing, b.SHA256)
		case err != nil:
			return err
		}
	}
	if missing != nil {
		return &MissingError{Digests: missing}
	}
	return nil
}

func (s *Store) bring(ctx context.Context, b registry.Blob, o PutOptions) error {
	o.Want, o.Size, o.Knows = []digest.Digest{b.SHA256}, b.Size, nil
	p, err := s.newPut(o)
	if err != nil {
		return err
	}
	defer p.hash.Release()
	p.record = func(context.Context, digest.Identity) ([]registry.Data, error) { return nil, nil } // it is kept already
	_, err = p.copyOf(ctx, b)
	return err
}
