package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/cas/manifest"
	shapes "artifactstore/deploy/house"
)

// release is where the packages of these tests are.
const release = "/v1/packages/ci/app/1.0"

// do sends a request that must have a status, and returns the answer.
func (h *house) do(status int, method, path, body string, header ...string) (*http.Response, []byte) {
	h.t.Helper()
	resp, text := h.request(method, path, strings.NewReader(body), header...)
	if resp.StatusCode != status {
		h.t.Fatalf("%s %s: %s %s, want %d", method, path, resp.Status, text, status)
	}
	return resp, text
}

// refused sends a request that must be refused, and change nothing.
func (h *house) refused(status int, code, method, path, body string, header ...string) {
	h.t.Helper()
	before := h.mark()
	resp, text := h.request(method, path, strings.NewReader(body), header...)
	refusal(h.t, resp, text, status, code)
	if h.t.Failed() {
		h.t.Fatalf("%s %s", method, path)
	}
	h.unchanged(before)
}

// shown is a package as its readers see it.
type shown struct {
	Producer, Name, Version, State string
	RetentionClass                 string            `json:"retention_class"`
	Labels                         map[string]string `json:"labels"`
	ManifestDigest                 string            `json:"manifest_digest"`
	ExpiresAt                      string            `json:"expires_at"`
	Files                          []struct {
		Path, Digest string
		Digests      map[string]string
		Size         int64
		BackendIDs   []string `json:"backend_ids"`
	}
	Next string
}

func (h *house) show(query string) (p shown) {
	h.t.Helper()
	_, text := h.do(200, "GET", release+query, "")
	if err := json.Unmarshal(text, &p); err != nil {
		h.t.Fatalf("%v: %s", err, text)
	}
	return p
}

func TestPackage(t *testing.T) { everyHouse(t, lifeOfAPackage) }

func lifeOfAPackage(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	const about = `{"retention_class":"release","labels":{"branch":"main"}}`
	resp, _ := h.do(201, "PUT", release, about)
	if at := resp.Header.Get("Location"); at != release {
		t.Errorf("created at %q", at)
	}
	h.do(200, "PUT", release, about)
	h.refused(409, "package_exists", "PUT", release, `{"retention_class":"release","labels":{}}`)
	h.refused(409, "package_exists", "PUT", release, `{"retention_class":"release","labels":{"branch":"dev"}}`)

	resp, text := h.do(201, "PUT", release+"/files/bin/app", "hello")
	if resp.Header.Get("Location") != release+"/files/bin/app" || resp.Header.Get("Etag") != `"`+sha([]byte("hello"))+`"` {
		t.Errorf("%v", resp.Header)
	}
	if !strings.Contains(string(text), `"existed":false`) || !strings.Contains(string(text), `"backend_id":"`+shapes.BackendID+`"`) {
		t.Errorf("%s", text)
	}
	h.do(200, "PUT", release+"/files/bin/app", "hello")
	h.do(201, "PUT", release+"/files/bin/app", "hello, world") // other bytes take its place
	h.do(201, "PUT", release+"/files/readme", "hello")         // the blob is there, the file is new
	p := h.show("")
	if p.Producer != "ci" || p.Name != "app" || p.Version != "1.0" || p.State != "open" || p.RetentionClass != "release" || p.Labels["branch"] != "main" || p.ManifestDigest != "" || p.ExpiresAt != "" {
		t.Errorf("%+v", p)
	}
	if len(p.Files) != 2 || p.Files[0].Path != "bin/app" || p.Files[0].Size != 12 || p.Files[0].Digest != sha([]byte("hello, world")) ||
		len(p.Files[0].Digests) != 2 || len(p.Files[0].BackendIDs) != 1 || p.Files[0].BackendIDs[0] != shapes.BackendID {
		t.Errorf("%+v", p.Files)
	}
	h.refused(409, "package_open", "GET", release+"/manifest", "")
	h.do(204, "DELETE", release+"/files/bin/app", "")
	h.refused(404, "file_unknown", "DELETE", release+"/files/bin/app", "")
	h.refused(404, "file_unknown", "GET", release+"/files/bin/app", "")

	_, first := h.do(200, "POST", release+"/seal", "")
	_, again := h.do(200, "POST", release+"/seal", "")
	p = h.show("")
	if !bytes.Equal(first, again) || !strings.Contains(string(first), p.ManifestDigest) || p.State != "sealed" {
		t.Errorf("%s, %s, %+v", first, again, p)
	}
	h.refused(409, "package_sealed", "PUT", release+"/files/new", "hello")
	h.refused(409, "package_sealed", "PUT", release+"/files/readme", "other")
	h.refused(409, "package_sealed", "DELETE", release+"/files/readme", "")
	h.do(200, "PUT", release, about)

	h.do(204, "DELETE", release, "")
	h.refused(404, "package_unknown", "DELETE", release, "")
	for _, path := range []string{"", "/files/readme", "/manifest", "/archive"} {
		h.refused(404, "package_unknown", "GET", release+path, "")
	}
	h.refused(404, "package_unknown", "POST", release+"/seal", "")
	h.refused(404, "package_unknown", "DELETE", release+"/files/readme", "")
}

// One request creates a package and puts a file into it.
func TestFileCreatesPackage(t *testing.T) { everyHouse(t, fileCreatesPackage) }

func fileCreatesPackage(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	h.refused(400, "retention_class_unknown", "PUT", release+"/files/a?retention_class=unheard-of", "hello")
	h.do(201, "PUT", release+"/files/a?retention_class=ephemeral", "hello")
	h.do(201, "PUT", release+"/files/b?retention_class=release", "hello") // it is there: the parameter has no say
	if p := h.show(""); p.RetentionClass != "ephemeral" || len(p.Files) != 2 || p.ExpiresAt == "" {
		t.Errorf("%+v", p)
	}
}

func TestFileIsServedAsABlob(t *testing.T) { everyHouse(t, fileIsServedAsABlob) }

func fileIsServedAsABlob(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	path := release + "/files/dir/gr%C3%B6%C3%9Fe%22.txt"
	resp, _ := h.do(201, "PUT", path, "hello, world")
	tag := resp.Header.Get("Etag")
	if got := resp.Header.Get("Location"); got != path {
		t.Errorf("Location %q", got)
	}
	resp, text := h.do(200, "GET", path, "")
	for field, want := range map[string]string{
		"Content-Disposition":    `attachment; filename="gr__e_.txt"; filename*=UTF-8''gr%C3%B6%C3%9Fe%22.txt`,
		"Etag":                   tag,
		"X-Content-Type-Options": "nosniff",
		"Content-Type":           "application/octet-stream",
		"Cache-Control":          "no-cache",
		"Accept-Ranges":          "bytes",
		"Content-Length":         "12",
	} {
		if got := resp.Header.Get(field); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
	if string(text) != "hello, world" || resp.Header.Get("Repr-Digest") == "" {
		t.Errorf("%q %v", text, resp.Header)
	}
	if _, text = h.do(206, "GET", path, "", "Range", "bytes=7-"); string(text) != "world" {
		t.Errorf("%q", text)
	}
	h.do(304, "GET", path, "", "If-None-Match", tag)
	h.do(412, "GET", path, "", "If-Match", `"other"`)
	h.do(416, "GET", path, "", "Range", "bytes=12-")
	if resp, text = h.do(200, "HEAD", path, ""); len(text) > 0 || resp.Header.Get("Content-Length") != "12" {
		t.Errorf("%q %v", text, resp.Header)
	}
}

func TestFileDigests(t *testing.T) {
	h := open(t, changes{limit: 10})
	path := release + "/files/a"
	const of = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:" // hello
	h.refused(422, "digest_mismatch", "PUT", path, "Hello", "Repr-Digest", of)
	h.refused(422, "digest_mismatch", "PUT", path, "Hello", "Content-Digest", of)
	h.refused(400, "digest_invalid", "PUT", path, "hello", "Content-Digest", "sha-256=:AAAA:")
	h.refused(400, "range_invalid", "PUT", path, "hello", "Content-Range", "bytes 0-4/5")
	h.refused(413, "too_large", "PUT", path, "hello, world")
	h.refused(400, "parameter_unknown", "PUT", path+"?producer=other", "hello")
	h.refused(404, "package_unknown", "GET", release, "")
	h.do(201, "PUT", path, "hello", "Repr-Digest", of)
}

// A file into a sealed package is refused before its body is read.
func TestSealedRefusesBeforeBody(t *testing.T) {
	h := open(t, changes{})
	h.do(201, "PUT", release+"/files/a", "hello")
	h.do(200, "POST", release+"/seal", "")
	c := h.dial()
	c.send("PUT %s/files/b HTTP/1.1\nHost: x\nContent-Length: 1000000\nExpect: 100-continue\n\n", release)
	resp, text := c.answer("PUT")
	refusal(t, resp, text, 409, "package_sealed")
}

func TestAttach(t *testing.T) { everyHouse(t, attachOf) }

func attachOf(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	d := strings.TrimPrefix(h.put([]byte("hello")), "/v1/blobs/")
	const media = "application/vnd.artifactstore.blob-reference+json"
	path := release + "/files/a"
	for _, test := range []struct {
		status     int
		code, body string
	}{
		{404, "blob_unknown", `{"digest":"` + sha([]byte("other")) + `"}`},
		{400, "digest_invalid", `{"digest":"sha256:00"}`},
		{400, "body_invalid", `{"digest":"` + d + `","digest":"` + d + `"}`},
		{400, "body_invalid", `{"digest":"` + d + `","size":5}`},
		{400, "body_invalid", `{"Digest":"` + d + `"}`},
		{400, "body_invalid", `{}`},
		{400, "body_invalid", ``},
		{400, "body_invalid", `"` + d + `"`},
		{413, "too_large", strings.Repeat(" ", 100_000)},
	} {
		h.refused(test.status, test.code, "PUT", path, test.body, "Content-Type", media)
	}
	h.refused(400, "retention_class_unknown", "PUT", path+"?retention_class=x", `{"digest":"`+d+`"}`, "Content-Type", media)
	h.do(201, "PUT", path+"?retention_class=release", `{"digest":"`+d+`"}`, "Content-Type", media+"; charset=utf-8")
	h.do(200, "PUT", path, `{"digest":"`+d+`"}`, "Content-Type", media)
	if _, text := h.do(200, "GET", path, ""); string(text) != "hello" {
		t.Errorf("%q", text)
	}
	if p := h.show(""); p.RetentionClass != "release" {
		t.Errorf("%+v", p)
	}
	h.refused(409, "blob_referenced", "DELETE", "/v1/blobs/"+d, "")
	h.do(204, "DELETE", release, "")
	h.do(204, "DELETE", "/v1/blobs/"+d, "")
}

// The manifest's digest is that of its bytes, and names them as a blob.
func TestManifest(t *testing.T) { everyHouse(t, manifestOf) }

func manifestOf(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	h.do(201, "PUT", release, `{"retention_class":"release","labels":{"branch":"main"}}`)
	h.do(201, "PUT", release+"/files/b", "hello")
	h.do(201, "PUT", release+"/files/a/x", "world")
	_, text := h.do(200, "POST", release+"/seal", "")
	var sealed struct {
		ManifestDigest string `json:"manifest_digest"`
	}
	if err := json.Unmarshal(text, &sealed); err != nil {
		t.Fatal(err)
	}
	resp, body := h.do(200, "GET", release+"/manifest", "")
	if got := resp.Header.Get("Content-Type"); got != manifest.MediaType {
		t.Errorf("Content-Type %q", got)
	}
	if sha(body) != sealed.ManifestDigest || resp.Header.Get("Etag") != `"`+sealed.ManifestDigest+`"` {
		t.Errorf("the bytes are %s, the manifest %s, the tag %s", sha(body), sealed.ManifestDigest, resp.Header.Get("Etag"))
	}
	if _, blob := h.do(200, "GET", "/v1/blobs/"+sealed.ManifestDigest, ""); !bytes.Equal(blob, body) {
		t.Error("the blob has other bytes")
	}
	h.refused(409, "blob_referenced", "DELETE", "/v1/blobs/"+sealed.ManifestDigest, "")
	m, err := manifest.Decode(body)
	if err != nil || m.Producer != "ci" || m.Name != "app" || m.Version != "1.0" || m.Class != "release" || m.Labels["branch"] != "main" ||
		len(m.Files) != 2 || m.Files[0].Path != "a/x" || m.Files[1].Path != "b" || m.Files[1].SHA256.String() != sha([]byte("hello")) {
		t.Errorf("%+v, %v", m, err)
	}
	for accept, want := range map[string]string{
		"application/json":                              "application/json",
		"application/json, " + manifest.MediaType:       "application/json",
		manifest.MediaType + ", application/json;q=0.5": manifest.MediaType,
		"*/*":       manifest.MediaType,
		"text/html": manifest.MediaType,
	} {
		resp, body := h.do(200, "GET", release+"/manifest", "", "Accept", accept)
		if got := resp.Header.Get("Content-Type"); got != want || resp.Header.Get("Vary") != "Accept" {
			t.Errorf("Accept %s: %q, Vary %q", accept, got, resp.Header.Get("Vary"))
		}
		if want == "application/json" && (!json.Valid(body) || !strings.Contains(string(body), `"a/x"`)) {
			t.Errorf("%s", body)
		}
	}
}

// Files come in pages; going on after the last one misses none.
func TestFilePages(t *testing.T) { everyHouse(t, filePages) }

func filePages(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	h.do(201, "PUT", release, "")
	for i := range 7 {
		h.do(201, "PUT", fmt.Sprintf("%s/files/f%d", release, i), fmt.Sprint(i))
	}
	var got []string
	query := "?limit=3"
	for pages := 0; query != ""; pages++ {
		p := h.show(query)
		for _, f := range p.Files {
			got = append(got, f.Path)
		}
		query = ""
		if p.Next != "" {
			query = "?limit=3&after=" + p.Next
		}
		if pages > 3 {
			t.Fatal("the pages do not end")
		}
	}
	if want := "f0 f1 f2 f3 f4 f5 f6"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	if p := h.show("?limit=7"); len(p.Files) != 7 || p.Next != "" {
		t.Errorf("a page of all: %d, next %q", len(p.Files), p.Next)
	}
	for _, query := range []string{"limit=0", "limit=-1", "limit=1001", "limit=1e3", "limit=", "limit=9223372036854775808", "limit=1&limit=2",
		"after=" + strings.Repeat("x", 1025), "after=%ff", "after=%zz"} {
		h.refused(400, "parameter_invalid", "GET", release+"?"+query, "")
	}
	h.refused(400, "parameter_unknown", "GET", release+"?offset=1", "")
}

// A page has 1,000 files at most, asked for or not.
func TestManyFilePages(t *testing.T) {
	h := open(t, changes{})
	h.do(201, "PUT", release+"/files/f0000", "hello")
	d, err := digest.Parse(sha([]byte("hello")))
	if err != nil {
		t.Fatal(err)
	}
	k := cas.PackageKey{Producer: "ci", Name: "app", Version: "1.0"}
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := 1 + w; i <= 1000; i += 8 {
				if _, err := h.store.AttachFile(t.Context(), k, fmt.Sprintf("f%04d", i), d, cas.PutOptions{Principal: "ann"}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if p := h.show(""); len(p.Files) != 1000 || p.Next != "f0999" {
		t.Errorf("%d files, next %q", len(p.Files), p.Next)
	}
	if p := h.show("?after=f0999"); len(p.Files) != 1 || p.Next != "" {
		t.Errorf("%d files, next %q", len(p.Files), p.Next)
	}
}

func TestPackageMethods(t *testing.T) {
	h := open(t, changes{})
	h.do(201, "PUT", release+"/files/a", "hello")
	for _, test := range []struct{ method, path, allow string }{
		{"POST", "", "GET, HEAD, PUT, DELETE"}, {"PATCH", "", "GET, HEAD, PUT, DELETE"},
		{"POST", "/files/a", "GET, HEAD, PUT, DELETE"}, {"OPTIONS", "/files/a", "GET, HEAD, PUT, DELETE"},
		{"GET", "/seal", "POST"}, {"PUT", "/seal", "POST"}, {"DELETE", "/seal", "POST"},
		{"PUT", "/manifest", "GET, HEAD"}, {"DELETE", "/manifest", "GET, HEAD"}, {"POST", "/archive", "GET, HEAD"},
	} {
		before := h.mark()
		resp, text := h.request(test.method, release+test.path, strings.NewReader("x"))
		refusal(t, resp, text, 405, "method_not_allowed")
		if got := resp.Header.Get("Allow"); got != test.allow {
			t.Errorf("%s %s: Allow %q, want %q", test.method, test.path, got, test.allow)
		}
		h.unchanged(before)
	}
}

// A body that creates a package is one small object with known members.
func TestHostilePackageBodies(t *testing.T) {
	h := open(t, changes{})
	many := make([]string, 65)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":"v"`, i)
	}
	large := make([]string, 40)
	for i := range large {
		large[i] = fmt.Sprintf(`"k%d":"%s"`, i, strings.Repeat("v", 250))
	}
	for body, code := range map[string]string{
		`[]`:                            "body_invalid",
		`null`:                          "body_invalid",
		`{`:                             "body_invalid",
		`{} {}`:                         "body_invalid",
		`{"retention_class":null}`:      "body_invalid",
		`{"retention_class":""}`:        "body_invalid",
		`{"retention_class":"../x"}`:    "body_invalid",
		`{"retention-class":"x"}`:       "body_invalid",
		`{"Labels":{}}`:                 "body_invalid",
		`{"labels":{"a":1}}`:            "body_invalid",
		`{"labels":{"a":{"b":"c"}}}`:    "body_invalid",
		`{"labels":["a"]}`:              "body_invalid",
		`{"labels":{},"labels":{}}`:     "body_invalid",
		`{"labels":{"a":"","a":""}}`:    "body_invalid",
		"{\"labels\":{\"a\":\"\xff\"}}": "body_invalid",
		`{"labels":{"a":"b\r\nc"}}`:     "labels_invalid",
		`{"labels":{"a\u0000":"b"}}`:    "labels_invalid",
		`{"labels":{"":"b"}}`:           "labels_invalid",
		`{"labels":{"a=b":"c"}}`:        "labels_invalid",
		`{"labels":{"a":"` + strings.Repeat("x", 10_000) + `"}}`: "labels_invalid",
		`{"labels":{"` + strings.Repeat("x", 129) + `":"b"}}`:    "labels_invalid",
		`{"labels":{` + strings.Join(many, ",") + `}}`:           "labels_invalid",
		`{"labels":{` + strings.Join(large, ",") + `}}`:          "labels_invalid",
		`{"labels":` + strings.Repeat("[", 30_000):               "body_invalid",
		`{"labels":{"a":` + strings.Repeat(`{"a":`, 10_000):      "body_invalid",
		`{"retention_class":"unheard-of"}`:                       "retention_class_unknown",
	} {
		h.refused(400, code, "PUT", release, body)
	}
	h.refused(413, "too_large", "PUT", release, `{"labels":`+strings.Repeat(" ", 70_000)+`{}}`)
	h.refused(400, "parameter_unknown", "PUT", release+"?retention_class=release", "{}")
}

// Every spelling of a path but the right one is refused, whatever the method, and
// stores nothing.
func TestHostilePackagePaths(t *testing.T) {
	h := open(t, changes{})
	h.do(201, "PUT", release+"/files/a/b", "hello")
	for _, path := range []string{
		"/v1/packages/", "/v1/packages/ci", "/v1/packages/ci/app", "/v1/packages/ci/app/", "/v1/packages//app/1.0",
		"/v1/packages/../app/1.0", "/v1/packages/%2e%2e/app/1.0", "/v1/packages/ci/../1.0", "/v1/packages/ci/app/..",
		"/v1/packages/ci/app/.", "/v1/packages/.ci/app/1.0", "/v1/packages/-ci/app/1.0", "/v1/packages/ci%2Fapp/1.0", "/v1/packages/ci%2Fapp/x/1.0",
		"/v1/packages/ci/app%00/1.0", "/v1/packages/ci/app/1.0%0a", "/v1/packages/ci/app%20x/1.0", "/v1/packages/ci/%C3%A9/1.0",
		"/v1/packages/ci/%c0%ae/1.0", "/v1/packages/ci/%ff/1.0", "/v1/packages/ci/app/sha256:00", "/v1/packages/ci/app@1/1.0",
		"/v1/packages/ci/" + strings.Repeat("a", 129) + "/1.0", "/v1/packages/ci/" + strings.Repeat("a", 10_000) + "/1.0",
		"/v1/packages/ci/app/%2531.0",
		release + "/", release + "//", release + "/files", release + "/files/", release + "/files//a", release + "/files/a//b",
		release + "/files/a/b/", release + "/files/./a/b", release + "/files/a/./b", release + "/files/../files/a/b", release + "/files/a/../a/b",
		release + "/files/..", release + "/files/%2e%2e/x", release + "/files/%2E", release + "/files/a%2Fb", release + "/files/a%2fb",
		release + "/files/a%5Cb", release + "/files/%2Fetc/passwd", release + "/files/a/b%00", release + "/files/%00", release + "/files/a%0d%0aX:1",
		release + "/files/%7f", release + "/files/%c2%80", release + "/files/%c0%ae%c0%ae/x", release + "/files/%ed%a0%80", release + "/files/%ff",
		release + "/files/" + strings.Repeat("a", 1025), release + "/files/" + strings.Repeat("%61", 1025), release + "/files/" + strings.Repeat("a/", 600) + "a",
		release + "/files/" + strings.Repeat("a", 10_000),
		release + "/seal/", release + "/seal/x", release + "/sealed", release + "/Seal", release + "/manifest/x", release + "/archive/x", release + "/%66iles", release + "/secret",
	} {
		before := h.mark()
		for _, method := range []string{"GET", "PUT", "DELETE", "POST"} {
			c := h.dial()
			c.send("%s %s HTTP/1.1\nHost: x\nContent-Length: 5\nConnection: close\n\nhello", method, path)
			resp, text := c.answer(method)
			t.Run(fmt.Sprintf("%s %.60s", method, path), func(t *testing.T) { refusal(t, resp, text, 400, "path_invalid") })
			if len(text) > 1000 {
				t.Errorf("%s %.60s: the answer echoes %d bytes", method, path, len(text))
			}
		}
		h.unchanged(before)
	}
	// Decoded once: an escaped letter is the letter, an escaped percent stays one.
	if _, text := h.do(200, "GET", "/v1/packages/%63i/app/1.0/files/%61/b", ""); string(text) != "hello" {
		t.Errorf("%q", text)
	}
	h.do(201, "PUT", release+"/files/100%25%2e%2e", "x")
	h.do(201, "PUT", release+"/files/...", "x")
	h.do(201, "PUT", release+"/files/"+strings.Repeat("a", 1024), "x")
	if p := h.show(""); len(p.Files) != 4 || p.Files[1].Path != "100%.." {
		t.Errorf("%+v", p.Files)
	}
}
