package cas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// Manifest is a manifest on its way into a repository.
type Manifest struct {
	Body   []byte // the exact bytes
	OCI    registry.OCI
	Refers []Reference // what must be visible in the repository
	Tags   []string    // names it gets
}

// Reference is what a manifest needs.
type Reference struct {
	Digest     digest.Digest
	Size       int64 // bytes, as the manifest says
	IsManifest bool  // a manifest of the repository, not a blob
}

// PushManifest stores a manifest in a repository and gives it its tags. Its
// bytes are a blob; it is recorded as a sealed package whose files are the blobs
// it names, and the package, its references and its tags are one transaction:
// the references' constraints are why nothing it names can be collected in
// between. What its class and producer route to another backend than it is on is
// copied there first.
//
// Errors: *MissingError with all that is missing, *ReferenceSizeError,
// *MediaTypeError, ErrWouldReplace, and those of [Store.Put].
func (s *Store) PushManifest(ctx context.Context, m Manifest, o PutOptions) (Stored, error) {
	blobs, err := s.references(ctx, o.Repository, m.Refers)
	if err != nil {
		return Stored{}, err
	}
	if err := s.bringAll(ctx, blobs, o); err != nil {
		return Stored{}, err
	}
	o.Size = int64(len(m.Body))
	p, err := s.newPut(o)
	if err != nil {
		return Stored{}, err
	}
	defer p.hash.Release()
	p.replaces = func(ctx context.Context, id digest.Identity) error { return s.moves(ctx, o.Repository, m.Tags, id) }
	looked := true
	p.record = func(ctx context.Context, id digest.Identity) (_ []registry.Data, err error) {
		if !looked { // something has changed since: perhaps what the manifest names
			if blobs, err = s.references(ctx, o.Repository, m.Refers); err != nil {
				return nil, err
			}
		}
		looked = false
		return p.recordManifest(ctx, id, m, filesOf(blobs))
	}
	return p.run(ctx, bytes.NewReader(m.Body))
}

// references finds what a manifest names, each blob once, in the order of their paths.
func (s *Store) references(ctx context.Context, repository string, list []Reference) ([]registry.Blob, error) {
	found := map[Reference]registry.Blob{}
	blobs := map[string]registry.Blob{}
	var missing []digest.Digest
	for _, ref := range list {
		what := Reference{Digest: ref.Digest, IsManifest: ref.IsManifest}
		b, looked := found[what]
		if !looked {
			var err error
			b, err = s.reference(ctx, repository, what)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				missing = append(missing, ref.Digest)
			case err != nil:
				return nil, registryError("look up "+ref.Digest.String(), err)
			}
			found[what] = b
		}
		if b.SHA256.IsZero() {
			continue
		}
		if b.Size != ref.Size {
			return nil, &ReferenceSizeError{Blob: ref.Digest, Want: ref.Size, Got: b.Size}
		}
		blobs[referencePath(b.SHA256)] = b
	}
	if len(missing) > 0 {
		return nil, &MissingError{Digests: missing}
	}
	all := make([]registry.Blob, 0, len(blobs))
	for _, path := range slices.Sorted(maps.Keys(blobs)) {
		all = append(all, blobs[path])
	}
	return all, nil
}

// filesOf are the files of a manifest's package.
func filesOf(blobs []registry.Blob) []registry.File {
	files := make([]registry.File, len(blobs))
	for i, b := range blobs {
		files[i] = registry.File{Path: referencePath(b.SHA256), Blob: b.SHA256}
	}
	return files
}

// referencePath is where an OCI image layout has a blob (image-spec
// image-layout.md).
func referencePath(d digest.Digest) string { return "blobs/" + d.Algorithm().String() + "/" + d.Hex() }

// reference finds what a manifest names. What has no readable location is
// missing: pushed again, it heals.
func (s *Store) reference(ctx context.Context, repository string, ref Reference) (b registry.Blob, err error) {
	if ref.IsManifest {
		_, b, err = s.reg.ManifestByDigest(ctx, repository, ref.Digest)
	} else {
		b, err = s.reg.BlobIn(ctx, repository, ref.Digest, s.now())
	}
	if err == nil && readable(b) == "" {
		err = fs.ErrNotExist
	}
	if err != nil {
		return registry.Blob{}, err
	}
	return b, nil
}

// moves returns ErrWouldReplace where one of the tags names another manifest.
func (s *Store) moves(ctx context.Context, repository string, tags []string, id digest.Identity) error {
	for _, name := range tags {
		t, _, _, err := s.reg.ManifestByTag(ctx, repository, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return registryError("look up "+repository+":"+name, err)
		case t.Manifest != id.SHA256:
			return fmt.Errorf("%s:%s: %w", repository, name, ErrWouldReplace)
		}
	}
	return nil
}

// recordManifest returns what the log has to say besides the blob: the package,
// or that it was pushed again, and the tags.
func (p *put) recordManifest(ctx context.Context, id digest.Identity, m Manifest, files []registry.File) ([]registry.Data, error) {
	k := registry.PackageKey{Producer: p.Producer, Name: p.Repository, Version: id.SHA256.String()}
	var all []registry.Data
	was, err := p.reg.Package(ctx, k)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		all = append(all, registry.PackageCreated{
			Package: k, Format: registry.FormatOCI, RetentionClass: p.RetentionClass,
			Files: files, OCI: &m.OCI, Manifest: id.SHA256,
		})
	case err != nil:
		return nil, registryError("look up "+k.String(), err)
	case was.OCI.MediaType != m.OCI.MediaType: // bytes that do not say what they are
		return nil, &MediaTypeError{Manifest: id.SHA256, Want: was.OCI.MediaType, Got: m.OCI.MediaType}
	default: // its time starts anew, by the class that keeps longer
		class := p.RetentionClass
		if p.policy.shorter(class, was.RetentionClass) {
			class = was.RetentionClass
		}
		all = append(all, registry.PackageRenewed{Package: k, RetentionClass: class, Was: was.RetentionClass})
	}
	for _, t := range m.Tags {
		all = append(all, registry.TagSet{Repository: p.Repository, Tag: t, Manifest: id.SHA256, Named: m.OCI.Named, New: p.CreateOnly})
	}
	return all, nil
}

// MissingError says that a manifest names what its repository does not have.
type MissingError struct{ Digests []digest.Digest }

// Error names what is missing.
func (e *MissingError) Error() string {
	var all []string
	for _, d := range e.Digests {
		all = append(all, d.String())
	}
	return "the manifest names what the repository does not have: " + strings.Join(all, ", ")
}

// MediaTypeError says that a manifest was pushed under another media type
// before. It has one, or its readers would not agree on what it is.
type MediaTypeError struct {
	Manifest  digest.Digest
	Want, Got string // the type it has, and the one it came with now
}

// Error names both types.
func (e *MediaTypeError) Error() string {
	return fmt.Sprintf("%s is %s here, not %s", e.Manifest, e.Want, e.Got)
}

// ReferenceSizeError says that a manifest is wrong about the size of a blob.
type ReferenceSizeError struct {
	Blob      digest.Digest
	Want, Got int64 // bytes: in the manifest, and stored
}

// Error names both sizes.
func (e *ReferenceSizeError) Error() string {
	return fmt.Sprintf("the manifest says that %s has %d bytes; it has %d", e.Blob, e.Want, e.Got)
}
