package cas

import (
	"context"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// wouldCollect tells what Collect would.
func (s *Store) wouldCollect(ctx context.Context, o CollectOptions) (report CollectReport, err error) {
	found := func(c Candidate) {
		if o.Found != nil {
			o.Found(c)
		}
	}
	for _, b := range s.list {
		for after := (digest.Digest{}); ; {
			list, err := s.reg.Removals(ctx, b.ID, after, s.collection.Batch)
			if err != nil {
				return report, registryError("list removals from "+b.ID, err)
			}
			if len(list) == 0 {
				break
			}
			for _, r := range list {
				report.Waiting++
				found(s.removal(ctx, r))
			}
			after = list[len(list)-1].Blob
		}
	}
	err = s.walk(ctx, digest.Digest{}, func(_ context.Context, page []registry.Idle, _ digest.Digest) error {
		for _, b := range page {
			report.Blobs++
			report.Bytes += b.Size
			found(candidate(b))
		}
		return nil
	})
	return report, err
}

// removal describes a removal under way.
func (s *Store) removal(ctx context.Context, r registry.Removal) Candidate {
	c := Candidate{Digest: r.Blob, Size: -1, Why: Removing, Since: r.Since, Backends: []string{r.BackendID}}
	if b, err := s.reg.Blob(ctx, r.Blob); err == nil {
		c.Size = b.Size
	}
	return c
}
