package registry

import (
	"time"

	"artifactstore/cas/digest"
)

// TypeLocationVerified is the event type of a verification that found no fault.
const TypeLocationVerified = "v1.storage.location_verified"

// LocationVerified says that the bytes of a location were read whole and are the
// blob's. The location must be stored, and RecordedAt be its: who read an
// object for an hour speaks of the bytes that were there when it began.
type LocationVerified struct {
	Blob       digest.Digest `json:"blob" cbor:"blob"`
	BackendID  string        `json:"backend_id" cbor:"backend_id"`
	RecordedAt time.Time     `json:"recorded_at" cbor:"recorded_at"`
}

// Type returns the event's type.
func (LocationVerified) Type() string { return TypeLocationVerified }

// Subject returns the primary digest of the blob.
func (d LocationVerified) Subject() string { return d.Blob.String() }
