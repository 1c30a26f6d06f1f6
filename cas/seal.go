package cas

import (
	"bytes"
	"context"
	"errors"

	"artifactstore/cas/digest"
	"artifactstore/cas/manifest"
	"artifactstore/registry"
)

// Seal ends changes to a package and returns the digest of its manifest, which
// is stored as a blob where the package's bytes are. Sealing a sealed package
// gives the same digest. A file written meanwhile is either in the manifest, or
// refused: the package is sealed only as it was read.
func (s *Store) Seal(ctx context.Context, k PackageKey, principal string) (digest.Digest, error) {
	for range settleTries {
		p, err := s.Package(ctx, k)
		if err != nil {
			return digest.Digest{}, err
		}
		if p.State == registry.Sealed {
			return p.Manifest, nil
		}
		stored, err := s.sealAs(ctx, p, principal)
		if !errors.Is(err, errChanged) {
			return stored.SHA256, err
		}
	}
	return digest.Digest{}, changing(k)
}

// errChanged means that a package is no longer as it was read.
var errChanged = errors.New("the package has changed")

// sealAs seals a package as it was read.
func (s *Store) sealAs(ctx context.Context, p Package, principal string) (Stored, error) {
	text, err := s.manifestOf(ctx, p)
	if err != nil {
		return Stored{}, err
	}
	w, err := s.newPut(PutOptions{Principal: principal, Producer: p.Producer, RetentionClass: p.RetentionClass, Size: int64(len(text))})
	if err != nil {
		return Stored{}, err
	}
	defer w.hash.Release()
	w.record = func(ctx context.Context, id digest.Identity) ([]registry.Data, error) {
		now, err := s.Package(ctx, p.PackageKey)
		if err != nil {
			return nil, err
		}
		if now.Revision != p.Revision || now.State == registry.Sealed {
			return nil, errChanged
		}
		return []registry.Data{registry.PackageSealed{Package: p.PackageKey, Manifest: id.SHA256, Revision: p.Revision}}, nil
	}
	return w.run(ctx, bytes.NewReader(text))
}

func (s *Store) manifestOf(ctx context.Context, p Package) ([]byte, error) {
	m := manifest.Manifest{Producer: p.Producer, Name: p.Name, Version: p.Version, Class: p.RetentionClass, Labels: p.Labels}
	for f, err := range s.Files(ctx, p.PackageKey, "") {
		if err != nil {
			return nil, err
		}
		m.Files = append(m.Files, manifest.File{Path: f.Path, Size: f.Size, SHA256: f.SHA256, BLAKE3: f.BLAKE3})
	}
	return manifest.Encode(m)
}
