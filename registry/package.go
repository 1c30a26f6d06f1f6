package registry

import (
	"cmp"
	"strings"
	"time"

	"artifactstore/cas/digest"
)

// PackageKey names a package. A package of [FormatOCI] is a manifest: its name is
// the repository, its producer the repository's first segment, its version the
// manifest's primary digest. In one of [FormatFiles] none of the three has a
// slash and the version no colon, so that the two never meet.
type PackageKey struct {
	Producer string `json:"producer" cbor:"producer"`
	Name     string `json:"name" cbor:"name"`
	Version  string `json:"version" cbor:"version"`
}

// String returns "producer/name/version", or "repository@digest" of a manifest.
func (k PackageKey) String() string {
	if k.isManifest() {
		return k.Name + "@" + k.Version
	}
	return k.Producer + "/" + k.Name + "/" + k.Version
}

// Compare orders keys by producer, then by name, then by version, each in byte
// order.
func (k PackageKey) Compare(other PackageKey) int {
	return cmp.Or(cmp.Compare(k.Producer, other.Producer), cmp.Compare(k.Name, other.Name), cmp.Compare(k.Version, other.Version))
}

func (k PackageKey) isManifest() bool { return strings.Contains(k.Version, ":") }

// manifestKey is the key of a repository's manifest.
func manifestKey(repository string, manifest digest.Digest) PackageKey {
	producer, _, _ := strings.Cut(repository, "/")
	return PackageKey{producer, repository, manifest.String()}
}

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

// PackageFile is a file of a package with the blob behind it.
type PackageFile struct {
	Path string
	Blob
}

// Reference is why a package keeps a blob: a file of it, or its manifest.
type Reference struct {
	Package
	Path  string   // of the file, "" for the manifest
	Holds []string // the names of the holds on the package, in byte order, none twice
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
	OCI            *OCI          // with FormatOCI
	Manifest       digest.Digest // primary; zero while open
	Revision       int64         // 1 when created; each change adds 1
	CreatedAt      time.Time
	ChangedAt      time.Time // of the last change: creation, a file, sealing, a renewal
}

// Tag is a row of the tags view.
type Tag struct {
	Name     string
	Manifest digest.Digest // primary
	Named    digest.Digest // the digest it was pushed by, where not the primary one
	SetAt    time.Time
}

// Referrer is a manifest that names another as its subject.
type Referrer struct {
	Package
	Size int64 // of the manifest, bytes
}
