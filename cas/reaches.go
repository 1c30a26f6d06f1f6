package cas

import (
	"context"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// shownRows is how many rows of each place that may show a blob are read at once:
// most blobs are in fewer, and an unknown one is then asked for in the same way.
const shownRows = 500

// Reaches reports whether somebody may know a blob, found by any of its digests: a
// package that refers to it, or a repository that shows it, is a resource that they
// may read, or the principal has a lease of its own that lasts ("" has none). The
// resource of a package of files is "producer/name", of a manifest its repository. A blob
// that is not there is reached by nobody, and found so by the same work as one that few
// have; what is in more than shownRows packages of files may take longer to be refused.
func (s *Store) Reaches(ctx context.Context, d digest.Digest, principal string, may func(resource string) bool) (bool, error) {
	var after registry.ShownAfter
	for {
		page, err := s.reg.Shown(ctx, d, principal, s.now(), after, shownRows)
		if err != nil {
			return false, registryError("look up what shows "+d.String(), err)
		}
		if page.Leased && principal != "" {
			return true, nil
		}
		for _, resource := range page.Resources {
			if may(resource) {
				return true, nil
			}
		}
		if page.Next == (registry.ShownAfter{}) {
			return false, nil
		}
		after = page.Next
	}
}
