package registry

import "time"

// The event types of holds and of expiry.
const (
	TypePackageHeld     = "v1.package.held"
	TypePackageReleased = "v1.package.released"
	TypePackageExpired  = "v1.package.expired"
)

// PackageHeld puts a package, which must exist and not be held under this name,
// under a hold, with all that it covers: an index is nothing without what it
// names. What is held neither expires nor can be deleted. What is covered must
// exist; it is held until the package is released, whatever else holds it.
type PackageHeld struct {
	Package PackageKey   `json:"package" cbor:"package"`
	Hold    string       `json:"hold" cbor:"hold"`
	Covers  []PackageKey `json:"covers,omitempty" cbor:"covers,omitempty"` // in the order of keys, none twice, not the package itself
}

// PackageReleased ends a hold on a package, which must be held under this name by
// an event of its own, and with it what the hold covers.
type PackageReleased struct {
	Package PackageKey `json:"package" cbor:"package"`
	Hold    string     `json:"hold" cbor:"hold"`
}

// PackageExpired removes a package whose time has passed, as [PackageDeleted]
// does. Its revision must be the given one, so that a renewal in between wins;
// it must not be held, and no other package of its repository may have its
// manifest as a file. How long a class lasts is configuration, and not checked.
type PackageExpired struct {
	Package        PackageKey `json:"package" cbor:"package"`
	Revision       int64      `json:"revision" cbor:"revision"`
	RetentionClass string     `json:"retention_class" cbor:"retention_class"` // whose time has passed
}

// Type returns the event's type.
func (PackageHeld) Type() string     { return TypePackageHeld }
func (PackageReleased) Type() string { return TypePackageReleased }
func (PackageExpired) Type() string  { return TypePackageExpired }

// Subject returns the package, as [PackageKey.String] writes it.
func (d PackageHeld) Subject() string     { return d.Package.String() }
func (d PackageReleased) Subject() string { return d.Package.String() }
func (d PackageExpired) Subject() string  { return d.Package.String() }

// Hold is why a package neither expires nor can be deleted.
type Hold struct {
	Name string
	Root PackageKey // the package that was put under it: this one, or one that covers it
	By   string     // the actor
	At   time.Time
}
