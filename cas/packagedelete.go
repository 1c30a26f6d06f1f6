package cas

import (
	"context"
	"errors"
	"fmt"

	"artifactstore/registry"
)

// DeletePackage removes a package and, with it, what it keeps of its files and of
// its manifest. One that a hold keeps is ErrPackageHeld.
func (s *Store) DeletePackage(ctx context.Context, k PackageKey, principal string) error {
	if _, err := s.Package(ctx, k); err != nil {
		return err
	}
	err := s.append(ctx, event(principal, registry.PackageDeleted{Package: k}))
	if !errors.Is(err, registry.ErrConflict) {
		return registryError("delete "+k.String(), err)
	}
	if _, err := s.Package(ctx, k); err != nil { // deleted meanwhile
		return err
	}
	return fmt.Errorf("%s: %w", k, ErrPackageHeld)
}
