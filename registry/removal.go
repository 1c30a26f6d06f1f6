package registry

import (
	"time"

	"artifactstore/cas/digest"
)

// The event types of what is removed.
const (
	TypeLocationRemoving = "v1.storage.location_removing"
	TypeLocationRemoved  = "v1.storage.location_removed"
	TypeBlobCollected    = "v1.storage.blob_collected"
)

// Cause is why an object is removed.
type Cause string

// The causes of a removal, with what each demands.
const (
	// Unneeded: the location exists, and its blob is collectable (see [Retention])
	// at the time of the event after a grace of GraceSeconds.
	Unneeded Cause = "unneeded"
	// Moved: the location exists, and the blob has a stored one on another backend.
	Moved Cause = "moved"
	// Orphan: no location of the blob on the backend is known. The blob need not be.
	Orphan Cause = "orphan"
)

// LocationRemoving begins the removal of a blob's object from a backend: from now
// on the location does not exist, and the object may be deleted at any time.
// What its cause demands must be so, and no removal of it may be under way.
type LocationRemoving struct {
	Blob         digest.Digest `json:"blob" cbor:"blob"`
	BackendID    string        `json:"backend_id" cbor:"backend_id"`
	Cause        Cause         `json:"cause" cbor:"cause"`
	GraceSeconds int64         `json:"grace_seconds" cbor:"grace_seconds,omitzero"` // with Unneeded
}

// LocationRemoved ends a removal, which must be under way: the object is gone, and
// no delete that was sent can take one that is written from now on.
type LocationRemoved struct {
	Blob      digest.Digest `json:"blob" cbor:"blob"`
	BackendID string        `json:"backend_id" cbor:"backend_id"`
}

// BlobCollected says that a blob no longer exists, nor its leases, which have all
// ended. No location of it and no removal may be left, and it must be
// collectable (see [Retention]) at the time of the event after the grace. Its
// digests are free again. Size, LeasedUntil and IdleSince are for the reader of the
// log; they are not checked.
type BlobCollected struct {
	Blob         digest.Digest `json:"blob" cbor:"blob"`
	Size         int64         `json:"size" cbor:"size"`
	LeasedUntil  time.Time     `json:"leased_until,omitzero" cbor:"leased_until,omitzero"` // zero without a lease
	IdleSince    time.Time     `json:"idle_since" cbor:"idle_since"`
	GraceSeconds int64         `json:"grace_seconds" cbor:"grace_seconds,omitzero"`
}

// Type returns the event's type.
func (LocationRemoving) Type() string { return TypeLocationRemoving }
func (LocationRemoved) Type() string  { return TypeLocationRemoved }
func (BlobCollected) Type() string    { return TypeBlobCollected }

// Subject returns the primary digest of the blob.
func (d LocationRemoving) Subject() string { return d.Blob.String() }
func (d LocationRemoved) Subject() string  { return d.Blob.String() }
func (d BlobCollected) Subject() string    { return d.Blob.String() }

// Removal is a removal under way.
type Removal struct {
	Blob      digest.Digest // primary
	BackendID string
	Cause     Cause
	Since     time.Time
}

// Idle is a blob that nothing keeps.
type Idle struct {
	Blob
	Since time.Time // the latest of when it was stored, lost its last reference, had a lease released, or a lease ended
}
