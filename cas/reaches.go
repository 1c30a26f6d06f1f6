package cas

import (
	"context"
	"errors"
	"io/fs"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// mostReached bounds how much of what keeps a blob is looked at for one caller.
const mostReached = 10_000

// Reaches reports whether somebody may know a blob, found by any of its digests: a
// package that refers to it, or a repository that shows it, is a resource that they
// may read, or the principal has a lease of its own ("" has none). The resource of a
// package is "producer/name", of a manifest its repository. A blob that is not there
// is reached by nobody.
func (s *Store) Reaches(ctx context.Context, d digest.Digest, principal string, may func(resource string) bool) (bool, error) {
	b, err := s.reg.Blob(ctx, d)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, registryError("look up "+d.String(), err)
	}
	leases, err := s.reg.LeasesOf(ctx, b.SHA256, mostReached)
	if err != nil {
		return false, registryError("look up leases of "+d.String(), err)
	}
	for _, l := range leases {
		own := l.Repository == "" && l.Actor == principal && principal != ""
		if l.Until.After(s.now()) && (own || l.Repository != "" && may(l.Repository)) {
			return true, nil
		}
	}
	references, err := s.reg.References(ctx, b.SHA256, mostReached)
	if err != nil {
		return false, registryError("look up references of "+d.String(), err)
	}
	for _, r := range references {
		if may(resourceOf(r.Package)) {
			return true, nil
		}
	}
	return false, nil
}

// resourceOf is a package as one that somebody may read or not.
func resourceOf(p registry.Package) string {
	if p.Format == registry.FormatOCI {
		return p.Name
	}
	return p.Producer + "/" + p.Name
}
