package registry

import (
	"maps"
)

// The keys of the golden packages.
var (
	filesKey = PackageKey{Producer: "ci-main", Name: "tool", Version: "1.2.0+linux"}
	ociKey   = PackageKey{Producer: "team", Name: "team/app/web", Version: abc256.String()}
)

func init() { maps.Copy(golden, goldenPackages) }

var goldenPackages = map[string]Record{
	"package_created": at(5, "ci", PackageCreated{Package: filesKey, Format: FormatFiles, RetentionClass: "standard"}),
	"package_created_labels": at(6, "ci", PackageCreated{
		Package: filesKey, Format: FormatFiles, RetentionClass: "release",
		Labels: map[string]string{"os": "linux", "branch": "main", "note": ""},
		Files:  []File{{"bin/tool", abc256}, {"doc/Überblick.txt", empty256}},
	}),
	"package_created_oci": at(7, "ci", PackageCreated{
		Package: ociKey, Format: FormatOCI, RetentionClass: "standard",
		Files: []File{{"blobs/sha256/" + empty256.Hex(), empty256}},
		OCI: &OCI{
			MediaType: "application/vnd.oci.image.manifest.v1+json", ArtifactType: "application/spdx+json",
			Subject: abc512.String(), Named: abc512,
			Annotations: map[string]string{"org.opencontainers.image.created": "2026-11-23T10:00:00Z", "lines": "a\nb\x00 <&>"},
		},
		Manifest: abc256,
	}),
	"package_created_oci_least": at(8, "ci", PackageCreated{
		Package: PackageKey{"app", "app", empty256.String()}, Format: FormatOCI, RetentionClass: "standard",
		OCI: &OCI{MediaType: "application/vnd.oci.image.index.v1+json"}, Manifest: empty256,
	}),
	"package_file_added":   at(9, "ci", PackageFileAdded{Package: filesKey, Path: "bin/tool", Blob: abc256}),
	"package_file_new":     at(18, "ci", PackageFileAdded{Package: filesKey, Path: "bin/tool", Blob: abc256, New: true}),
	"package_file_removed": at(10, "ci", PackageFileRemoved{Package: filesKey, Path: "bin/tool"}),
	"package_sealed":       at(11, "ci", PackageSealed{Package: filesKey, Manifest: empty256, Revision: 300}),
	"package_renewed":      at(12, "ci", PackageRenewed{Package: ociKey, RetentionClass: "release"}),
	"package_renewed_from": at(17, "ci", PackageRenewed{Package: filesKey, RetentionClass: "release", Was: "standard"}),
	"package_deleted":      at(13, "ann", PackageDeleted{Package: ociKey}),
	"tag_set":              at(14, "ci", TagSet{Repository: "team/app/web", Tag: "v1.2_A", Manifest: abc256}),
	"tag_set_named":        at(15, "ci", TagSet{Repository: "team/app/web", Tag: "latest", Manifest: abc256, Named: abc512}),
	"tag_set_new":          at(19, "ci", TagSet{Repository: "team/app/web", Tag: "v1", Manifest: abc256, New: true}),
	"tag_removed":          at(16, "ann", TagRemoved{Repository: "team/app/web", Tag: "latest"}),
}

// created returns a golden package, changed.
func created(name string, change func(*PackageCreated)) PackageCreated {
	d := golden[name].Data.(PackageCreated)
	if d.OCI != nil {
		oci := *d.OCI
		d.OCI = &oci
	}
	change(&d)
	return d
}
