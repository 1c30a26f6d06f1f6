package registry

import "artifactstore/cas/digest"

// The event types of packages.
const (
	TypePackageCreated     = "v1.package.created"
	TypePackageFileAdded   = "v1.package.file_added"
	TypePackageFileRemoved = "v1.package.file_removed"
	TypePackageSealed      = "v1.package.sealed"
	TypePackageRenewed     = "v1.package.renewed"
	TypePackageDeleted     = "v1.package.deleted"
)

// PackageCreated says that a package exists, with the files it is born with. One
// of [FormatFiles] is open; one of [FormatOCI] is sealed, with its manifest and
// all that the manifest names. One that exists is refused, and so is a file or a
// manifest whose blob has no stored location. Its files and its manifest are
// references from then on.
type PackageCreated struct {
	Package        PackageKey        `json:"package" cbor:"package"`
	Format         Format            `json:"format" cbor:"format"`
	RetentionClass string            `json:"retention_class" cbor:"retention_class"`
	Labels         map[string]string `json:"labels,omitempty" cbor:"labels,omitempty"`
	Files          []File            `json:"files,omitempty" cbor:"files,omitempty"`     // by path, byte order, no path twice
	OCI            *OCI              `json:"oci,omitempty" cbor:"oci,omitempty"`         // with FormatOCI
	Manifest       digest.Digest     `json:"manifest,omitzero" cbor:"manifest,omitzero"` // with FormatOCI; primary
}

// PackageFileAdded puts a file into an open package, in place of the one that
// was at the path; a new one only where no other blob is. The blob must have a stored
// location.
type PackageFileAdded struct {
	Package PackageKey    `json:"package" cbor:"package"`
	Path    string        `json:"path" cbor:"path"`
	Blob    digest.Digest `json:"blob" cbor:"blob"`
	New     bool          `json:"new,omitempty" cbor:"new,omitempty"`
}

// PackageFileRemoved takes a file, which must be there, out of an open package.
type PackageFileRemoved struct {
	Package PackageKey `json:"package" cbor:"package"`
	Path    string     `json:"path" cbor:"path"`
}

// PackageSealed ends changes to an open package. Its revision must be the given
// one: the manifest says what the files were then. The manifest, which must
// have a stored location, is from then on a reference of the package too.
type PackageSealed struct {
	Package  PackageKey    `json:"package" cbor:"package"`
	Manifest digest.Digest `json:"manifest" cbor:"manifest"`
	Revision int64         `json:"revision" cbor:"revision"`
}

// PackageRenewed gives a package, which must exist, a class and starts its time
// anew: it was pushed again, or is to be kept otherwise. Where Was is said, its
// class must be that one: who allowed the change has compared the two.
type PackageRenewed struct {
	Package        PackageKey `json:"package" cbor:"package"`
	RetentionClass string     `json:"retention_class" cbor:"retention_class"`
	Was            string     `json:"was,omitempty" cbor:"was,omitempty"`
}

// PackageDeleted removes a package, which must exist and not be held, with its
// files' and its manifest's references and, of a repository, the tags that name
// it. That another package has its manifest as a file does not matter: the blob stays.
type PackageDeleted struct {
	Package PackageKey `json:"package" cbor:"package"`
}

// Type returns the event's type.
func (PackageCreated) Type() string     { return TypePackageCreated }
func (PackageFileAdded) Type() string   { return TypePackageFileAdded }
func (PackageFileRemoved) Type() string { return TypePackageFileRemoved }
func (PackageSealed) Type() string      { return TypePackageSealed }
func (PackageRenewed) Type() string     { return TypePackageRenewed }
func (PackageDeleted) Type() string     { return TypePackageDeleted }

// Subject returns the package, as [PackageKey.String] writes it.
func (d PackageCreated) Subject() string     { return d.Package.String() }
func (d PackageFileAdded) Subject() string   { return d.Package.String() }
func (d PackageFileRemoved) Subject() string { return d.Package.String() }
func (d PackageSealed) Subject() string      { return d.Package.String() }
func (d PackageRenewed) Subject() string     { return d.Package.String() }
func (d PackageDeleted) Subject() string     { return d.Package.String() }
