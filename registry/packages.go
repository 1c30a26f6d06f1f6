package registry

import (
	"context"
	"iter"
	"time"

	"artifactstore/cas/digest"
)

// Packages answers from the views of packages, references and tags. What any
// process committed before a call began, the call sees. Lists are read as they
// are walked: the caller stops when it has enough, may append within the loop,
// and going on after the last key it saw misses nothing that was there all the
// time and yields nothing twice. An error is yielded last.
//
// The packages of a repository are those of [FormatOCI] with its name. A blob is
// visible in a repository while a lease of the repository ([BlobLeased] with
// Repository set) ends later than now, or a package of the repository has it
// as a file or as its manifest.
type Packages interface {
	// BlobIn finds a blob by any of its digests where it is visible in a
	// repository at a time, with its locations whatever their states, and is
	// fs.ErrNotExist otherwise.
	BlobIn(ctx context.Context, repository string, d digest.Digest, now time.Time) (Blob, error)

	// Package returns a package; an unknown one is fs.ErrNotExist.
	Package(ctx context.Context, k PackageKey) (Package, error)
	// Files yields the files of a package whose paths sort after a path ("" from
	// the start), in byte order, with their blobs. It yields nothing for an unknown package.
	Files(ctx context.Context, k PackageKey, after string) iter.Seq2[PackageFile, error]
	// File returns the file at a path of a package; fs.ErrNotExist where there is
	// none, or no package.
	File(ctx context.Context, k PackageKey, path string) (File, error)
	// UsedIn returns one package of a repository, any, that has a blob as a file or
	// as its manifest, and fs.ErrNotExist where none has.
	UsedIn(ctx context.Context, repository string, blob digest.Digest) (PackageKey, error)

	// ManifestByTag returns the package that a tag of a repository names, with the
	// manifest's blob; an unknown tag or repository is fs.ErrNotExist.
	ManifestByTag(ctx context.Context, repository, tag string) (Tag, Package, Blob, error)
	// ManifestByDigest returns the package of a repository whose manifest has a
	// digest, of any algorithm, with the manifest's blob; fs.ErrNotExist where there is none.
	ManifestByDigest(ctx context.Context, repository string, d digest.Digest) (Package, Blob, error)
	// Tags yields the tags of a repository whose names sort after a name, in byte order.
	Tags(ctx context.Context, repository, after string) iter.Seq2[Tag, error]
	// Repositories yields the names of the repositories that have a manifest and sort
	// after a name, in byte order. Its cost does not depend on how many manifests they have.
	Repositories(ctx context.Context, after string) iter.Seq2[string, error]
	// HasRepository reports whether a repository has a manifest, or a lease that ends later than now.
	HasRepository(ctx context.Context, repository string, now time.Time) (bool, error)
	// Referrers yields the packages of a repository whose subject is written as one of
	// the given texts and whose versions sort after a version, by version in byte order, each
	// once and with the size of its manifest; with an artifact type, only those of that type.
	Referrers(ctx context.Context, repository string, subjects []string, artifactType, after string) iter.Seq2[Referrer, error]
}
