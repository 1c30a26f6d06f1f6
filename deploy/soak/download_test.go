package soak

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"artifactstore/backends/local"
	"artifactstore/backends/s3/s3test"
	"artifactstore/cas"
	"artifactstore/registry"
)

// TestDownloadWeather spoils, for good, what a bucket answers to reads, and looks at
// what a client of the gateway gets. With another location it gets the right bytes, or,
// where wrong ones were found out at the end only, a body that ends before its length;
// without one a body that ends too soon, or a 503. It never gets a whole body with a
// wrong byte, and nothing is held against the location: a bad wire is no proof.
func TestDownloadWeather(t *testing.T) {
	if testing.Short() {
		t.Skip("needs RGW, which -short does not start")
	}
	for _, kind := range []s3test.Weather{s3test.Truncated, s3test.BrokenBody, s3test.WrongAnswer} {
		for _, size := range []int{200 << 10, 6<<20 + 3} {
			for _, from := range []int{0, 70_000} {
				for _, other := range []bool{false, true} {
					d := download{kind: kind, content: pattern(uint64(size), size), from: from, other: other}
					t.Run(fmt.Sprintf("%s/%d from %d, elsewhere too: %v", kind, size, from, other), func(t *testing.T) {
						t.Parallel()
						d.run(t)
					})
				}
			}
		}
	}
}

// download is a read of a content from an offset on.
type download struct {
	kind    s3test.Weather
	content []byte
	from    int
	other   bool // another location has it
}

func (d download) run(t *testing.T) {
	disk, err := local.Open(t.Context(), local.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	e := expose(t, time.Minute, cas.Backend{ID: "disk", Backend: disk})
	paths := []string{"/v1/blobs"}
	if d.other {
		paths = append(paths, "/v1/blobs?retention_class=release")
	}
	for _, path := range paths {
		if a, _ := e.ask("POST", path, d.content); a.status != 201 {
			t.Fatalf("before: %d %s", a.status, a.body)
		}
	}
	e.proxy.Spoil("GetObject", d.kind, 1000)
	a, whole := d.get(e)
	if e.proxy.Clear() == 0 {
		t.Error("the bucket was not asked")
	}
	d.judge(t, a, whole)
	if a, whole := d.get(e); !whole || !bytes.Equal(a.body, d.content[d.from:]) {
		t.Errorf("in good weather: %d, %d bytes, whole: %v", a.status, len(a.body), whole)
	}
	totals, err := e.store.Totals(t.Context())
	if failed := totals.Locations[cas.LocationTotal{BackendID: "rgw", State: registry.Failed}]; err != nil || failed != 0 {
		t.Errorf("%d locations are held to have failed, %v", failed, err)
	}
}

func (d download) get(e *exposed) (answer, bool) {
	var fields []string
	if d.from > 0 {
		fields = []string{"Range", fmt.Sprintf("bytes=%d-", d.from)}
	}
	return e.ask("GET", "/v1/blobs/"+digestOf(d.content), nil, fields...)
}

func (d download) judge(t *testing.T, a answer, whole bool) {
	t.Helper()
	success := a.status == 200 && d.from == 0 || a.status == 206 && d.from > 0
	right := success && whole && bytes.Equal(a.body, d.content[d.from:])
	switch {
	case d.kind == s3test.WrongAnswer && d.from > 0: // only a whole body can be compared
		if !success {
			t.Errorf("%d, %d bytes", a.status, len(a.body))
		}
	case d.kind == s3test.WrongAnswer && d.other && len(d.content) > 256<<10:
		if whole || !success { // what was sent is sent; the client can tell
			t.Errorf("%d, %d bytes, whole: %v", a.status, len(a.body), whole)
		}
	case d.other:
		if !right {
			t.Errorf("with another location: %d, %d bytes, whole: %v", a.status, len(a.body), whole)
		}
	case success && whole:
		t.Errorf("a whole body of %d bytes, right: %v, from nowhere", len(a.body), right)
	case success && d.kind != s3test.WrongAnswer && !bytes.HasPrefix(d.content[d.from:], a.body):
		t.Errorf("%d bytes that are not the blob's", len(a.body))
	case !success && a.status != 503 && (a.status != 404 || d.kind != s3test.WrongAnswer):
		t.Errorf("%d: %s", a.status, a.body)
	}
}

// TestKnownDigestIsNotCopied counts the calls of an upload whose digest is announced:
// its parts go to the key where they stay.
func TestKnownDigestIsNotCopied(t *testing.T) {
	if testing.Short() {
		t.Skip("needs RGW, which -short does not start")
	}
	e := expose(t, time.Minute)
	content := pattern(77, 11<<20)
	if a, _ := e.ask("PUT", "/v1/blobs/"+digestOf(content), content); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	calls := e.proxy.Recorded()
	slices.Sort(calls)
	want := []string{"CompleteMultipartUpload", "CreateMultipartUpload", "UploadPart", "UploadPart", "UploadPart"}
	if !slices.Equal(calls, want) {
		t.Errorf("the bucket was asked %q, want %q", calls, want)
	}
}
