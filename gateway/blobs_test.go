package gateway_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	shapes "artifactstore/deploy/house"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func sha(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func b3(content []byte) string {
	sum := blake3.Sum256(content)
	return "blake3:" + hex.EncodeToString(sum[:])
}

func s512(content []byte) string {
	sum := sha512.Sum512(content)
	return "sha512:" + hex.EncodeToString(sum[:])
}

func field256(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

func field512(content []byte) string {
	sum := sha512.Sum512(content)
	return "sha-512=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// sizes are around every border of the way in: empty, one buffer, several.
var sizes = []int{0, 1, 4096, 256<<10 - 1, 256 << 10, 256<<10 + 1, 3<<20 + 17}

func TestUploadAndDownload(t *testing.T) { everyHouse(t, uploadAndDownload) }

func uploadAndDownload(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	for _, n := range sizes {
		for _, chunked := range []bool{false, true} {
			content := random(n)
			var body io.Reader = bytes.NewReader(content)
			if chunked {
				body = io.MultiReader(body) // hides the length
			}
			resp, text := h.request("POST", "/v1/blobs", body)
			want := 201
			if n == 0 && chunked {
				want = 200 // the empty blob was there
			}
			if resp.StatusCode != want {
				t.Fatalf("%d bytes: %s: %s", n, resp.Status, text)
			}
			var got struct {
				Digest      string            `json:"digest"`
				Digests     map[string]string `json:"digests"`
				Size        int               `json:"size"`
				Existed     bool              `json:"existed"`
				BackendID   string            `json:"backend_id"`
				LeasedUntil time.Time         `json:"leased_until"`
			}
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if got.Digest != sha(content) || "sha256:"+got.Digests["sha256"] != sha(content) || "blake3:"+got.Digests["blake3"] != b3(content) {
				t.Errorf("%d bytes: digests %+v", n, got)
			}
			if got.Size != n || got.Existed != (want == 200) || got.BackendID != shapes.BackendID {
				t.Errorf("%d bytes: %+v", n, got)
			}
			if in := time.Until(got.LeasedUntil); in < 89*24*time.Hour || in > 90*24*time.Hour {
				t.Errorf("leased until %s, want 90 days", got.LeasedUntil)
			}
			if resp.Header.Get("Location") != "/v1/blobs/"+sha(content) || resp.Header.Get("ETag") != `"`+sha(content)+`"` || resp.Header.Get("Repr-Digest") != field256(content) {
				t.Errorf("%d bytes: header %v", n, resp.Header)
			}
			for _, name := range []string{sha(content), b3(content)} {
				resp, text := h.request("GET", "/v1/blobs/"+name, nil)
				if resp.StatusCode != 200 || !bytes.Equal(text, content) {
					t.Errorf("%d bytes: get %s: %s, %d bytes", n, name, resp.Status, len(text))
				}
			}
		}
	}
}

func TestUploadWithDigest(t *testing.T) { everyHouse(t, uploadWithDigest) }

func uploadWithDigest(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	for _, n := range sizes {
		for _, name := range []func([]byte) string{sha, b3, s512} {
			content := append(random(n), name(nil)...)
			d := name(content)
			resp, text := h.request("PUT", "/v1/blobs/"+d, bytes.NewReader(content))
			if resp.StatusCode != 201 || !bytes.Contains(text, []byte(`"digest":"`+d+`"`)) {
				t.Fatalf("put %s: %s %s", d, resp.Status, text)
			}
			if resp, text := h.request("GET", "/v1/blobs/"+d, nil); resp.StatusCode != 200 || !bytes.Equal(text, content) {
				t.Errorf("get %s: %s", d, resp.Status)
			}
			before := h.mark()
			resp, text = h.request("PUT", "/v1/blobs/"+d, bytes.NewReader(append(content, 'x')))
			refusal(t, resp, text, 422, "digest_mismatch")
			resp, text = h.request("PUT", "/v1/blobs/"+name([]byte("other")), bytes.NewReader(content))
			refusal(t, resp, text, 422, "digest_mismatch")
			h.unchanged(before)
		}
	}
}

// A blob stored without SHA-512 is found by it once a client pushed it so.
func TestSHA512IsLearnt(t *testing.T) { everyHouse(t, sha512IsLearnt) }

func sha512IsLearnt(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	content := random(1000)
	h.put(content)
	resp, text := h.request("GET", "/v1/blobs/"+s512(content), nil)
	refusal(t, resp, text, 404, "blob_unknown")
	if resp, text := h.request("PUT", "/v1/blobs/"+s512(content), bytes.NewReader(content)); resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, text)
	}
	if resp, text := h.request("GET", "/v1/blobs/"+s512(content), nil); resp.StatusCode != 200 || !bytes.Equal(text, content) {
		t.Error(resp.Status)
	}
}

func TestDigestFields(t *testing.T) { everyHouse(t, digestFields) }

func digestFields(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	for i, test := range []struct {
		field, value string // of the content "hello"
		status       int
		code         string
	}{
		{"Repr-Digest", field256([]byte("hello")), 0, ""},
		{"Content-Digest", field256([]byte("hello")), 0, ""},
		{"Repr-Digest", field512([]byte("hello")), 0, ""},
		{"Repr-Digest", field256([]byte("hello")) + ", " + field512([]byte("hello")), 0, ""},
		{"Repr-Digest", "md5=:AAAA:, " + field256([]byte("hello")), 0, ""},
		{"Repr-Digest", "unixsum=30637", 0, ""},
		{"Repr-Digest", field256([]byte("other")), 422, "digest_mismatch"},
		{"Content-Digest", field512([]byte("other")), 422, "digest_mismatch"},
		{"Repr-Digest", field256([]byte("hello")) + ", " + field512([]byte("other")), 422, "digest_mismatch"},
		{"Repr-Digest", "sha-256=:AAAA:", 400, "digest_invalid"},
		{"Repr-Digest", "sha-256=5", 400, "digest_invalid"},
		{"Repr-Digest", "sha-256", 400, "digest_invalid"},
		{"Repr-Digest", "=:,", 400, "digest_invalid"},
		{"Repr-Digest", "sha-256=(:AAAA: :AAAA:)", 400, "digest_invalid"},
		{"Content-Digest", strings.Repeat("a=1,", 5000) + "b=", 400, "digest_invalid"},
	} {
		before := h.mark()
		resp, text := h.request("POST", "/v1/blobs", strings.NewReader("hello"), test.field, test.value)
		if test.status != 0 {
			refusal(t, resp, text, test.status, test.code)
			h.unchanged(before)
		} else if resp.StatusCode/100 != 2 {
			t.Errorf("%d: %s: %s: %s %s", i, test.field, test.value, resp.Status, text)
		}
	}
}

// trailing is a body that sets the request's trailer when it ends.
type trailing struct {
	io.Reader
	at func()
}

func (b *trailing) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		b.at()
	}
	return n, err
}

func TestDigestInTrailer(t *testing.T) { everyHouse(t, digestInTrailer) }

func digestInTrailer(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	for _, n := range []int{0, 5, 1 << 20} {
		for _, test := range []struct {
			value  func(content []byte) string
			status int
			code   string
		}{
			{field256, 0, ""},
			{field512, 0, ""},
			{func(c []byte) string { return field256(append(c[:len(c):len(c)], 1)) }, 422, "digest_mismatch"},
			{func(c []byte) string { return field512(append(c[:len(c):len(c)], 1)) }, 422, "digest_mismatch"},
			{func([]byte) string { return "sha-256=x" }, 400, "digest_invalid"},
		} {
			content := random(n)
			before := h.mark()
			req, _ := http.NewRequest("POST", h.url+"/v1/blobs", nil)
			req.Trailer = http.Header{"Repr-Digest": nil}
			req.ContentLength = -1
			req.Body = io.NopCloser(&trailing{bytes.NewReader(content), func() { req.Trailer.Set("Repr-Digest", test.value(content)) }})
			resp, err := client.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if test.status != 0 {
				refusal(t, resp, text, test.status, test.code)
				h.unchanged(before)
			} else if resp.StatusCode/100 != 2 {
				t.Errorf("%d bytes, %s: %s %s", n, test.value(content), resp.Status, text)
			}
		}
	}
}

func TestHeaders(t *testing.T) { everyHouse(t, headersOf) }

func headersOf(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	content := random(1000)
	path := h.put(content)
	for _, method := range []string{"GET", "HEAD"} {
		resp, text := h.request(method, path, nil)
		for name, want := range map[string]string{
			"Accept-Ranges":           "bytes",
			"Cache-Control":           "public, max-age=31536000, immutable",
			"Content-Disposition":     "attachment",
			"Content-Length":          "1000",
			"Content-Security-Policy": "default-src 'none'; sandbox",
			"Content-Type":            "application/octet-stream",
			"Etag":                    `"` + sha(content) + `"`,
			"Repr-Digest":             field256(content),
			"X-Content-Type-Options":  "nosniff",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s: %q, want %q", method, name, got, want)
			}
		}
		if resp.Header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", method)
		}
		if method == "HEAD" && len(text) != 0 {
			t.Errorf("HEAD sent %d bytes", len(text))
		}
	}
}

func TestRanges(t *testing.T) { everyHouse(t, rangesOf) }

func rangesOf(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	content := random(100_000)
	path := h.put(content)
	for _, test := range []struct {
		value  string
		status int
		want   []byte // with 200 and 206
	}{
		{"bytes=0-0", 206, content[:1]},
		{"bytes=10-19", 206, content[10:20]},
		{"bytes=99999-", 206, content[99_999:]},
		{"bytes=99990-200000", 206, content[99_990:]},
		{"bytes=99990-99999999999999999999", 206, content[99_990:]},
		{"bytes=-1", 206, content[99_999:]},
		{"bytes=-200000", 206, content},
		{"bytes= 5-9", 206, content[5:10]},
		{"bytes=5-9,", 206, content[5:10]},
		{"bytes=5-9,300000-", 206, content[5:10]},
		{"BYTES=5-9", 206, content[5:10]},
		{"lines=5-9", 200, content},
		{"bytes", 200, content},
		{"bytes=0-99999,0-99999", 206, content}, // no byte is sent twice
		{"bytes=5-9,10-14,7-", 206, content[5:]},
		{"bytes=20-29,15-24,10-19", 206, content[10:30]},
		{"bytes=" + every(64), 206, content[:64]}, // one byte each
		{"bytes=" + every(65), 416, nil},
		{"bytes=100000-", 416, nil},
		{"bytes=-0", 416, nil},
		{"bytes=99999999999999999999-", 416, nil},
		{"bytes=9-5", 416, nil},
		{"bytes=a-b", 416, nil},
		{"bytes=-", 416, nil},
		{"bytes=1", 416, nil},
		{"bytes=1-2-3", 416, nil},
		{"bytes=--5", 416, nil},
		{"bytes=+1-5", 416, nil},
		{"bytes=0x1-5", 416, nil},
		{"bytes=", 416, nil},
		{"bytes=" + strings.Repeat("0-0,", 1000), 416, nil},
	} {
		resp, text := h.request("GET", path, nil, "Range", test.value)
		name := fmt.Sprintf("%.40q", test.value)
		if test.status == 416 {
			refusal(t, resp, text, 416, "range_invalid")
			if got := resp.Header.Get("Content-Range"); got != "bytes */100000" {
				t.Errorf("%s: Content-Range %q", name, got)
			}
			continue
		}
		if resp.StatusCode != test.status || !bytes.Equal(text, test.want) {
			t.Errorf("%s: %s, %d bytes, want %d, %d", name, resp.Status, len(text), test.status, len(test.want))
		}
	}
	if resp, text := h.request("GET", h.put(nil), nil, "Range", "bytes=0-"); resp.StatusCode != 200 || len(text) != 0 {
		t.Errorf("a range of an empty blob: %s", resp.Status)
	}
}

// every asks for the first n bytes one by one.
func every(n int) string {
	var each []string
	for i := range n {
		each = append(each, fmt.Sprintf("%d-%d", i, i))
	}
	return strings.Join(each, ",")
}

func TestManyRanges(t *testing.T) { everyHouse(t, manyRanges) }

func manyRanges(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	content := random(500_000)
	path := h.put(content)
	resp, text := h.request("GET", path, nil, "Range", "bytes=400000-499999, 0-9 ,20-29,5-9,0-0")
	media, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if resp.StatusCode != 206 || media != "multipart/byteranges" || err != nil {
		t.Fatalf("%s %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	parts := multipart.NewReader(bytes.NewReader(text), params["boundary"])
	for i, want := range []struct {
		content []byte
		r       string
	}{
		{content[:10], "bytes 0-9/500000"},
		{content[20:30], "bytes 20-29/500000"},
		{content[400_000:], "bytes 400000-499999/500000"},
	} {
		p, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(p)
		if err != nil || !bytes.Equal(got, want.content) || p.Header.Get("Content-Range") != want.r {
			t.Errorf("part %d: %v, %d bytes, %s", i, err, len(got), p.Header.Get("Content-Range"))
		}
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("more parts: %v", err)
	}
}

func TestConditions(t *testing.T) { everyHouse(t, conditions) }

func conditions(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	content := random(1000)
	path := h.put(content)
	tag, other := `"`+sha(content)+`"`, `"`+sha(nil)+`"`
	for _, test := range []struct {
		header []string
		status int
		n      int
	}{
		{[]string{"If-None-Match", tag}, 304, 0},
		{[]string{"If-None-Match", "W/" + tag}, 304, 0},
		{[]string{"If-None-Match", other + ", " + tag}, 304, 0},
		{[]string{"If-None-Match", "*"}, 304, 0},
		{[]string{"If-None-Match", other}, 200, 1000},
		{[]string{"If-Match", tag}, 200, 1000},
		{[]string{"If-Match", other}, 412, -1},
		{[]string{"If-Match", "*"}, 200, 1000},
		{[]string{"If-None-Match", tag, "Range", "bytes=x"}, 304, 0},
		{[]string{"If-None-Match", tag, "Range", "bytes=0-1"}, 304, 0},
		{[]string{"If-Range", tag, "Range", "bytes=0-9"}, 206, 10},
		{[]string{"If-Range", other, "Range", "bytes=0-9"}, 200, 1000},
		{[]string{"If-Range", "W/" + tag, "Range", "bytes=0-9"}, 200, 1000}, // a weak one never matches
		{[]string{"If-Range", other, "Range", "bytes=5000-"}, 200, 1000},
	} {
		resp, text := h.request("GET", path, nil, test.header...)
		if test.status == 412 {
			refusal(t, resp, text, 412, "precondition_failed")
			continue
		}
		if resp.StatusCode != test.status || len(text) != test.n {
			t.Errorf("%v: %s with %d bytes, want %d with %d", test.header, resp.Status, len(text), test.status, test.n)
		}
	}
}

func TestExistedAndConcurrentPuts(t *testing.T) { everyHouse(t, existedAndConcurrentPuts) }

func existedAndConcurrentPuts(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	for _, n := range []int{4096, 1 << 20} {
		content := random(n)
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				method, path := "POST", "/v1/blobs"
				if i%2 == 0 {
					method, path = "PUT", "/v1/blobs/"+sha(content)
				}
				resp, text := h.request(method, path, bytes.NewReader(content))
				if resp.StatusCode/100 != 2 {
					t.Errorf("%s %s", resp.Status, text)
				}
			})
		}
		wg.Wait()
	}
	if n := len(h.files()); n != 2 {
		t.Errorf("%d files: %v", n, h.files())
	}
	if report, err := h.reg.Check(t.Context(), nil); err != nil || len(report.Problems) > 0 || report.Blobs != 2 {
		t.Errorf("%v %+v", err, report)
	}
}

func TestRelease(t *testing.T) { everyHouse(t, releaseOf) }

func releaseOf(t *testing.T, at shapes.House) {
	now := time.Now()
	h := open(t, changes{at: at, now: func() time.Time { return now }})
	content := random(100)
	path := h.put(content)
	if resp, text := h.request("DELETE", path, nil); resp.StatusCode != 204 || len(text) != 0 {
		t.Fatalf("%s %s", resp.Status, text)
	}
	for _, method := range []string{"GET", "DELETE"} {
		resp, text := h.request(method, path, nil)
		refusal(t, resp, text, 404, "blob_unknown")
	}
	h.put(content)
	if resp, _ := h.request("HEAD", path, nil); resp.StatusCode != 200 {
		t.Errorf("pushed again: %s", resp.Status)
	}
	now = now.Add(91 * 24 * time.Hour)
	if resp, _ := h.request("HEAD", path, nil); resp.StatusCode != 404 {
		t.Errorf("after the lease: %s", resp.Status)
	}
	resp, text := h.request("POST", "/v1/blobs?retention_class=release&producer=ci-7", bytes.NewReader(content))
	if resp.StatusCode != 200 || !bytes.Contains(text, []byte(`"leased_until":null`)) {
		t.Errorf("%s %s", resp.Status, text)
	}
}

// What is damaged or gone behind the gateway's back is never served, is seen in
// health, and is healed by the next push.
func TestHealOnPush(t *testing.T) { everyHouse(t, healOnPush) }

func healOnPush(t *testing.T, at shapes.House) {
	for _, n := range []int{4096, 1 << 20} {
		for name, damage := range map[string]func(h *house, path string, content []byte){
			"missing":   func(h *house, path string, _ []byte) { h.remove(path) },
			"truncated": func(h *house, path string, content []byte) { h.replace(path, content[:n/2]) },
		} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				h := open(t, changes{at: at})
				content := random(n)
				path := h.put(content)
				damage(h, path, content)
				for _, r := range []string{"", "bytes=0-9", "bytes=0-9,20-29"} {
					resp, text := h.request("GET", path, nil, "Range", r)
					if r == "" || name == "missing" || resp.StatusCode != 206 {
						refusal(t, resp, text, 404, "blob_unavailable")
					}
				}
				if _, text := h.request("GET", "/health", nil); !bytes.Contains(text, []byte(`"status": "degraded"`)) || !bytes.Contains(text, []byte(`"failed": 1`)) {
					t.Errorf("health: %s", text)
				}
				resp, text := h.request("HEAD", path, nil)
				if resp.StatusCode != 404 {
					t.Errorf("HEAD: %s %s", resp.Status, text)
				}
				resp, text = h.request("PUT", path, bytes.NewReader(content))
				if resp.StatusCode != 201 || !bytes.Contains(text, []byte(`"existed":false`)) {
					t.Errorf("heal: %s %s", resp.Status, text)
				}
				if resp, text := h.request("GET", path, nil); resp.StatusCode != 200 || !bytes.Equal(text, content) {
					t.Errorf("after: %s", resp.Status)
				}
				if _, text := h.request("GET", "/health", nil); !bytes.Contains(text, []byte(`"status": "ok"`)) || bytes.Contains(text, []byte(`degraded`)) {
					t.Errorf("health after: %s", text)
				}
				_, text = h.request("GET", "/v1/events", nil)
				for _, want := range []string{`location_failed`, `"reason": "` + name, `location_repaired`, `"source": "push"`} {
					if !bytes.Contains(text, []byte(want)) {
						t.Errorf("events lack %s", want)
					}
				}
			})
		}
	}
}
