package postgres_test

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// identity is of a blob that no test before has had: writer's n-th.
func identity(writer, n int) digest.Identity {
	var seed [16]byte
	binary.BigEndian.PutUint64(seed[:], uint64(writer))
	binary.BigEndian.PutUint64(seed[8:], uint64(n))
	sum := sha256.Sum256(seed[:])
	other := sha256.Sum256(sum[:])
	return digest.Identity{SHA256: digest.New(digest.SHA256, sum[:]), BLAKE3: digest.New(digest.BLAKE3, other[:]), Size: int64(n)}
}

// put is what the store appends for a new blob.
func put(id digest.Identity) []registry.Event {
	say := func(d registry.Data) registry.Event { return registry.Event{Actor: "ci", Data: d} }
	return []registry.Event{
		say(registry.BlobStored{SHA256: id.SHA256, BLAKE3: id.BLAKE3, Size: id.Size}),
		say(registry.LocationRecorded{Blob: id.SHA256, BackendID: "local"}),
		say(registry.BlobLeased{Blob: id.SHA256, Producer: "ci", RetentionClass: "standard", Until: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}),
	}
}
