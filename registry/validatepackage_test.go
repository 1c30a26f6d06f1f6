package registry

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"artifactstore/cas/digest"
)

func TestValidatePackage(t *testing.T) {
	files := func(change func(*PackageCreated)) Data { return created("package_created_labels", change) }
	oci := func(change func(*PackageCreated)) Data { return created("package_created_oci", change) }
	key := func(producer, name, version string) Data {
		return PackageDeleted{Package: PackageKey{producer, name, version}}
	}
	labels := map[string]string{}
	for n := range maxLabels + 1 {
		labels[fmt.Sprint(n)] = ""
	}
	for _, c := range []struct {
		name string
		good bool
		data Data
	}{
		{"no producer", false, key("", "tool", "1")},
		{"no name", false, key("ci", "", "1")},
		{"no version", false, key("ci", "tool", "")},
		{"producer with a slash", false, key("ci/x", "tool", "1")},
		{"name with a slash", false, key("ci", "a/tool", "1")},
		{"version with a slash", false, key("ci", "tool", "1/2")},
		{"version with a colon", false, key("ci", "ci/tool", "1:2")},
		{"manifest", true, key("team", "team/app", abc256.String())},
		{"manifest of one segment", true, key("app", "app", abc256.String())},
		{"manifest of another producer", false, key("ci", "team/app", abc256.String())},
		{"manifest by blake3", false, key("team", "team/app", abcB3.String())},
		{"manifest in capitals", false, key("team", "team/app", strings.ToUpper(abc256.String()))},
		{"longest repository", true, key(strings.Repeat("r", 255), strings.Repeat("r", 255), abc256.String())},
		{"repository too long", false, key("r", "r/"+strings.Repeat("r", 254), abc256.String())},

		{"files", true, files(func(*PackageCreated) {})},
		{"no class", false, files(func(d *PackageCreated) { d.RetentionClass = "" })},
		{"no format", false, files(func(d *PackageCreated) { d.Format = "" })},
		{"unknown format", false, files(func(d *PackageCreated) { d.Format = "OCI" })},
		{"files with a manifest", false, files(func(d *PackageCreated) { d.Manifest = abc256 })},
		{"files with what is OCI's", false, files(func(d *PackageCreated) { d.OCI = &OCI{MediaType: "a/b"} })},
		{"files named as a manifest is", false, files(func(d *PackageCreated) { d.Package = ociKey })},
		{"files out of order", false, files(func(d *PackageCreated) { d.Files = []File{{"b", abc256}, {"a", abc256}} })},
		{"one path twice", false, files(func(d *PackageCreated) { d.Files = []File{{"a", abc256}, {"a", empty256}} })},
		{"file by blake3", false, files(func(d *PackageCreated) { d.Files = []File{{"a", abcB3}} })},
		{"too many files", false, files(func(d *PackageCreated) { d.Files = make([]File, maxFiles+1) })},
		{"label without a key", false, files(func(d *PackageCreated) { d.Labels = map[string]string{"": "x"} })},
		{"label with =", false, files(func(d *PackageCreated) { d.Labels = map[string]string{"a=b": "x"} })},
		{"value with =", true, files(func(d *PackageCreated) { d.Labels = map[string]string{"a": "x=y"} })},
		{"value with a line end", false, files(func(d *PackageCreated) { d.Labels = map[string]string{"a": "x\n"} })},
		{"too many labels", false, files(func(d *PackageCreated) { d.Labels = labels })},

		{"oci", true, oci(func(*PackageCreated) {})},
		{"oci without what is said of it", false, oci(func(d *PackageCreated) { d.OCI = nil })},
		{"oci without a manifest", false, oci(func(d *PackageCreated) { d.Manifest = digest.Digest{} })},
		{"oci of another manifest", false, oci(func(d *PackageCreated) { d.Manifest = empty256 })},
		{"oci without a media type", false, oci(func(d *PackageCreated) { d.OCI.MediaType = "" })},
		{"oci pushed by its primary digest", false, oci(func(d *PackageCreated) { d.OCI.Named = abc256 })},
		{"oci pushed by blake3", true, oci(func(d *PackageCreated) { d.OCI.Named = abcB3 })},
		{"annotation not UTF-8", false, oci(func(d *PackageCreated) { d.OCI.Annotations = map[string]string{"a": "\xff"} })},
		{"annotation's key not UTF-8", false, oci(func(d *PackageCreated) { d.OCI.Annotations = map[string]string{"\xff": ""} })},
		{"annotation without a key", true, oci(func(d *PackageCreated) { d.OCI.Annotations = map[string]string{"": "\x00"} })},

		{"sealed", true, PackageSealed{filesKey, abc256, 1}},
		{"sealed at no revision", false, PackageSealed{filesKey, abc256, 0}},
		{"sealed without a manifest", false, PackageSealed{Package: filesKey, Revision: 1}},
		{"renewed without a class", false, PackageRenewed{Package: filesKey}},
		{"renewed from a class", true, PackageRenewed{filesKey, "release", "standard"}},
		{"renewed from a class too long", false, PackageRenewed{filesKey, "release", strings.Repeat("c", 129)}},
		{"file added by blake3", false, PackageFileAdded{Package: filesKey, Path: "a", Blob: abcB3}},
		{"file removed", true, PackageFileRemoved{filesKey, "a"}},

		{"tag without a repository", false, TagRemoved{"", "latest"}},
		{"tag without a name", false, TagSet{Repository: "app", Manifest: abc256}},
		{"longest tag", true, TagRemoved{"app", strings.Repeat("t", 128)}},
		{"tag too long", false, TagRemoved{"app", strings.Repeat("t", 129)}},
		{"tag of nothing", false, TagSet{Repository: "app", Tag: "latest"}},
		{"tag by blake3", false, TagSet{Repository: "app", Tag: "latest", Manifest: abcB3}},
		{"tag named by its primary digest", false, TagSet{Repository: "app", Tag: "latest", Manifest: abc256, Named: abc256}},
		{"tag named by blake3", true, TagSet{Repository: "app", Tag: "latest", Manifest: abc256, Named: abcB3}},
	} {
		if err := Validate(Event{"ci", c.data}); (err == nil) != c.good || err != nil && !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestValidatePath(t *testing.T) {
	for path, good := range map[string]bool{
		"a": true, "a/b": true, ".a/..b/c.": true, "Ü ☃/\u200b": true, "sha256:00": true, strings.Repeat("p", 1024): true, "...": true,
		"": false, "/a": false, "a/": false, "a//b": false, ".": false, "a/./b": false, "../a": false, "a/..": false,
		"a\x00": false, "a\n": false, "a\x7f": false, "a\u0085": false, "a\xff": false, strings.Repeat("p", 1025): false,
	} {
		if err := Validate(Event{"ci", PackageFileRemoved{filesKey, path}}); (err == nil) != good || err != nil && !errors.Is(err, ErrRecord) {
			t.Errorf("path %.40q: %v", path, err)
		}
	}
}

func TestPackageKey(t *testing.T) {
	if got, want := filesKey.String(), "ci-main/tool/1.2.0+linux"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := ociKey.String(), "team/app/web@"+abc256.String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
