package postgres

import (
	"artifactstore/cas/digest"
	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

// meaningful reports whether an event has a meaning for the views here.
func meaningful(d registry.Data) bool {
	switch d.(type) {
	case registry.BlobStored, registry.LocationRecorded, registry.LocationFailed, registry.LocationRepaired,
		registry.LocationVerified, registry.BlobLeased, registry.BlobReleased:
		return true
	}
	_, ok := namedBlobs(d)
	return ok
}

// namedBlobs returns the blobs whose state matters to a single, or that it changes
// otherwise than by counting references; ok is false for other events.
func namedBlobs(d registry.Data) (blobs []digest.Digest, ok bool) {
	switch d := d.(type) {
	case registry.PackageCreated:
		for _, f := range d.Files {
			blobs = append(blobs, f.Blob)
		}
		if !d.Manifest.IsZero() {
			blobs = append(blobs, d.Manifest)
		}
		return blobs, true
	case registry.PackageFileAdded:
		return []digest.Digest{d.Blob}, true
	case registry.PackageSealed:
		return []digest.Digest{d.Manifest}, true
	case registry.LocationRemoving:
		return []digest.Digest{d.Blob}, true
	case registry.LocationRemoved:
		return []digest.Digest{d.Blob}, true
	case registry.BlobCollected:
		return []digest.Digest{d.Blob}, true
	case registry.PackageFileRemoved, registry.PackageRenewed, registry.PackageDeleted, registry.PackageExpired,
		registry.PackageHeld, registry.PackageReleased, registry.TagSet, registry.TagRemoved,
		registry.TokenCreated, registry.TokenRevoked:
		return nil, true
	}
	return nil, false
}

// queue queues the statement of an event; base and count are as in queueViews.
func (s single) queue(b *pgx.Batch, base *int64, count int) {
	switch d := s.data.(type) {
	case registry.PackageCreated:
		queueCreated(b, base, count, s.n, s.at, d)
	case registry.PackageFileAdded:
		on(b, fileAddedSQL, d.Package, s.at, d.Path, d.Blob.Sum(), d.New)
	case registry.PackageFileRemoved:
		on(b, fileRemovedSQL, d.Package, s.at, d.Path)
	case registry.PackageSealed:
		on(b, packageSealedSQL, d.Package, s.at, d.Manifest.Sum(), d.Revision)
	case registry.PackageRenewed:
		on(b, packageRenewedSQL, d.Package, s.at, d.RetentionClass, d.Was)
	case registry.PackageDeleted:
		on(b, packageDeletedSQL, d.Package, s.at)
	case registry.PackageExpired:
		on(b, packageExpiredSQL, d.Package, s.at, d.Revision)
	case registry.PackageHeld:
		on(b, packageHeldSQL, d.Package, s.at, heldColumns(s.actor, d)...)
	case registry.PackageReleased:
		b.Queue(packageReleasedSQL, d.Package.Producer, d.Package.Name, d.Package.Version, d.Hold)
	case registry.TagSet:
		on(b, tagSetSQL, manifestKey(d.Repository, d.Manifest), s.at, d.Tag, d.Named.Sum(), d.New)
	case registry.TagRemoved:
		b.Queue(tagRemovedSQL, d.Repository, d.Tag)
	case registry.LocationRemoving:
		b.Queue(removingSQL, base, count, s.n, s.at, d.Blob.Sum(), d.BackendID, string(d.Cause), d.GraceSeconds)
	case registry.LocationRemoved:
		b.Queue(removedSQL, base, count, s.n, d.Blob.Sum(), d.BackendID)
	case registry.BlobCollected:
		b.Queue(collectedSQL, d.Blob.Sum(), s.at, d.GraceSeconds)
	case registry.TokenCreated:
		b.Queue(tokenCreatedSQL, d.ID, d.Principal, d.SHA256.Sum(), d.Grants, s.actor, s.at, orNil(d.ExpiresAt))
	case registry.TokenRevoked:
		b.Queue(tokenRevokedSQL, d.ID, s.at)
	}
}
