package gateway_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
)

// way is one of the ways to send bytes to the gateway.
type way struct {
	name string
	line func(h *house, d string) string // method and target, for bytes of a digest
	oci  bool
}

// begin opens an upload session, which ends with the test.
func (h *house) begin() string {
	h.t.Helper()
	resp, text := h.request("POST", "/v2/a/blobs/uploads/", nil)
	if resp.StatusCode != 202 {
		h.t.Fatalf("begin: %s %s", resp.Status, text)
	}
	at := resp.Header.Get("Location")
	h.sessions = append(h.sessions, at)
	return at
}

// endSessions ends what begin began and nobody ended.
func (h *house) endSessions() {
	for _, at := range h.sessions {
		h.request("DELETE", at, nil)
	}
	h.sessions = nil
}

var ways = []way{
	{name: "POST blob", line: func(*house, string) string { return "POST /v1/blobs" }},
	{name: "PUT blob", line: func(_ *house, d string) string { return "PUT /v1/blobs/" + d }},
	{name: "PUT file", line: func(*house, string) string { return "PUT /v1/packages/a/b/1/files/f" }},
	{name: "oci POST", oci: true, line: func(_ *house, d string) string { return "POST /v2/a/blobs/uploads/?digest=" + d }},
	{name: "oci PATCH", oci: true, line: func(h *house, _ string) string { return "PATCH " + h.begin() }},
	{name: "oci PUT", oci: true, line: func(h *house, d string) string { return "PUT " + h.begin() + "?digest=" + d }},
	{name: "oci manifest", oci: true, line: func(*house, string) string { return "PUT /v2/a/manifests/x" }},
}

// lies are bodies that are not what their head promises, or not HTTP at all. Each
// follows the line of a way.
var lies = map[string]struct {
	rest   string
	status int  // 0 for any of 4xx
	server bool // refused by the server itself, in no face's form
}{
	"shorter than its length":    {"Content-Length: 10\n\nhello", 400, false},
	"two lengths":                {"Content-Length: 5\nContent-Length: 6\n\nhello", 400, true},
	"two lengths in one":         {"Content-Length: 5, 5\n\nhello", 400, true},
	"a negative length":          {"Content-Length: -5\n\nhello", 400, true},
	"a signed length":            {"Content-Length: +5\n\nhello", 400, true},
	"a length of words":          {"Content-Length: five\n\nhello", 400, true},
	"a hexadecimal length":       {"Content-Length: 0x5\n\nhello", 400, true},
	"an empty length":            {"Content-Length:\n\nhello", 400, true},
	"a length beyond numbers":    {"Content-Length: 9223372036854775808\n\nhello", 400, true},
	"no last chunk":              {"Transfer-Encoding: chunked\n\n5\nhello\n", 400, false},
	"a torn chunk":               {"Transfer-Encoding: chunked\n\nff\nhello", 400, false},
	"a chunk of words":           {"Transfer-Encoding: chunked\n\nzz\nhello\n0\n\n", 400, false},
	"a negative chunk":           {"Transfer-Encoding: chunked\n\n-5\nhello\n0\n\n", 400, false},
	"a chunk beyond numbers":     {"Transfer-Encoding: chunked\n\n" + strings.Repeat("f", 17) + "\nhello\n0\n\n", 400, false},
	"a chunk of more":            {"Transfer-Encoding: chunked\n\n3\nhello\n0\n\n", 400, false},
	"an endless extension":       {"Transfer-Encoding: chunked\n\n5;" + strings.Repeat("x", 100_000) + "\nhello\n0\n\n", 400, false},
	"endless extensions":         {"Transfer-Encoding: chunked\n\n" + strings.Repeat("1;"+strings.Repeat("x", 2000)+"\na\n", 100) + "0\n\n", 400, false},
	"an endless trailer":         {"Transfer-Encoding: chunked\n\n5\nhello\n0\nX: " + strings.Repeat("x", 100_000) + "\n\n", 400, false},
	"a bad trailer":              {"Transfer-Encoding: chunked\n\n5\nhello\n0\nno colon\n\n", 400, false},
	"a trailer that is none":     {"Transfer-Encoding: chunked\nTrailer: Content-Length\n\n5\nhello\n0\n\n", 400, true},
	"chunked twice":              {"Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n", 501, true},
	"chunked and more":           {"Transfer-Encoding: chunked, identity\n\n5\nhello\n0\n\n", 501, true},
	"an encoding of its own":     {"Transfer-Encoding: xchunked\n\n5\nhello\n0\n\n", 501, true},
	"chunked with a tab":         {"Transfer-Encoding: \x0bchunked\n\n5\nhello\n0\n\n", 0, true},
	"a space before the colon":   {"Transfer-Encoding : chunked\n\n5\nhello\n0\n\n", 400, true},
	"a folded field":             {"X: a\n b: c\nContent-Length: 5\nContent-Length\n : 6\n\nhello", 400, true},
	"a field without a name":     {"Content-Length: 5\n: x\n\nhello", 400, true},
	"a NUL in a field":           {"Content-Length: 5\nX: \x00\n\nhello", 400, true},
	"two hosts":                  {"Host: y\nContent-Length: 5\n\nhello", 400, true},
	"a header too large":         {"Content-Length: 5\nX: " + strings.Repeat("x", 80_000) + "\n\nhello", 431, true},
	"a header of too many lines": {"Content-Length: 5\n" + strings.Repeat("X: x\n", 14_000) + "\nhello", 431, true},
}

// A body that lies is refused in the face's form, by every way there is, in the
// plain and encrypted; the connection ends with it, and it leaves nothing.
func TestLiesOnEveryWay(t *testing.T) {
	for name, with := range map[string]*secured{"plain": nil, "TLS": secure(t)} {
		t.Run(name, func(t *testing.T) {
			h := open(t, changes{tls: with})
			for _, w := range ways {
				for name, lie := range lies {
					before := h.mark()
					c := h.dial()
					c.try("%s HTTP/1.1\nHost: x\n%s", w.line(h, sha([]byte("hello"))), lie.rest)
					c.half()
					resp, text := c.answer("PUT")
					t.Run(w.name+", "+name, func(t *testing.T) {
						switch {
						case resp.StatusCode != lie.status && (lie.status != 0 || resp.StatusCode/100 != 4):
							t.Errorf("%s %.300s", resp.Status, text)
						case lie.server:
						case w.oci:
							denial(t, resp, text, lie.status, "BLOB_UPLOAD_INVALID")
						default:
							refusal(t, resp, text, lie.status, codeOf(text))
						}
					})
					c.ended()
					c.Close()
					h.endSessions()
					h.unchanged(before)
				}
			}
			h.put([]byte("the gateway goes on"))
		})
	}
}

// codeOf is which of the two codes of a body that is not good a problem has.
func codeOf(text []byte) string {
	if bytes.Contains(text, []byte(`"body_incomplete"`)) {
		return "body_incomplete"
	}
	return "body_invalid"
}

// A stream whose body is not what its head promises, or that is given up, is refused
// by itself: its connection serves on, and nothing is left.
func TestLiesOfAStream(t *testing.T) {
	s := secure(t)
	h := open(t, changes{tls: s})
	c := s.transport(true)
	defer c.CloseIdleConnections()
	content := random(700 << 10)
	for _, w := range ways {
		for name, body := range map[string]struct {
			length  int64
			body    io.Reader
			trailer string
			status  int // 0 where the client gives up itself
		}{
			"shorter":          {int64(len(content)), bytes.NewReader(content[:600<<10]), "", 0},
			"longer":           {600 << 10, bytes.NewReader(content), "", 0},
			"given up":         {-1, io.MultiReader(bytes.NewReader(content[:300<<10]), failing{}), "", 0},
			"a trailer's lie":  {-1, bytes.NewReader(content), field256([]byte("other")), 422},
			"a trailer of lie": {-1, bytes.NewReader(content), "sha-256=:AA:", 400},
		} {
			if body.trailer != "" && w.oci {
				continue // which has its digests in the path
			}
			before := h.mark()
			method, target, _ := strings.Cut(w.line(h, sha(content)), " ")
			req := must(http.NewRequest(method, h.url+target, struct{ io.Reader }{body.body}))
			req.ContentLength = body.length
			if body.trailer != "" {
				req.Trailer = http.Header{"Repr-Digest": {body.trailer}}
			}
			resp, err := c.RoundTrip(req)
			switch {
			case err != nil && body.status != 0:
				t.Errorf("%s, %s: %v", w.name, name, err)
			case err == nil:
				text, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != body.status && (body.status != 0 || resp.StatusCode/100 != 4) {
					t.Errorf("%s, %s: %s %s", w.name, name, resp.Status, text)
				}
			}
			h.endSessions()
			h.unchanged(before)
		}
	}
	resp, err := c.RoundTrip(must(http.NewRequest("POST", h.url+"/v1/blobs", bytes.NewReader(content))))
	if err != nil || resp.StatusCode != 201 {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
}

// failing is a body that breaks off.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("on purpose") }

// What stands behind the end of a body is another request, wherever two readers
// could disagree over that end, and is never part of what is stored.
func TestSmuggling(t *testing.T) {
	for name, with := range map[string]*secured{"plain": nil, "TLS": secure(t)} {
		t.Run(name, func(t *testing.T) {
			h := open(t, changes{tls: with})
			for _, w := range ways[:6] {
				for name, test := range map[string]struct{ rest, stored string }{
					// A length beside chunks does not count (RFC 9112, section 6.3).
					"length and chunks": {"Content-Length: 100\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n", "hello"},
					"chunks and length": {"Transfer-Encoding: chunked\nContent-Length: 1\n\n5\nhello\n0\n\n", "hello"},
					"the same twice":    {"Content-Length: 5\nContent-Length: 5\n\nhello", "hello"},
					"longer":            {"Content-Length: 5\n\nhello", "hello"},
				} {
					c := h.dial()
					c.send("%s HTTP/1.1\nHost: x\n%sGET /nothing HTTP/1.1\nHost: x\nConnection: close\n\n", w.line(h, sha([]byte(test.stored))), test.rest)
					first, text := c.answer("PUT")
					second, _ := c.answer("GET")
					if first.StatusCode/100 != 2 || second.StatusCode != 404 {
						t.Errorf("%s, %s: %s, then %s: %s", w.name, name, first.Status, second.Status, text)
					}
					c.ended()
					c.Close()
					h.endSessions()
					if _, text := h.request("GET", "/v1/blobs/"+sha([]byte("hello")), nil); w.name != "oci PATCH" && string(text) != "hello" {
						t.Errorf("%s, %s: stored is %q", w.name, name, text)
					}
				}
			}
		})
	}
}

// Fields that mean one thing are refused where they say two; of two digests the last
// holds (RFC 9651, section 4.2.2).
func TestDuplicateFields(t *testing.T) {
	h := open(t, changes{})
	d := sha([]byte("hello"))
	h.put([]byte("hello"))
	session := h.begin()
	before := h.mark()
	for _, test := range []struct {
		head   string
		status int
	}{
		{"POST /v1/blobs HTTP/1.1\nRepr-Digest: " + field256([]byte("hello")) + "\nRepr-Digest: " + field256([]byte("other")) + "\nContent-Length: 5\n\nhello", 422},
		{"PUT /v2/a/manifests/x HTTP/1.1\nContent-Type: application/json\nContent-Type: text/html\nContent-Length: 2\n\n{}", 400},
		{"PATCH " + session + " HTTP/1.1\nContent-Range: 0-4\nContent-Range: 0-4\nContent-Length: 5\n\nhello", 400},
		{"GET /v1/blobs/" + d + " HTTP/1.1\nHost: y\n\n", 400},
		{"GET /v1/events?limit=1&limit=2 HTTP/1.1\n\n", 400},
		{"GET /v2/_catalog?n=1&n=2 HTTP/1.1\n\n", 400},
	} {
		c := h.dial()
		c.send("%s", strings.Replace(test.head, "HTTP/1.1\n", "HTTP/1.1\nHost: x\nConnection: close\n", 1))
		if resp, text := c.answer("PUT"); resp.StatusCode != test.status {
			t.Errorf("%.80q: %s %s", test.head, resp.Status, text)
		}
		c.ended()
	}
	h.unchanged(before)
	h.endSessions()
}

// Requests that come all at once are answered in their order.
func TestPipelining(t *testing.T) {
	for name, with := range map[string]*secured{"plain": nil, "TLS": secure(t)} {
		t.Run(name, func(t *testing.T) {
			h := open(t, changes{tls: with})
			c := h.dial()
			var all strings.Builder
			var want []int
			for range 20 {
				all.WriteString("POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello")
				all.WriteString("GET /v1/blobs/" + sha([]byte("hello")) + " HTTP/1.1\nHost: x\n\n")
				all.WriteString("HEAD /v2/a/blobs/" + sha([]byte("none")) + " HTTP/1.1\nHost: x\n\n")
				all.WriteString("GET /v2/ HTTP/1.1\nHost: x\n\n")
				want = append(want, 2, 2, 4, 2)
			}
			go c.send("%s", all.String())
			for i, status := range want {
				if resp, text := c.answer([]string{"POST", "GET", "HEAD", "GET"}[i%4]); resp.StatusCode/100 != status {
					t.Fatalf("answer %d: %s %s", i, resp.Status, text)
				}
			}
		})
	}
}

// A target with a host in it, or none at all, is the same path or no path.
func TestFormsOfTargets(t *testing.T) {
	h := open(t, changes{})
	d := sha([]byte("hello"))
	h.put([]byte("hello"))
	for target, status := range map[string]int{
		"GET http://x/v1/blobs/" + d:              200,
		"GET http://elsewhere.example/v1/blobs/x": 400,
		"GET HTTP://x:80/v2/":                     200,
		"GET http://x":                            404,
		"GET http://user:secret@x/livez":          200,
		"GET x:80":                                404,
		"GET *":                                   404,
		"OPTIONS *":                               404,
		"CONNECT x:80":                            404,
		"CONNECT /v1/blobs/" + d:                  405,
		"GET v1/blobs/" + d:                       400,
		"GET ?x":                                  400,
		"GET /v1/blobs/" + d + "#x":               400,
		"GET //x/v1/blobs/" + d:                   404,
		"PRI *":                                   404,
	} {
		c := h.dial()
		c.send("%s HTTP/1.1\nHost: x\nConnection: close\n\n", target)
		resp, text := c.answer(strings.Split(target, " ")[0])
		if resp.StatusCode != status {
			t.Errorf("%s: %s %s, want %d", target, resp.Status, text, status)
		}
	}
	if strings.Contains(h.log.String(), "secret") {
		t.Error("a password of a target is in the log")
	}
}

// Old clients are served by both faces, and their connections end.
func TestHTTP10OnBothFaces(t *testing.T) {
	h := open(t, changes{})
	for _, request := range []string{
		"GET /livez HTTP/1.0\n\n", "GET /v2/ HTTP/1.0\n\n", "POST /v1/blobs HTTP/1.0\nContent-Length: 5\n\nhello",
		"POST /v2/a/blobs/uploads/?digest=" + sha([]byte("hello")) + " HTTP/1.0\nContent-Length: 5\n\nhello",
	} {
		c := h.dial()
		c.send("%s", request)
		if resp, text := c.answer("POST"); resp.StatusCode/100 != 2 {
			t.Errorf("%q: %s %s", request, resp.Status, text)
		}
		c.ended()
	}
	// Chunks are of HTTP/1.1: here they are no body, and never one.
	before := h.mark()
	c := h.dial()
	c.send("POST /v1/blobs HTTP/1.0\nTransfer-Encoding: chunked\n\n5\nother\n0\n\n")
	c.answer("POST")
	c.ended()
	if resp, _ := h.request("GET", "/v1/blobs/"+sha([]byte("other")), nil); resp.StatusCode != 404 {
		t.Errorf("%s: %+v", resp.Status, before)
	}
}

// Clients that go away in the middle, on either face, in the plain and encrypted, and
// floods of connections that say nothing leave no goroutine, session, descriptor or
// file.
func TestNothingIsLeft(t *testing.T) {
	for name, with := range map[string]*secured{"plain": nil, "TLS": secure(t)} {
		t.Run(name, func(t *testing.T) {
			h := open(t, changes{tls: with})
			h.put([]byte("hello"))
			h.via.CloseIdleConnections()
			before, goroutines := h.mark(), runtime.NumGoroutine()
			h.abuse() // once before: a database may keep what it opened
			settled := func() bool { return runtime.NumGoroutine() <= goroutines }
			eventually(t, "goroutines are left", settled)
			descriptors := openFiles(t)
			h.abuse()
			h.unchanged(before)
			eventually(t, "goroutines are left the second time", settled)
			eventually(t, "descriptors are left", func() bool { return openFiles(t) <= descriptors })
			eventually(t, "sessions are left", func() bool {
				totals, err := h.reg.Totals(t.Context())
				return err == nil && totals.Uploads == 0
			})
		})
	}
}

// abuse sends parts of bodies by every way and leaves, and opens many connections on
// which nothing, or not enough, is said.
func (h *house) abuse() {
	content := random(600 << 10)
	for _, w := range ways {
		for _, sent := range []int{0, 10, len(content) / 2} {
			for _, head := range []string{"Content-Length: 614400\n\n", "Transfer-Encoding: chunked\n\n96000\n"} {
				c := h.dial()
				c.try("%s HTTP/1.1\nHost: x\n%s", w.line(h, sha(content)), head)
				c.Write(content[:sent])
				c.reset()
			}
		}
	}
	var silent []*raw
	for range 100 {
		silent = append(silent, h.dialPlain())
	}
	for i, c := range silent {
		if i%2 == 0 {
			fmt.Fprint(c, "GET /v1/blobs/")
		}
		c.reset()
	}
	h.endSessions()
	h.via.CloseIdleConnections()
}

// openFiles counts the descriptors of the process.
func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
