package cas

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"time"

	"artifactstore/registry"
)

// A package is a producer, a name and a version with files by path. It is open
// while files come and go, and sealed with a manifest from then on.
//
//	PutFile     the bytes as in Put, and the file in the same transaction
//	AttachFile  look-up, a copy where the route wants one, and the file
//	Seal        files read → manifest stored → sealed, if nothing changed meanwhile

// PackageOptions say who makes a package, and how it is to be kept.
type PackageOptions struct {
	Principal      string
	RetentionClass string            // "" is the default class, or the one it has
	Labels         map[string]string // nil is none, or those it has
	Shorten        bool              // it may get a class that keeps for less time
}

// CreatePackage makes an open package, or confirms one that is there, open or
// sealed. What the options leave out is not compared. Another class renews the
// package: its time starts anew. One that keeps for less time is ErrClassShorter
// unless the options allow it, and other labels are ErrPackageExists.
func (s *Store) CreatePackage(ctx context.Context, k PackageKey, o PackageOptions) (p Package, created bool, err error) {
	class, _, err := s.policy.class(o.RetentionClass, s.now())
	if err != nil {
		return p, false, err
	}
	for range settleTries {
		p, err = s.Package(ctx, k)
		switch {
		case err == nil && o.Labels != nil && !maps.Equal(p.Labels, o.Labels):
			return p, false, fmt.Errorf("%s: %w", k, ErrPackageExists)
		case err == nil && (o.RetentionClass == "" || p.RetentionClass == class):
			return p, created, nil
		case err == nil:
			if err := s.renew(ctx, p, class, o); err != nil {
				return p, false, err
			}
			continue
		case !errors.Is(err, ErrPackageUnknown):
			return p, false, err
		}
		err = s.append(ctx, event(o.Principal, registry.PackageCreated{
			Package: k, Format: registry.FormatFiles, RetentionClass: class, Labels: o.Labels,
		}))
		if created = err == nil; err != nil && !errors.Is(err, registry.ErrConflict) {
			return p, false, registryError("create "+k.String(), err)
		}
	}
	return p, false, changing(k)
}

// changing gives up on a package that others change faster than we can look.
func changing(k PackageKey) error {
	return fmt.Errorf("%s: %w: it keeps changing", k, ErrRegistryUnavailable)
}

// Package returns a package; an unknown one is ErrPackageUnknown.
func (s *Store) Package(ctx context.Context, k PackageKey) (Package, error) {
	p, err := s.reg.Package(ctx, k)
	if errors.Is(err, fs.ErrNotExist) {
		return p, fmt.Errorf("%s: %w", k, ErrPackageUnknown)
	}
	return p, registryError("look up "+k.String(), err)
}

// openPackage returns a package that can still change.
func (s *Store) openPackage(ctx context.Context, k PackageKey) (Package, error) {
	p, err := s.Package(ctx, k)
	if err == nil && p.State == registry.Sealed {
		err = fmt.Errorf("%s: %w", k, ErrPackageSealed)
	}
	return p, err
}

// PackageFile is a file of a package with what the store knows of its bytes.
type PackageFile struct {
	Path string
	registry.Blob
}

// Files yields the files of a package after a path, in byte order.
func (s *Store) Files(ctx context.Context, k PackageKey, after string) iter.Seq2[PackageFile, error] {
	return func(yield func(PackageFile, error) bool) {
		for f, err := range s.reg.Files(ctx, k, after) {
			if !yield(PackageFile(f), registryError("read files of "+k.String(), err)) || err != nil {
				return
			}
		}
	}
}

// OpenListed opens a file that [Store.Files] has yielded, as [Store.Open] does.
func (s *Store) OpenListed(ctx context.Context, f PackageFile) (*Blob, error) {
	return s.reader(ctx, f.Blob)
}

// StoredOn returns the ids of the backends that hold the file's bytes.
func (f PackageFile) StoredOn() []string {
	ids := []string{}
	for _, l := range f.Locations {
		if l.State == registry.Stored {
			ids = append(ids, l.BackendID)
		}
	}
	return ids
}

// Expires returns when a package has been kept as long as its class says, counted
// from its last change, and [Forever] where the class has no end or is no longer
// configured.
func (s *Store) Expires(p Package) time.Time {
	_, until, err := s.policy.class(p.RetentionClass, p.ChangedAt)
	if err != nil {
		return Forever
	}
	return until
}

// file returns the file at a path; ErrFileUnknown where there is none.
func (s *Store) file(ctx context.Context, k PackageKey, path string) (registry.File, error) {
	f, err := s.reg.File(ctx, k, path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, fmt.Errorf("%s of %s: %w", path, k, ErrFileUnknown)
	}
	return f, registryError("look up "+path+" of "+k.String(), err)
}

// OpenFile opens a file of a package, as [Store.Open] does.
func (s *Store) OpenFile(ctx context.Context, k PackageKey, path string) (*Blob, error) {
	f, err := s.file(ctx, k, path)
	if err != nil {
		if _, unknown := s.Package(ctx, k); unknown != nil {
			return nil, unknown
		}
		return nil, err
	}
	b, err := s.reg.Blob(ctx, f.Blob)
	if err != nil {
		return nil, registryError("look up "+f.Blob.String(), err)
	}
	return s.reader(ctx, b)
}
