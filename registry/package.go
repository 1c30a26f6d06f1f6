package registry

import (
	"context"
	"iter"
	"time"

	"artifactstore/cas/digest"
)

// PackageKey names a package. A package of [FormatOCI] is a manifest: its name is
// the repository, its producer the repository's first segment, its version the
// manifest's primary digest.
type PackageKey struct {
	Producer string `json:"producer" cbor:"producer"`
	Name     string `json:"name" cbor:"name"`
	Version  string `json:"version" cbor:"version"`
}

// String returns "producer/name/version".
func (k PackageKey) String() string { return k.Producer + "/" + k.Name + "/" + k.Version }

// Format is how a package came and is shown.
type Format string

// The formats of a package.
const (
	FormatFiles Format = "files" // files by path, over the plain face
	FormatOCI   Format = "oci"   // an OCI manifest and what it names
)

// File is a path of a package and the blob behind it: a reference, which keeps
// the blob.
type File struct {
	Path string        `json:"path" cbor:"path"`
	Blob digest.Digest `json:"blob" cbor:"blob"` // primary
}

// OCI is what a package of [FormatOCI] says of its manifest, so that listing
// needs no manifest read.
type OCI struct {
	MediaType    string            `json:"media_type" cbor:"media_type"`
	ArtifactType string            `json:"artifact_type,omitempty" cbor:"artifact_type,omitempty"`
	Subject      string            `json:"subject,omitempty" cbor:"subject,omitempty"` // digest as the manifest writes it
	Named        digest.Digest     `json:"named,omitzero" cbor:"named,omitzero"`       // the digest it was pushed by, where not the primary one
	Annotations  map[string]string `json:"annotations,omitempty" cbor:"annotations,omitempty"`
}

// The event types of packages and tags.
const (
	TypePackageCreated     = "v1.package.created"
	TypePackageFileAdded   = "v1.package.file_added"
	TypePackageFileRemoved = "v1.package.file_removed"
	TypePackageSealed      = "v1.package.sealed"
	TypePackageDeleted     = "v1.package.deleted"
	TypeTagSet             = "v1.tag.set"
	TypeTagRemoved         = "v1.tag.removed"
)

// PackageCreated says that a package exists, open, with the files it is born
// with. One that exists is refused, and so is a file whose blob does not exist.
type PackageCreated struct {
	Package        PackageKey        `json:"package" cbor:"package"`
	Format         Format            `json:"format" cbor:"format"`
	RetentionClass string            `json:"retention_class" cbor:"retention_class"`
	Labels         map[string]string `json:"labels,omitempty" cbor:"labels,omitempty"`
	Files          []File            `json:"files,omitempty" cbor:"files,omitempty"` // by path, byte order, no path twice
	OCI            *OCI              `json:"oci,omitempty" cbor:"oci,omitempty"`     // with FormatOCI
}

// PackageFileAdded puts a file into an open package, in place of the one that
// was at the path. The blob must exist.
type PackageFileAdded struct {
	Package PackageKey    `json:"package" cbor:"package"`
	Path    string        `json:"path" cbor:"path"`
	Blob    digest.Digest `json:"blob" cbor:"blob"`
}

// PackageFileRemoved takes a file, which must be there, out of an open package.
type PackageFileRemoved struct {
	Package PackageKey `json:"package" cbor:"package"`
	Path    string     `json:"path" cbor:"path"`
}

// PackageSealed ends changes to an open package. The manifest, which must exist
// as a blob, is from then on a reference of the package too.
type PackageSealed struct {
	Package  PackageKey    `json:"package" cbor:"package"`
	Manifest digest.Digest `json:"manifest" cbor:"manifest"`
}

// PackageDeleted removes a package, which must exist, with its files' references
// and, of a repository, the tags that name it.
type PackageDeleted struct {
	Package PackageKey `json:"package" cbor:"package"`
}

// TagSet makes a tag of a repository name a manifest, whatever it named before.
// The manifest must be a sealed package of the repository.
type TagSet struct {
	Repository string        `json:"repository" cbor:"repository"`
	Tag        string        `json:"tag" cbor:"tag"`
	Manifest   digest.Digest `json:"manifest" cbor:"manifest"`             // primary
	Named      digest.Digest `json:"named,omitzero" cbor:"named,omitzero"` // the digest it was pushed by, where not the primary one
}

// TagRemoved removes a tag, which must exist. The manifest stays.
type TagRemoved struct {
	Repository string `json:"repository" cbor:"repository"`
	Tag        string `json:"tag" cbor:"tag"`
}

// Type returns the event's type.
func (PackageCreated) Type() string     { return TypePackageCreated }
func (PackageFileAdded) Type() string   { return TypePackageFileAdded }
func (PackageFileRemoved) Type() string { return TypePackageFileRemoved }
func (PackageSealed) Type() string      { return TypePackageSealed }
func (PackageDeleted) Type() string     { return TypePackageDeleted }
func (TagSet) Type() string             { return TypeTagSet }
func (TagRemoved) Type() string         { return TypeTagRemoved }

// Subject returns the package, or the tag as "repository:tag".
func (d PackageCreated) Subject() string     { return d.Package.String() }
func (d PackageFileAdded) Subject() string   { return d.Package.String() }
func (d PackageFileRemoved) Subject() string { return d.Package.String() }
func (d PackageSealed) Subject() string      { return d.Package.String() }
func (d PackageDeleted) Subject() string     { return d.Package.String() }
func (d TagSet) Subject() string             { return d.Repository + ":" + d.Tag }
func (d TagRemoved) Subject() string         { return d.Repository + ":" + d.Tag }

// PackageState is whether a package can still change.
type PackageState string

// The states of a package.
const (
	Open   PackageState = "open"
	Sealed PackageState = "sealed"
)

// Package is a row of the packages view.
type Package struct {
	PackageKey
	Format         Format
	State          PackageState
	RetentionClass string
	Labels         map[string]string
	OCI            *OCI
	Manifest       digest.Digest // primary; zero while open
	CreatedAt      time.Time
	ChangedAt      time.Time // of the last event that changed it; of a sealed one, when it was sealed
}

// Tag is a row of the tags view.
type Tag struct {
	Name     string
	Manifest digest.Digest // primary
	Named    digest.Digest // the digest it was pushed by, where not the primary one
	SetAt    time.Time
}

// Packages answers from the views of packages, references and tags.
//
// A blob is visible in a repository while a lease of the repository ([BlobLeased]
// with Repository set) lasts beyond now, or a package of the repository has it
// as a file or as its manifest.
type Packages interface {
	// BlobIn finds a blob by any of its digests where it is visible in a
	// repository at a time, and is fs.ErrNotExist otherwise.
	BlobIn(ctx context.Context, repository string, d digest.Digest, now time.Time) (Blob, error)

	// Package returns a package; an unknown one is fs.ErrNotExist.
	Package(ctx context.Context, k PackageKey) (Package, error)
	// Files yields the files of a package whose paths sort after a path ("" from
	// the start), in byte order. It yields nothing for an unknown package.
	Files(ctx context.Context, k PackageKey, after string) iter.Seq2[File, error]
	// UsedIn returns one package of a repository that has a blob as a file or as its
	// manifest, and fs.ErrNotExist where none has.
	UsedIn(ctx context.Context, repository string, blob digest.Digest) (PackageKey, error)

	// ManifestByTag returns the package that a tag of a repository names, with the
	// manifest's blob; an unknown tag or repository is fs.ErrNotExist.
	ManifestByTag(ctx context.Context, repository, tag string) (Tag, Package, Blob, error)
	// ManifestByDigest returns the sealed package of a repository whose manifest has
	// a digest, of any algorithm, with the manifest's blob; fs.ErrNotExist where there is none.
	ManifestByDigest(ctx context.Context, repository string, d digest.Digest) (Package, Blob, error)
	// Tags yields the tags of a repository whose names sort after a name, in byte order.
	Tags(ctx context.Context, repository, after string) iter.Seq2[Tag, error]
	// Repositories yields the names of the repositories that have a manifest and sort
	// after a name, in byte order. Its cost does not depend on how many manifests they have.
	Repositories(ctx context.Context, after string) iter.Seq2[string, error]
	// HasRepository reports whether a repository has a manifest, or a lease that lasts beyond now.
	HasRepository(ctx context.Context, repository string, now time.Time) (bool, error)
	// Referrers yields the sealed packages of a repository whose subject is written as one of
	// the given texts and whose versions sort after a version, by version in byte order, each
	// with its manifest's blob; with an artifact type, only those of that type.
	Referrers(ctx context.Context, repository string, subjects []string, artifactType, after string) iter.Seq2[Referrer, error]
}

// Referrer is a manifest that names another as its subject.
type Referrer struct {
	Package
	Size int64 // of the manifest, bytes
}
