package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"artifactstore/backends"
)

// Ranges without measure are refused, and no byte of those that are not is sent
// twice, by every way to read a blob.
func TestHostileRanges(t *testing.T) {
	h := open(t, changes{})
	content := random(100_000)
	for _, path := range h.stored(content) {
		oci := strings.HasPrefix(path, "/v2/")
		for value, status := range map[string]int{
			strings.Repeat("0-0,", 1000) + "5-5":  416,
			every(1000):                           416,
			every(65):                             416,
			"200000-":                             416,
			"-0":                                  416,
			"9-5":                                 416,
			every(64):                             206,
			strings.Repeat("0-,", 63) + "-100000": 206,
			"-200000":                             206,
			"0-9,50-59":                           206,
		} {
			resp, text := h.request("GET", path, nil, "Range", "bytes="+value)
			name := fmt.Sprintf("%s, %.30s", path, value)
			switch {
			case resp.StatusCode != status:
				t.Errorf("%s: %s", name, resp.Status)
			case status == 416 && oci:
				denial(t, resp, text, 416, "UNSUPPORTED")
			case status == 416:
				refusal(t, resp, text, 416, "range_invalid")
			case sent(t, resp.Header.Get("Content-Type"), text) > len(content):
				t.Errorf("%s: more than the whole", name)
			}
		}
		// A condition that is no strong match gives the whole (RFC 9110, section 13.1.5).
		for _, tag := range []string{`W/"` + sha(content) + `"`, `"x"`, "Mon, 02 Jan 2006 15:04:05 GMT", sha(content)} {
			if resp, text := h.request("GET", path, nil, "Range", "bytes=0-9", "If-Range", tag); resp.StatusCode != 200 || !bytes.Equal(text, content) {
				t.Errorf("%s, If-Range %s: %s, %d bytes", path, tag, resp.Status, len(text))
			}
		}
		if resp, text := h.request("GET", path, nil, "Range", "bytes=0-9", "If-Range", `"`+sha(content)+`"`); resp.StatusCode != 206 || !bytes.Equal(text, content[:10]) {
			t.Errorf("%s: %s, %d bytes", path, resp.Status, len(text))
		}
	}
}

// sent counts the bytes of a blob in an answer.
func sent(t *testing.T, media string, text []byte) (n int) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(media)
	if err != nil {
		t.Fatal(err)
	}
	if kind != "multipart/byteranges" {
		return len(text)
	}
	for parts := multipart.NewReader(bytes.NewReader(text), params["boundary"]); ; {
		p, err := parts.NextPart()
		if err == io.EOF {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		part, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		n += len(part)
	}
}

// What somebody stored runs in nobody's browser, whatever it is called and however it
// is asked for.
func TestStoredContentIsInert(t *testing.T) {
	h := open(t, changes{})
	page := []byte("<script>alert(1)</script>")
	paths := h.stored(page)
	for _, name := range []string{"page.html", "page.svg", "a%22%3B%20x=%22.html", "%E2%80%AEcod.exe"} {
		path := "/v1/packages/a/b/1/files/" + name
		if resp, text := h.request("PUT", path, bytes.NewReader(page), "Content-Type", "text/html"); resp.StatusCode/100 == 2 {
			paths = append(paths, path)
		} else if resp.StatusCode != 400 {
			t.Errorf("%s: %s %s", name, resp.Status, text)
		}
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD"} {
			resp, _ := h.request(method, path, nil, "Accept", "text/html")
			disposition, _, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition"))
			if err != nil || disposition != "attachment" {
				t.Errorf("%s: Content-Disposition %q, %v", path, resp.Header.Get("Content-Disposition"), err)
			}
			for field, want := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox", "Content-Type": "application/octet-stream",
			} {
				if got := resp.Header.Get(field); got != want {
					t.Errorf("%s %s: %s %q", method, path, field, got)
				}
			}
		}
	}
	for _, path := range []string{"/v1/blobs/<script>", "/v2/<script>/tags/list", "/<script>alert(1)</script>"} {
		resp, text := h.request("GET", path, nil)
		if !strings.Contains(resp.Header.Get("Content-Type"), "json") || resp.Header.Get("X-Content-Type-Options") != "nosniff" || bytes.Contains(text, []byte("<script>")) {
			t.Errorf("%s: %s %q: %s", path, resp.Status, resp.Header.Get("Content-Type"), text)
		}
	}
}

// Nothing that a client may want to keep to itself is in the log, the metrics, the
// events or a refusal, whichever face it asks; and no client makes series of its own.
func TestSecretsOnBothFaces(t *testing.T) {
	h := open(t, changes{})
	h.metrics()
	series := func() (n int) {
		for name := range h.metrics() {
			if strings.HasPrefix(name, "artifactstore_http_requests_total") {
				n++
			}
		}
		return n
	}
	var said bytes.Buffer
	fields := []string{
		"Authorization", "Bearer s3cr3t-0", "Proxy-Authorization", "Basic s3cr3t-1", "Cookie", "s=s3cr3t-2", "X-Registry-Auth", "s3cr3t-3",
		"User-Agent", "s3cr3t-4", "Referer", "https://x/?t=s3cr3t-5", "X-Forwarded-For", "s3cr3t-6", "X-Request-Id", "s3cr3t 7",
	}
	ask := func(n int) {
		for _, r := range []struct{ method, path string }{
			{"GET", "/v1/blobs/x?token=s3cr3t-8"}, {"POST", "/v1/blobs?token=s3cr3t-9"}, {"GET", "/v1/packages?token=s3cr3t-a"}, {"PUT", "/v1/packages/a/b/1?x=s3cr3t-b"},
			{"GET", "/v2/?token=s3cr3t-c"}, {"POST", "/v2/a/blobs/uploads/?token=s3cr3t-d"}, {"PUT", "/v2/a/manifests/x?token=s3cr3t-e"}, {"GET", "/v2/_catalog?n=1&token=s3cr3t-f"},
			{fmt.Sprintf("BREW%d", n), fmt.Sprint("/", n)}, {"GET", fmt.Sprintf("/v1/blobs/%d", n)}, {"GET", fmt.Sprintf("/v2/r%d/tags/list", n)}, {"GET", fmt.Sprintf("/v1/packages/p%d/x", n)},
		} {
			_, text := h.request(r.method, r.path, strings.NewReader("{}"), fields...)
			said.Write(text)
		}
	}
	ask(0)
	known := series()
	for n := range 20 {
		ask(n)
	}
	if n := series(); n != known {
		t.Errorf("clients made %d series of %d", n, known)
	}
	_, metrics := h.request("GET", "/metrics", nil)
	_, events := h.request("GET", "/v1/events?limit=1000", nil)
	for what, text := range map[string]string{"the log": h.log.String(), "the metrics": string(metrics), "the events": string(events), "an answer": said.String()} {
		if i := strings.Index(text, "s3cr3t"); i >= 0 {
			t.Errorf("a secret is in %s: %.100s", what, text[max(0, i-60):])
		}
	}
	for line := range strings.Lines(h.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not a line of JSON: %q", line)
		}
	}
}

// lying is a backend that does not give what it took.
type lying struct {
	backends.Backend
	how string
}

func (b *lying) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	switch b.how {
	case "gone":
		return nil, fmt.Errorf("open %s: on purpose: %w", key, fs.ErrNotExist)
	case "away":
		return nil, fmt.Errorf("open %s: on purpose: %w", key, backends.ErrUnavailable)
	}
	r, err := b.Backend.Open(ctx, key, off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	switch b.how {
	case "short":
		text = text[:len(text)/2]
	case "wrong":
		text[len(text)/2] ^= 1
	}
	return struct{ io.ReadCloser }{io.NopCloser(bytes.NewReader(text))}, err // as from a network: no file
}

// What a backend does not give, or gives wrong, no client takes for the content, by
// whatever way it is read.
func TestLyingBackendOnEveryWay(t *testing.T) {
	content := random(700 << 10)
	for how, test := range map[string]struct {
		status     int // 0: the answer breaks off
		plain, oci string
	}{
		"gone":  {404, "blob_unavailable", "BLOB_UNKNOWN"},
		"away":  {503, "backend_unavailable", "UNAVAILABLE"},
		"short": {0, "", ""},
		"wrong": {0, "", ""},
	} {
		t.Run(how, func(t *testing.T) {
			b := &lying{}
			h := open(t, changes{backend: func(real backends.Backend) backends.Backend { b.Backend = real; return b }})
			for _, path := range h.stored(content) {
				h.put(content) // heals what the last way found
				b.how = how
				resp, err := h.via.RoundTrip(must(http.NewRequest("GET", h.url+path, nil)))
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				b.how = ""
				switch {
				case test.status == 0:
					if err == nil && resp.StatusCode == 200 {
						t.Errorf("%s: %d bytes are taken for the content", path, len(text))
					}
				case strings.HasPrefix(path, "/v2/"):
					denial(t, resp, text, test.status, test.oci)
				default:
					refusal(t, resp, text, test.status, test.plain)
				}
				if test.status == 503 {
					retries(t, resp)
				}
			}
		})
	}
}
