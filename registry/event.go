package registry

import (
	"time"

	"artifactstore/cas/digest"
)

// Event is one fact on its way into the log.
type Event struct {
	Actor string // the principal on whose behalf it happened
	Data  Data
}

// Record is an event in the log.
type Record struct {
	Position uint64
	Time     time.Time // UTC, whole microseconds
	Event
}

// Data is what an event says. Each implementation is a struct whose fields are
// the "data" of the record, in CBOR and in JSON alike.
type Data interface {
	Type() string    // such as "v1.storage.blob_stored"
	Subject() string // what it is about: the primary digest of the blob, the package, the tag, or the token

	validate() error // wraps ErrRecord; see Validate
}

// The event types, as they stand in the log.
const (
	TypeBlobStored       = "v1.storage.blob_stored"
	TypeBlobLeased       = "v1.storage.blob_leased"
	TypeBlobReleased     = "v1.storage.blob_released"
	TypeLocationRecorded = "v1.storage.location_recorded"
	TypeLocationFailed   = "v1.storage.location_failed"
	TypeLocationRepaired = "v1.storage.location_repaired"
)

// BlobStored says that a blob exists, with its identity. A second one for the
// same blob is refused, unless it adds the SHA-512 that the first did not have
// and agrees in everything else. A BLAKE3 or SHA-512 that is already a digest of
// another blob is refused.
type BlobStored struct {
	SHA256 digest.Digest `json:"sha256" cbor:"sha256"`
	BLAKE3 digest.Digest `json:"blake3" cbor:"blake3"`
	SHA512 digest.Digest `json:"sha512,omitzero" cbor:"sha512,omitzero"`
	Size   int64         `json:"size" cbor:"size"`
}

// LocationRecorded says that the whole blob is durable on a backend. The blob
// must exist and have no location there yet. A removal of it there must neither
// be under way nor, where Seen is not 0, have ended after position Seen, which
// was known before the bytes were committed: its delete may have taken them.
type LocationRecorded struct {
	Blob      digest.Digest `json:"blob" cbor:"blob"`
	BackendID string        `json:"backend_id" cbor:"backend_id"`
	Seen      uint64        `json:"seen,omitzero" cbor:"seen,omitzero"`
}

// LocationFailed says that a stored location no longer has the blob's bytes.
// The location must be stored. Leases are left as they are. Where RecordedAt is
// not zero, it must be the location's: who looked at an object for an hour speaks
// of the bytes that were there when it began, and must not undo a repair that
// came in between.
type LocationFailed struct {
	Blob       digest.Digest `json:"blob" cbor:"blob"`
	BackendID  string        `json:"backend_id" cbor:"backend_id"`
	Reason     Reason        `json:"reason" cbor:"reason"`
	RecordedAt time.Time     `json:"recorded_at,omitzero" cbor:"recorded_at,omitzero"` // whole microseconds, UTC; zero: whatever was written
}

// LocationRepaired says that a failed location has the blob's bytes again. The
// location must be failed; Seen is as in [LocationRecorded].
type LocationRepaired struct {
	Blob      digest.Digest `json:"blob" cbor:"blob"`
	BackendID string        `json:"backend_id" cbor:"backend_id"`
	Source    string        `json:"source" cbor:"source"` // where the bytes came from: "push"
	Seen      uint64        `json:"seen,omitzero" cbor:"seen,omitzero"`
}

// BlobLeased promises its holder that the blob is kept until a time. The holder
// is the repository where one is named, whoever the actor is, and else the
// actor. The blob must have a stored location. A holder has one lease on a blob:
// the promise that ends later holds, with its producer and class; one that ends
// at the same time or earlier is recorded and changes nothing.
type BlobLeased struct {
	Blob           digest.Digest `json:"blob" cbor:"blob"`
	Repository     string        `json:"repository,omitempty" cbor:"repository,omitempty"` // whose lease it is, "" for the actor's
	Producer       string        `json:"producer" cbor:"producer"`
	RetentionClass string        `json:"retention_class" cbor:"retention_class"`
	Until          time.Time     `json:"until" cbor:"until"` // whole microseconds, UTC; Forever is without end
}

// BlobReleased ends the lease of the repository, or without one of the actor, on
// a blob, which must exist. Ending a lease that is not there changes nothing.
type BlobReleased struct {
	Blob       digest.Digest `json:"blob" cbor:"blob"`
	Repository string        `json:"repository,omitempty" cbor:"repository,omitempty"`
}

// Type returns the event's type.
func (BlobStored) Type() string       { return TypeBlobStored }
func (LocationRecorded) Type() string { return TypeLocationRecorded }
func (LocationFailed) Type() string   { return TypeLocationFailed }
func (LocationRepaired) Type() string { return TypeLocationRepaired }
func (BlobLeased) Type() string       { return TypeBlobLeased }
func (BlobReleased) Type() string     { return TypeBlobReleased }

// Subject returns the primary digest of the blob.
func (d BlobStored) Subject() string       { return d.SHA256.String() }
func (d LocationRecorded) Subject() string { return d.Blob.String() }
func (d LocationFailed) Subject() string   { return d.Blob.String() }
func (d LocationRepaired) Subject() string { return d.Blob.String() }
func (d BlobLeased) Subject() string       { return d.Blob.String() }
func (d BlobReleased) Subject() string     { return d.Blob.String() }
