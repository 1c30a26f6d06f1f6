package cas

import (
	"context"

	"artifactstore/registry"
)

// ListPackages returns at most limit packages that pass a filter and whose keys
// sort after a key (the zero key: from the start), in the order of keys. Next is
// where to go on, zero at the end: a page may be short, or empty, and yet not be
// the last.
func (s *Store) ListPackages(ctx context.Context, f PackageFilter, after PackageKey, limit int) (page []Package, next PackageKey, err error) {
	page, next, err = s.reg.ListPackages(ctx, f, after, limit)
	return page, next, registryError("list packages", err)
}

// mostUsers bounds among how many packages one is looked for that may be named.
const mostUsers = 10_000

// user returns a package that needs a blob, of those that somebody may know (nil: all).
func (s *Store) user(ctx context.Context, b registry.Blob, may func(resource string) bool) (k PackageKey, found bool, err error) {
	limit := 1
	if may != nil {
		limit = mostUsers
	}
	references, err := s.reg.References(ctx, b.SHA256, limit)
	if err != nil {
		return k, false, registryError("look up references of "+b.SHA256.String(), err)
	}
	for _, ref := range references {
		if may == nil || may(ref.Resource()) {
			return ref.PackageKey, true, nil
		}
	}
	return k, may == nil, nil
}
