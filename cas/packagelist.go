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

// user returns a package that needs a blob.
func (s *Store) user(ctx context.Context, b registry.Blob) (k PackageKey, err error) {
	references, err := s.reg.References(ctx, b.SHA256, 1)
	for _, ref := range references {
		k = ref.PackageKey
	}
	return k, registryError("look up references of "+b.SHA256.String(), err)
}
