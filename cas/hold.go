package cas

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// Holds returns the holds on a package, those on what covers it too.
func (s *Store) Holds(ctx context.Context, k PackageKey) ([]Hold, error) {
	holds, err := s.reg.Holds(ctx, k)
	return holds, registryError("look up holds of "+k.String(), err)
}

// HoldPackage puts a package, and what it is nothing without, under a hold. It
// reports whether the hold is new.
func (s *Store) HoldPackage(ctx context.Context, k PackageKey, hold, principal string) (created bool, err error) {
	for range settleTries {
		p, err := s.Package(ctx, k)
		if err != nil {
			return false, err
		}
		if has, err := s.held(ctx, k, hold); has || err != nil {
			return false, err
		}
		covers, err := s.covers(ctx, p)
		if err != nil {
			return false, err
		}
		err = s.append(ctx, event(principal, registry.PackageHeld{Package: k, Hold: hold, Covers: covers}))
		if !errors.Is(err, registry.ErrConflict) {
			return err == nil, registryError("hold "+k.String(), err)
		}
	}
	return false, changing(k)
}

// held reports whether a package is under a hold of its own.
func (s *Store) held(ctx context.Context, k PackageKey, hold string) (bool, error) {
	holds, err := s.Holds(ctx, k)
	return slices.ContainsFunc(holds, func(h Hold) bool { return h.Root == k && h.Name == hold }), err
}

// ReleasePackage ends a hold on a package, which must be under it by itself;
// otherwise it is ErrHoldUnknown.
func (s *Store) ReleasePackage(ctx context.Context, k PackageKey, hold, principal string) error {
	if _, err := s.Package(ctx, k); err != nil {
		return err
	}
	err := s.append(ctx, event(principal, registry.PackageReleased{Package: k, Hold: hold}))
	if errors.Is(err, registry.ErrConflict) {
		return fmt.Errorf("%s: %w: %s", k, ErrHoldUnknown, hold)
	}
	return registryError("release "+k.String(), err)
}

// covers returns the manifests of the repository that a manifest names, and what
// those name, in the order of keys.
func (s *Store) covers(ctx context.Context, p Package) ([]PackageKey, error) {
	if p.Format != registry.FormatOCI {
		return nil, nil
	}
	seen := map[PackageKey]bool{p.PackageKey: true}
	var all []PackageKey
	for todo := []PackageKey{p.PackageKey}; len(todo) > 0; todo = todo[1:] {
		for f, err := range s.reg.Files(ctx, todo[0], "") {
			if err != nil {
				return nil, registryError("read files of "+todo[0].String(), err)
			}
			child, err := s.child(ctx, p.Name, f.SHA256)
			if err != nil {
				return nil, err
			}
			if child == nil || seen[*child] {
				continue
			}
			seen[*child] = true
			all, todo = append(all, *child), append(todo, *child)
		}
	}
	slices.SortFunc(all, PackageKey.Compare)
	return all, nil
}

func (s *Store) child(ctx context.Context, repository string, blob digest.Digest) (*PackageKey, error) {
	p, _, err := s.reg.ManifestByDigest(ctx, repository, blob)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, registryError("look up "+blob.String(), err)
	}
	return &p.PackageKey, nil
}
