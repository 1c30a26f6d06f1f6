package cas

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// A repository is a name under which manifests and blobs are visible: to its
// readers, what it does not show does not exist.

// OpenIn opens a blob that a repository shows, as [Store.Open] does.
func (s *Store) OpenIn(ctx context.Context, repository string, d digest.Digest) (*Blob, error) {
	b, err := s.lookUpIn(ctx, repository, d)
	if err != nil {
		return nil, err
	}
	return s.reader(ctx, b)
}

func (s *Store) lookUpIn(ctx context.Context, repository string, d digest.Digest) (registry.Blob, error) {
	b, err := s.reg.BlobIn(ctx, repository, d, s.now())
	if errors.Is(err, fs.ErrNotExist) {
		return b, fmt.Errorf("%s in %s: %w", d, repository, ErrBlobUnknown)
	}
	return b, registryError("look up "+d.String(), err)
}

// Mount makes a blob that one repository shows visible in another, without
// moving bytes; with from "" one that anything keeps and who asks may know. Where it cannot be read at
// the moment, or is not shown, it is ErrBlobUnknown: pushing it heals.
func (s *Store) Mount(ctx context.Context, from string, d digest.Digest, o PutOptions) (Stored, error) {
	class, until, err := s.class(o)
	if err != nil {
		return Stored{}, err
	}
	var b registry.Blob
	if from == "" {
		if err := o.mustKnow(ctx, d); err != nil {
			return Stored{}, err
		}
		b, err = s.lookUp(ctx, d)
	} else {
		b, err = s.lookUpIn(ctx, from, d)
	}
	if err != nil {
		return Stored{}, err
	}
	at := readable(b)
	if at == "" {
		return Stored{}, fmt.Errorf("%s: %w", d, ErrBlobUnknown)
	}
	err = s.append(ctx, event(o.Principal, registry.BlobLeased{
		Blob: b.SHA256, Repository: o.Repository, Producer: o.Producer, RetentionClass: class, Until: until,
	}))
	if errors.Is(err, registry.ErrConflict) { // it has failed, or gone, since
		return Stored{}, fmt.Errorf("%s: %w", d, ErrBlobUnknown)
	}
	if err != nil {
		return Stored{}, registryError("mount "+d.String(), err)
	}
	return Stored{Identity: b.Identity, SHA512: b.SHA512, BackendID: at, Existed: true, LeasedUntil: until}, nil
}

// readable returns a backend that has a blob's bytes, "" where none has.
func readable(b registry.Blob) string {
	for _, l := range b.Locations {
		if l.State == registry.Stored {
			return l.BackendID
		}
	}
	return ""
}

// ReleaseIn ends what makes a blob visible in a repository, at once. A blob that
// a manifest of the repository names is *ReferencedError.
func (s *Store) ReleaseIn(ctx context.Context, repository string, d digest.Digest, principal string) error {
	b, err := s.lookUpIn(ctx, repository, d)
	if err != nil {
		return err
	}
	k, err := s.reg.UsedIn(ctx, repository, b.SHA256)
	switch {
	case err == nil:
		return &ReferencedError{Blob: d, By: k.Version}
	case !errors.Is(err, fs.ErrNotExist):
		return registryError("look up references of "+d.String(), err)
	}
	err = s.append(ctx, event(principal, registry.BlobReleased{Blob: b.SHA256, Repository: repository}))
	return registryError("release "+d.String(), err)
}

// OpenManifest is a manifest of a repository opened for reading.
type OpenManifest struct {
	*Blob
	MediaType string
	Name      digest.Digest // the digest that its reader knows it by
}

// ManifestByTag opens the manifest that a tag of a repository names.
func (s *Store) ManifestByTag(ctx context.Context, repository, tag string) (OpenManifest, error) {
	t, p, b, err := s.reg.ManifestByTag(ctx, repository, tag)
	named := t.Named
	if named.IsZero() {
		named = t.Manifest
	}
	return s.openManifest(ctx, repository+":"+tag, named, p, b, err)
}

// ManifestByDigest opens the manifest of a repository with a digest.
func (s *Store) ManifestByDigest(ctx context.Context, repository string, d digest.Digest) (OpenManifest, error) {
	p, b, err := s.reg.ManifestByDigest(ctx, repository, d)
	return s.openManifest(ctx, repository+"@"+d.String(), d, p, b, err)
}

func (s *Store) openManifest(ctx context.Context, name string, named digest.Digest, p Package, b registry.Blob, err error) (OpenManifest, error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return OpenManifest{}, fmt.Errorf("%s: %w", name, ErrManifestUnknown)
	case err != nil:
		return OpenManifest{}, registryError("look up "+name, err)
	}
	r, err := s.reader(ctx, b)
	if errors.Is(err, ErrBlobUnavailable) { // pushed again, it heals
		err = fmt.Errorf("%s: %w: %w", name, ErrManifestUnknown, err)
	}
	return OpenManifest{r, p.OCI.MediaType, named}, err
}

// ErrManifestHeld means that a manifest is under a hold and stays.
var ErrManifestHeld = errors.New("manifest is held")

// DeleteManifest removes a manifest of a repository and the tags that name it.
// One that is held is ErrManifestHeld.
func (s *Store) DeleteManifest(ctx context.Context, repository string, d digest.Digest, principal string) error {
	name := repository + "@" + d.String()
	p, _, err := s.reg.ManifestByDigest(ctx, repository, d)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", name, ErrManifestUnknown)
	}
	if err != nil {
		return registryError("look up "+name, err)
	}
	err = s.append(ctx, event(principal, registry.PackageDeleted{Package: p.PackageKey}))
	if !errors.Is(err, registry.ErrConflict) {
		return registryError("delete "+name, err)
	}
	_, err = s.reg.Package(ctx, p.PackageKey) // deleted meanwhile, or not to be deleted
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", name, ErrManifestUnknown)
	case err != nil:
		return registryError("look up "+name, err)
	}
	return fmt.Errorf("%s: %w", name, ErrManifestHeld)
}

// DeleteTag removes a tag of a repository; the manifest stays.
func (s *Store) DeleteTag(ctx context.Context, repository, tag, principal string) error {
	err := s.append(ctx, event(principal, registry.TagRemoved{Repository: repository, Tag: tag}))
	if errors.Is(err, registry.ErrConflict) {
		return fmt.Errorf("%s:%s: %w", repository, tag, ErrManifestUnknown)
	}
	return registryError("remove tag "+repository+":"+tag, err)
}

// HasRepository reports whether a repository shows anything.
func (s *Store) HasRepository(ctx context.Context, repository string) (bool, error) {
	has, err := s.reg.HasRepository(ctx, repository, s.now())
	return has, registryError("look up "+repository, err)
}

// Tags yields the names of a repository's tags that sort after a name.
func (s *Store) Tags(ctx context.Context, repository, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for t, err := range s.reg.Tags(ctx, repository, after) {
			if !yield(t.Name, registryError("list tags of "+repository, err)) {
				return
			}
		}
	}
}

// Repositories yields the names of the repositories that have manifests and sort
// after a name.
func (s *Store) Repositories(ctx context.Context, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for name, err := range s.reg.Repositories(ctx, after) {
			if !yield(name, registryError("list repositories", err)) {
				return
			}
		}
	}
}

// Referrers yields the manifests of a repository whose subject is the one with a
// digest, which need not exist, in order of their digests after a given one.
// Where the repository shows the subject it is found by any of its digests.
func (s *Store) Referrers(ctx context.Context, repository string, subject digest.Digest, artifactType, after string) iter.Seq2[Referrer, error] {
	return func(yield func(Referrer, error) bool) {
		subjects := []string{subject.String()}
		b, err := s.reg.BlobIn(ctx, repository, subject, s.now())
		switch {
		case err == nil:
			subjects = names(b)
		case !errors.Is(err, fs.ErrNotExist):
			yield(Referrer{}, registryError("look up "+subject.String(), err))
			return
		}
		for r, err := range s.reg.Referrers(ctx, repository, subjects, artifactType, after) {
			if !yield(r, registryError("list referrers of "+subject.String(), err)) {
				return
			}
		}
	}
}

// names are all digests of a blob.
func names(b registry.Blob) []string {
	all := []string{b.SHA256.String(), b.BLAKE3.String()}
	if !b.SHA512.IsZero() {
		all = append(all, b.SHA512.String())
	}
	return all
}
