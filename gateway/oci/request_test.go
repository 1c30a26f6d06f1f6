package oci

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"artifactstore/cas/digest"
)

const (
	hex256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	sha    = "sha256:" + hex256
	id     = "0123456789abcdef0123456789abcdef"
)

func mustParse(t testing.TB, s string) digest.Digest {
	t.Helper()
	d, err := digest.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestParse(t *testing.T) {
	d := mustParse(t, sha)
	all := Page{N: -1}
	for _, test := range []struct {
		method, path, query string
		want                Request
	}{
		{"GET", "/v2", "", Request{Operation: Ping}},
		{"GET", "/v2/", "", Request{Operation: Ping}},
		{"HEAD", "/v2/", "ns=docker.io", Request{Operation: Ping}},
		{"GET", "/v2/_catalog", "n=5&last=a%2Fb", Request{Operation: ListCatalog, Page: Page{5, "a/b"}}},
		{"GET", "/v2/a/blobs/" + sha, "", Request{Operation: PullBlob, Repository: "a", Digest: d}},
		{"HEAD", "/v2/a/blobs/sha256%3A" + hex256, "", Request{Operation: PullBlob, Repository: "a", Digest: d}},
		{"DELETE", "/v2/a/b/c/blobs/" + sha, "", Request{Operation: DeleteBlob, Repository: "a/b/c", Digest: d}},
		{"GET", "/v2/a/manifests/latest", "", Request{Operation: PullManifest, Repository: "a", Tag: "latest"}},
		{"PUT", "/v2/a/manifests/" + sha, "tag=x&tag=y&tag=x", Request{Operation: PushManifest, Repository: "a", Digest: d, Tags: []string{"x", "y"}}},
		{"DELETE", "/v2/a/manifests/_1.-", "", Request{Operation: DeleteManifest, Repository: "a", Tag: "_1.-"}},
		{"GET", "/v2/a/tags/list", "n=0", Request{Operation: ListTags, Repository: "a", Page: Page{N: 0}}},
		{"GET", "/v2/a/tags/list", "n=100000000&last=z", Request{Operation: ListTags, Repository: "a", Page: Page{100000000, "z"}}},
		{"GET", "/v2/a/referrers/" + sha, "artifactType=x%2Fy", Request{Operation: ListReferrers, Repository: "a", Digest: d, ArtifactType: "x/y", Page: all}},
		{"POST", "/v2/a/blobs/uploads/", "", Request{Operation: StartUpload, Repository: "a"}},
		{"POST", "/v2/a/blobs/uploads", "digest=" + sha, Request{Operation: StartUpload, Repository: "a", Want: d}},
		{"POST", "/v2/a/blobs/uploads/", "digest-algorithm=sha512&origin=x", Request{Operation: StartUpload, Repository: "a", Algorithm: digest.SHA512}},
		{"POST", "/v2/a/blobs/uploads/", "mount=" + sha + "&from=b/c", Request{Operation: StartUpload, Repository: "a", Mount: d, From: "b/c"}},
		{"PATCH", "/v2/a/blobs/uploads/" + id, "", Request{Operation: PatchUpload, Repository: "a", Session: id}},
		{"GET", "/v2/a/blobs/uploads/" + id, "", Request{Operation: StatUpload, Repository: "a", Session: id}},
		{"DELETE", "/v2/a/blobs/uploads/" + id, "", Request{Operation: CancelUpload, Repository: "a", Session: id}},
		{"PUT", "/v2/a/blobs/uploads/" + id, "digest=" + sha, Request{Operation: CloseUpload, Repository: "a", Session: id, Want: d}},
		// Repositories may be called like the protocol's own words.
		{"GET", "/v2/blobs/uploads/manifests/x", "", Request{Operation: PullManifest, Repository: "blobs/uploads", Tag: "x"}},
		{"GET", "/v2/manifests/blobs/" + sha, "", Request{Operation: PullBlob, Repository: "manifests", Digest: d}},
		{"GET", "/v2/tags/list/tags/list", "", Request{Operation: ListTags, Repository: "tags/list", Page: all}},
		{"POST", "/v2/referrers/manifests/blobs/uploads/", "", Request{Operation: StartUpload, Repository: "referrers/manifests"}},
		{"PATCH", "/v2/blobs/uploads/blobs/uploads/" + id, "", Request{Operation: PatchUpload, Repository: "blobs/uploads", Session: id}},
	} {
		got, err := Parse(test.method, test.path, test.query)
		if err != nil {
			t.Errorf("%s %s?%s: %v", test.method, test.path, test.query, err)
			continue
		}
		if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b digest.Digest) bool { return a == b })); diff != "" {
			t.Errorf("%s %s?%s (-want +got):\n%s", test.method, test.path, test.query, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct {
		method, path, query string
		status              int
		code                Code
	}{
		{"GET", "/v1", "", 404, Unsupported},
		{"GET", "/v2x", "", 404, Unsupported},
		{"GET", "/v2/a", "", 404, Unsupported},
		{"GET", "/v2/tags/list", "", 400, NameInvalid},
		{"GET", "/v2//tags/list", "", 400, NameInvalid},
		{"GET", "/v2/a//b/tags/list", "", 400, NameInvalid},
		{"GET", "/v2/A/tags/list", "", 400, NameInvalid},
		{"GET", "/v2/a%2Fb/tags/list", "", 400, NameInvalid},
		{"GET", "/v2/a%2fb/tags/list", "", 400, NameInvalid},
		{"GET", "/v2/../tags/list", "", 400, NameInvalid},
		{"GET", "/v2/%2e%2e/tags/list", "", 400, NameInvalid},
		{"GET", "/v2/a%00/tags/list", "", 400, NameInvalid},
		{"GET", "/v2/a%5Cb/tags/list", "", 400, NameInvalid},
		{"GET", "/v2/a%zz/tags/list", "", 400, NameInvalid},
		{"GET", "/v2/a%c0%ae/tags/list", "", 400, NameInvalid},
		{"GET", "/v2/a./tags/list", "", 400, NameInvalid},
		{"GET", "/v2/a..b/tags/list", "", 400, NameInvalid},
		{"GET", "/v2/" + strings.Repeat("a", 256) + "/tags/list", "", 400, NameInvalid},
		{"GET", "/v2/" + strings.Repeat("a/", 5000) + "tags/list", "", 400, NameInvalid},
		{"GET", "/v2/a/blobs/latest", "", 400, DigestInvalid},
		{"GET", "/v2/a/blobs/sha256:" + strings.ToUpper(hex256), "", 400, DigestInvalid},
		{"GET", "/v2/a/blobs/sha256:sha256:" + hex256, "", 400, DigestInvalid},
		{"GET", "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", "", 400, DigestInvalid},
		{"GET", "/v2/a/blobs/" + sha + "/", "", 404, Unsupported},
		{"PUT", "/v2/a/manifests/sha256:baddigeststring", "", 400, DigestInvalid},
		{"GET", "/v2/a/manifests/sha256:" + hex256[1:], "", 400, DigestInvalid},
		{"GET", "/v2/a/manifests/:x", "", 400, DigestInvalid},
		{"GET", "/v2/a/manifests/.x", "", 400, ManifestInvalid},
		{"GET", "/v2/a/manifests/" + strings.Repeat("x", 129), "", 400, ManifestInvalid},
		{"GET", "/v2/a/manifests/", "", 400, ManifestInvalid},
		{"PUT", "/v2/a/manifests/x", "tag=a%20b", 400, ManifestInvalid},
		{"PUT", "/v2/a/manifests/x", strings.Repeat("tag=a&", 65), 414, Unsupported},
		{"GET", "/v2/a/tags/list", "n=-1", 400, Unsupported},
		{"GET", "/v2/a/tags/list", "n=", 400, Unsupported},
		{"GET", "/v2/a/tags/list", "n=1%20", 400, Unsupported},
		{"GET", "/v2/a/tags/list", "n=1e9", 400, Unsupported},
		{"GET", "/v2/a/tags/list", "n=01", 400, Unsupported},
		{"GET", "/v2/a/tags/list", "n=9223372036854775808", 400, Unsupported},
		{"GET", "/v2/a/tags/list", "n=1&n=2", 400, Unsupported},
		{"GET", "/v2/a/tags/list", "n=%zz", 400, Unsupported},
		{"GET", "/v2/_catalog", "last=../x", 400, NameInvalid},
		{"GET", "/v2/a/referrers/latest", "", 400, DigestInvalid},
		{"GET", "/v2/a/referrers/" + sha, "last=x", 400, DigestInvalid},
		{"POST", "/v2/a/blobs/uploads/", "digest=", 400, DigestInvalid},
		{"POST", "/v2/a/blobs/uploads/", "digest=" + sha + "&digest=" + sha, 400, Unsupported},
		{"POST", "/v2/a/blobs/uploads/", "mount=x", 400, DigestInvalid},
		{"POST", "/v2/a/blobs/uploads/", "mount=" + sha + "&from=..", 400, NameInvalid},
		{"POST", "/v2/a/blobs/uploads/", "digest-algorithm=md5", 400, DigestInvalid},
		{"PATCH", "/v2/a/blobs/uploads/nonsense", "", 404, BlobUploadUnknown},
		{"PATCH", "/v2/a/blobs/uploads/" + strings.ToUpper(id), "", 404, BlobUploadUnknown},
		{"PUT", "/v2/a/blobs/uploads/" + id, "", 400, DigestInvalid},
		{"PUT", "/v2/a/blobs/" + sha, "", 405, Unsupported},
		{"POST", "/v2/", "", 405, Unsupported},
		{"GET", "/v2/a/blobs/uploads/", "", 405, Unsupported},
		{"PATCH", "/v2/a/manifests/x", "", 405, Unsupported},
		{"DELETE", "/v2/a/tags/list", "", 405, Unsupported},
		{"TRACE", "/v2/a/blobs/uploads/" + id, "", 405, Unsupported},
	} {
		_, err := Parse(test.method, test.path, test.query)
		var e *Error
		if !errors.As(err, &e) || e.Status != test.status || e.Entries[0].Code != test.code {
			t.Errorf("%s %.80s?%.60s: %v, want %d %s", test.method, test.path, test.query, err, test.status, test.code)
		}
		if e != nil && len(e.Error()) > 600 {
			t.Errorf("%.80s: a message of %d bytes", test.path, len(e.Error()))
		}
	}
}

func TestParseContentRange(t *testing.T) {
	for text, want := range map[string]contentRange{"0-0": {0, 0}, "0-1023": {0, 1023}, "5-4611686018427387903": {5, 1<<62 - 1}} {
		got, present, err := parseContentRange(http.Header{"Content-Range": {text}})
		if err != nil || !present || got != want {
			t.Errorf("%s: %v %v %v", text, got, present, err)
		}
	}
	for text, status := range map[string]int{
		"": 400, "-": 400, "5": 400, "5-": 400, "-5": 400, "5-4": 416, "bytes 0-5/6": 400, "bytes=0-5": 400,
		" 0-5": 400, "0-5 ": 400, "+0-5": 400, "0x0-5": 400, "0-9223372036854775807": 400, "0-99999999999999999999": 400, "1-2-3": 400,
	} {
		_, _, err := parseContentRange(http.Header{"Content-Range": {text}})
		var e *Error
		if !errors.As(err, &e) || e.Status != status {
			t.Errorf("%q: %v, want %d", text, err, status)
		}
	}
	if _, _, err := parseContentRange(http.Header{"Content-Range": {"0-1", "0-1"}}); err == nil {
		t.Error("two fields were taken")
	}
}

// A request that parses names its resource in one way only: a name, reference
// and session that pass their own checks again.
func FuzzParse(f *testing.F) {
	for _, path := range []string{"/v2/", "/v2/a/b/blobs/" + sha, "/v2/a/manifests/x", "/v2/a/tags/list", "/v2/a/blobs/uploads/" + id, "/v2/a%2Fb/tags/list", "/v2/a/referrers/" + sha} {
		for _, method := range []string{"GET", "PUT", "POST", "PATCH", "DELETE"} {
			f.Add(method, path, "n=1&digest="+sha)
		}
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		r, err := Parse(method, path, query)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Status < 400 || e.Status > 499 || len(e.Entries) == 0 {
				t.Fatalf("refused without a 4xx: %v", err)
			}
			return
		}
		if r.Repository != "" && checkName(r.Repository) != nil {
			t.Errorf("repository %q", r.Repository)
		}
		if r.Tag != "" && (checkTag(r.Tag) != nil || strings.Contains(r.Tag, ":") || !r.Digest.IsZero()) {
			t.Errorf("tag %q digest %q", r.Tag, r.Digest)
		}
		if r.Session != "" && len(r.Session) != 32 {
			t.Errorf("session %q", r.Session)
		}
		if r.From != "" && checkName(r.From) != nil {
			t.Errorf("from %q", r.From)
		}
	})
}

// A Content-Range that parses is written in one way only, and its size is a number
// of bytes.
func FuzzParseContentRange(f *testing.F) {
	f.Add("0-0")
	f.Fuzz(func(t *testing.T, field string) {
		c, present, err := parseContentRange(http.Header{"Content-Range": {field}})
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Status != 400 && e.Status != 416 || len(e.Error()) > 600 {
				t.Fatalf("refused without an answer: %v", err)
			}
			return
		}
		if !present || c.first < 0 || c.size() < 1 || strings.Trim(field, "0123456789-") != "" {
			t.Errorf("%q is read as %+v", field, c)
		}
		again, _, err := parseContentRange(http.Header{"Content-Range": {fmt.Sprintf("%d-%d", c.first, c.last)}})
		if err != nil || again != c {
			t.Errorf("%q, written again: %+v, %v", field, again, err)
		}
	})
}
