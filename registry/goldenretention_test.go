package registry

import (
	"maps"
	"time"
)

func init() { maps.Copy(golden, goldenRetention) }

var goldenRetention = map[string]Record{
	"package_held": at(17, "legal", PackageHeld{Package: filesKey, Hold: "case 4711"}),
	"package_held_covers": at(18, "legal", PackageHeld{Package: ociKey, Hold: "case 4711", Covers: []PackageKey{
		filesKey, {"team", "team/app/web", empty256.String()},
	}}),
	"package_released": at(19, "legal", PackageReleased{Package: ociKey, Hold: "case 4711"}),
	"package_expired":  at(20, "gateway", PackageExpired{Package: ociKey, Revision: 3, RetentionClass: "standard"}),
	"location_verified": at(21, "gateway", LocationVerified{Blob: abc256, BackendID: "rgw",
		RecordedAt: time.Date(2026, 11, 22, 9, 30, 0, 120000, time.UTC)}),
	"location_recorded_seen":     at(25, "ci", LocationRecorded{Blob: abc256, BackendID: "local", Seen: 24}),
	"location_repaired_seen":     at(26, "ci", LocationRepaired{Blob: abc256, BackendID: "local", Source: "push", Seen: 1<<63 - 1}),
	"location_removing_unneeded": at(27, "gateway", LocationRemoving{Blob: abc256, BackendID: "rgw", Cause: Unneeded, GraceSeconds: 86400}),
	"location_removing_moved":    at(28, "gateway", LocationRemoving{Blob: abc256, BackendID: "rgw", Cause: Moved}),
	"location_removing_orphan":   at(29, "gateway", LocationRemoving{Blob: abc256, BackendID: "rgw", Cause: Orphan}),
	"location_removed":           at(30, "gateway", LocationRemoved{Blob: abc256, BackendID: "rgw"}),
	"blob_collected": at(31, "gateway", BlobCollected{Blob: abc256, Size: 3, GraceSeconds: 86400,
		LeasedUntil: time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), IdleSince: time.Date(2026, 11, 21, 9, 0, 0, 1000, time.UTC)}),
	"blob_collected_at_once": at(32, "gateway", BlobCollected{Blob: empty256, IdleSince: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)}),
}
