package gateway_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	shapes "artifactstore/deploy/house"
)

// Every spelling of a path but the right one is refused, and stores nothing.
func TestHostilePaths(t *testing.T) { everyHouse(t, hostilePaths) }

func hostilePaths(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	d := h.put([]byte("hello"))[len("/v1/blobs/"):]
	hex := d[len("sha256:"):]
	for _, test := range []struct {
		path   string
		status int
		code   string
	}{
		{"/v1/blobs/", 404, "path_unknown"},
		{"/v1/blobs/" + d + "/", 404, "path_unknown"},
		{"/v1//blobs/" + d, 404, "path_unknown"},
		{"//v1/blobs/" + d, 404, "path_unknown"},
		{"/v1/./blobs/" + d, 404, "path_unknown"},
		{"/v1/blobs/../blobs/" + d, 404, "path_unknown"},
		{"/v1/x/%2e%2e/blobs/" + d, 404, "path_unknown"},
		{"/v1%2Fblobs/" + d, 404, "path_unknown"},
		{"/V1/blobs/" + d, 404, "path_unknown"},
		{"/v1/blobs/..", 400, "digest_invalid"},
		{"/v1/blobs/%2e%2e", 400, "digest_invalid"},
		{"/v1/blobs/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 400, "digest_invalid"},
		{"/v1/blobs/..%5c..%5cetc", 400, "digest_invalid"},
		{"/v1/blobs/" + d + "%2F", 400, "digest_invalid"},
		{"/v1/blobs/%00", 400, "digest_invalid"},
		{"/v1/blobs/" + d + "%00", 400, "digest_invalid"},
		{"/v1/blobs/%c0%ae%c0%ae", 400, "digest_invalid"},
		{"/v1/blobs/%ff%fe", 400, "digest_invalid"},
		{"/v1/blobs/%0d%0aX-Evil:1", 400, "digest_invalid"},
		{"/v1/blobs/" + strings.Repeat("a", 10_000), 400, "digest_invalid"},
		{"/v1/blobs/" + strings.Repeat("%61", 5_000), 400, "digest_invalid"},
		{"/" + strings.Repeat("x/", 5_000), 404, "path_unknown"},
		{"/v1/blobs/" + strings.ToUpper(hex), 400, "digest_invalid"},
		{"/v1/blobs/sha256:" + strings.ToUpper(hex), 400, "digest_invalid"},
		{"/v1/blobs/SHA256:" + hex, 400, "digest_invalid"},
		{"/v1/blobs/sha256:" + hex[1:], 400, "digest_invalid"},
		{"/v1/blobs/sha256:" + hex + "0", 400, "digest_invalid"},
		{"/v1/blobs/sha256:sha256:" + hex, 400, "digest_invalid"},
		{"/v1/blobs/sha256:", 400, "digest_invalid"},
		{"/v1/blobs/:" + hex, 400, "digest_invalid"},
		{"/v1/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", 400, "digest_invalid"},
		{"/v1/blobs/sha512:" + hex, 400, "digest_invalid"},
		{"/v1/blobs/sha256:%20" + hex[1:], 400, "digest_invalid"},
		{"/v1/blobs/sha256:" + hex[:63] + "g", 400, "digest_invalid"},
		{"/v1/blobs/sha256%253A" + hex, 400, "digest_invalid"}, // decoded once
	} {
		before := h.mark()
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			if method != "GET" && test.code == "path_unknown" {
				continue
			}
			c := h.dial()
			c.send("%s %s HTTP/1.1\nHost: x\nContent-Length: 5\nConnection: close\n\nhello", method, test.path)
			resp, text := c.answer(method)
			name := fmt.Sprintf("%s %.60s", method, test.path)
			t.Run(name, func(t *testing.T) { refusal(t, resp, text, test.status, test.code) })
			if len(text) > 1000 {
				t.Errorf("%s: the answer echoes %d bytes", name, len(text))
			}
		}
		h.unchanged(before)
	}
	// One more spelling of the right path is the same resource.
	if resp, text := h.request("GET", "/v1/blobs/sha256%3A"+hex, nil); resp.StatusCode != 200 || string(text) != "hello" {
		t.Errorf("%s %q", resp.Status, text)
	}
}

func TestHostileParameters(t *testing.T) { everyHouse(t, hostileParameters) }

func hostileParameters(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	long := strings.Repeat("x", 10_000)
	for _, test := range []struct{ method, path, code string }{
		{"POST", "/v1/blobs?producer=", "parameter_invalid"},
		{"POST", "/v1/blobs?producer=a/b", "parameter_invalid"},
		{"POST", "/v1/blobs?producer=..", "parameter_invalid"},
		{"POST", "/v1/blobs?producer=-a", "parameter_invalid"},
		{"POST", "/v1/blobs?producer=%00", "parameter_invalid"},
		{"POST", "/v1/blobs?producer=a%0ab", "parameter_invalid"},
		{"POST", "/v1/blobs?producer=a%0a", "parameter_invalid"},
		{"POST", "/v1/blobs?producer=%ff", "parameter_invalid"},
		{"POST", "/v1/blobs?producer=" + long, "parameter_invalid"},
		{"POST", "/v1/blobs?producer=a&producer=b", "parameter_invalid"},
		{"POST", "/v1/blobs?producer=a;b", "parameter_invalid"},
		{"POST", "/v1/blobs?producer=%zz", "parameter_invalid"},
		{"POST", "/v1/blobs?" + long + "=1", "parameter_unknown"},
		{"POST", "/v1/blobs?class=release", "parameter_unknown"},
		{"POST", "/v1/blobs?retention_class=unheard-of", "retention_class_unknown"},
		{"POST", "/v1/blobs?retention_class=", "parameter_invalid"},
		{"GET", "/v1/events?after=-1", "parameter_invalid"},
		{"GET", "/v1/events?after=%2B1", "parameter_invalid"},
		{"GET", "/v1/events?after=1%20", "parameter_invalid"},
		{"GET", "/v1/events?after=1e9", "parameter_invalid"},
		{"GET", "/v1/events?after=9223372036854775808", "parameter_invalid"},
		{"GET", "/v1/events?after=", "parameter_invalid"},
		{"GET", "/v1/events?after=1&after=2", "parameter_invalid"},
		{"GET", "/v1/events?limit=0", "parameter_invalid"},
		{"GET", "/v1/events?limit=-1", "parameter_invalid"},
		{"GET", "/v1/events?limit=1001", "parameter_invalid"},
		{"GET", "/v1/events?limit=1e3", "parameter_invalid"},
		{"GET", "/v1/events?limit=9223372036854775808", "parameter_invalid"},
		{"GET", "/v1/events?limit=" + long, "parameter_invalid"},
		{"GET", "/v1/events?wait=5", "parameter_invalid"},
		{"GET", "/v1/events?wait=-1s", "parameter_invalid"},
		{"GET", "/v1/events?wait=61s", "parameter_invalid"},
		{"GET", "/v1/events?wait=" + long, "parameter_invalid"},
		{"GET", "/v1/events?since=5", "parameter_unknown"},
	} {
		before := h.mark()
		resp, text := h.request(test.method, test.path, strings.NewReader("hello"))
		t.Run(fmt.Sprintf("%.60s", test.path), func(t *testing.T) { refusal(t, resp, text, 400, test.code) })
		if len(text) > 1000 {
			t.Errorf("%.60s: the answer echoes %d bytes", test.path, len(text))
		}
		h.unchanged(before)
	}
	resp, text := h.request("GET", "/v1/events", nil, "Accept", "text/event-stream", "Last-Event-ID", "x1")
	refusal(t, resp, text, 400, "parameter_invalid")
	resp, text = h.request("PUT", "/v1/blobs/"+sha([]byte("hello")), strings.NewReader("hello"), "Content-Range", "bytes 0-4/5")
	refusal(t, resp, text, 400, "range_invalid")
}

func TestMethods(t *testing.T) { everyHouse(t, methodsOf) }

func methodsOf(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	path := h.put([]byte("hello"))
	before := h.mark()
	for _, test := range []struct{ method, path, allow string }{
		{"GET", "/v1/blobs", "POST"}, {"PUT", "/v1/blobs", "POST"}, {"DELETE", "/v1/blobs", "POST"},
		{"POST", path, "GET, HEAD, PUT, DELETE"}, {"PATCH", path, "GET, HEAD, PUT, DELETE"},
		{"OPTIONS", path, "GET, HEAD, PUT, DELETE"}, {"TRACE", path, "GET, HEAD, PUT, DELETE"}, {"BREW", path, "GET, HEAD, PUT, DELETE"},
		{"POST", "/health", "GET, HEAD"}, {"DELETE", "/v1/events", "GET, HEAD"}, {"PUT", "/metrics", "GET, HEAD"}, {"POST", "/livez", "GET, HEAD"},
		{"POST", "/readyz", "GET, HEAD"},
	} {
		resp, text := h.request(test.method, test.path, strings.NewReader("x"))
		refusal(t, resp, text, 405, "method_not_allowed")
		if resp.Header.Get("Allow") != test.allow {
			t.Errorf("%s %s: Allow %q", test.method, test.path, resp.Header.Get("Allow"))
		}
	}
	h.unchanged(before)
}

// What HTTP itself forbids is refused before any of our code, on a connection
// that then ends.
func TestMalformedRequests(t *testing.T) {
	h := open(t, changes{})
	for name, request := range map[string]string{
		"two lengths":           "POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: 5\nContent-Length: 6\n\nhello",
		"length of words":       "POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: five\n\nhello",
		"negative length":       "POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: -5\n\nhello",
		"signed length":         "POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: +5\n\nhello",
		"length beyond numbers": "POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: 9223372036854775808\n\nhello",
		"no host":               "GET /livez HTTP/1.1\n\n",
		"field without a name":  "GET /livez HTTP/1.1\nHost: x\n: x\n\n",
		"space before colon":    "GET /livez HTTP/1.1\nHost: x\nX : x\n\n",
		"bad escape":            "GET /v1/blobs/%zz HTTP/1.1\nHost: x\n\n",
		"raw NUL":               "GET /v1/blobs/\x00 HTTP/1.1\nHost: x\n\n",
		"header too long":       "GET /livez HTTP/1.1\nHost: x\nX: " + strings.Repeat("x", 80_000) + "\n\n",
		"no HTTP":               "hello\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			before := h.mark()
			c := h.dial()
			c.send("%s", request)
			resp, _ := c.answer("POST")
			if resp.StatusCode/100 != 4 {
				t.Error(resp.Status)
			}
			c.ended()
			h.unchanged(before)
		})
	}
}

// A body that is not what its head promised stores nothing.
func TestLyingBodies(t *testing.T) { everyHouse(t, lyingBodies) }

func lyingBodies(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at, limit: 1 << 20})
	const chunked = "POST /v1/blobs HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n"
	big := strings.Repeat("x", 300<<10)
	for name, test := range map[string]struct {
		request string
		status  int
		code    string
	}{
		"shorter than its length":      {"POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: 10\n\nhello", 400, "body_incomplete"},
		"long and shorter":             {"POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: 600000\n\n" + big, 400, "body_incomplete"},
		"put shorter":                  {"PUT /v1/blobs/" + sha([]byte("hello")) + " HTTP/1.1\nHost: x\nContent-Length: 10\n\nhello", 400, "body_incomplete"},
		"no last chunk":                {chunked + "\n5\nhello\n", 400, "body_incomplete"},
		"torn chunk":                   {chunked + "\nff\nhello", 400, "body_incomplete"},
		"chunk size of words":          {chunked + "\nzz\nhello\n0\n\n", 400, "body_invalid"},
		"negative chunk":               {chunked + "\n-5\nhello\n0\n\n", 400, "body_invalid"},
		"chunk size beyond numbers":    {chunked + "\n" + strings.Repeat("f", 17) + "\nhello\n0\n\n", 400, "body_invalid"},
		"chunk longer than its size":   {chunked + "\n3\nhello\n0\n\n", 400, "body_invalid"},
		"endless chunk extension":      {chunked + "\n5;" + strings.Repeat("x", 100_000) + "\nhello\n0\n\n", 400, "body_invalid"},
		"many chunk extensions":        {chunked + "\n" + strings.Repeat("1;"+strings.Repeat("x", 2000)+"\na\n", 100) + "0\n\n", 400, "body_invalid"},
		"endless trailer":              {chunked + "\n5\nhello\n0\nX: " + strings.Repeat("x", 100_000) + "\n\n", 400, "body_invalid"},
		"malformed trailer":            {chunked + "\n5\nhello\n0\nno colon\n\n", 400, "body_invalid"},
		"wrong digest in trailer":      {chunked + "Trailer: Repr-Digest\n\n5\nhello\n0\nRepr-Digest: " + field256([]byte("other")) + "\n\n", 422, "digest_mismatch"},
		"unannounced trailer":          {chunked + "\n5\nhello\n0\nRepr-Digest: " + field256([]byte("other")) + "\n\n", 422, "digest_mismatch"},
		"unannounced sha512 trailer":   {chunked + "\n5\nhello\n0\nContent-Digest: " + field512([]byte("hello")) + "\n\n", 400, "digest_invalid"},
		"malformed digest in trailer":  {chunked + "Trailer: Repr-Digest\n\n5\nhello\n0\nRepr-Digest: sha-256=:AA:\n\n", 400, "digest_invalid"},
		"too large, announced":         {"POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: 1048577\n\n", 413, "too_large"},
		"too large, not announced":     {chunked + "\n" + strings.Repeat(fmt.Sprintf("%x\n%s\n", len(big), big), 4), 413, "too_large"},
		"larger than can be":           {"POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: 9223372036854775807\n\n", 413, "too_large"},
		"trailer that must not be one": {chunked + "Trailer: Content-Length\n\n5\nhello\n0\n\n", 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := h.mark()
			c := h.dial()
			c.send("%s", test.request)
			c.half()
			resp, text := c.answer("POST")
			if test.code == "" { // refused by the server itself
				if resp.StatusCode != test.status {
					t.Error(resp.Status)
				}
			} else {
				refusal(t, resp, text, test.status, test.code)
			}
			c.ended()
			h.unchanged(before)
		})
	}
}

// What comes behind a body's announced end is not part of it.
func TestBodyLongerThanItsLength(t *testing.T) { everyHouse(t, bodyLongerThanItsLength) }

func bodyLongerThanItsLength(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	c := h.dial()
	c.send("POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello, world\n\n")
	if resp, text := c.answer("POST"); resp.StatusCode != 201 || !bytes.Contains(text, []byte(sha([]byte("hello")))) {
		t.Errorf("%s %s", resp.Status, text)
	}
	if resp, _ := c.answer("POST"); resp.StatusCode != 400 {
		t.Error(resp.Status)
	}
	c.ended()
	if n := len(h.files()); n != 1 {
		t.Errorf("%d files", n)
	}
}

// A client that crashes in the middle of its body leaves nothing.
func TestClientLeaves(t *testing.T) { everyHouse(t, clientLeaves) }

func clientLeaves(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	before := h.mark() // once: a request may reach the gateway after its client has left
	for _, sent := range []int{0, 10, 300 << 10, 2 << 20} {
		for _, head := range []string{"Content-Length: 10000000", "Transfer-Encoding: chunked"} {
			c := h.dial()
			c.send("POST /v1/blobs HTTP/1.1\nHost: x\n%s\n\n", head)
			if strings.HasPrefix(head, "Transfer") {
				c.send("989680\n")
			}
			c.Write(random(sent))
			c.reset()
			h.unchanged(before)
		}
	}
	h.put([]byte("the gateway goes on"))
}

// After a refusal the connection serves on where that is safe.
func TestKeepAliveAfterRefusals(t *testing.T) { everyHouse(t, keepAliveAfterRefusals) }

func keepAliveAfterRefusals(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at, limit: 1000})
	path := h.put([]byte("hello"))
	c := h.dial()
	for _, request := range []string{
		"GET /nothing HTTP/1.1\nHost: x\n\n",
		"PUT /v1/blobs/sha256:bad HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello",
		"PUT /v1/blobs/sha256:bad HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n",
		"PUT /v1/blobs/" + sha([]byte("other")) + " HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello",
		"POST /v1/blobs?x=1 HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello",
		"POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: 2000\n\n" + strings.Repeat("x", 2000),
		"GET " + path + " HTTP/1.1\nHost: x\nRange: bytes=9-\n\n",
		"GET " + path + " HTTP/1.1\nHost: x\nIf-Match: \"x\"\n\n",
		"GET " + path + " HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello",
	} {
		c.send("%s", request)
		if resp, _ := c.answer("GET"); resp.Close {
			t.Errorf("%.40q: the connection ends", request)
		}
		c.send("GET %s HTTP/1.1\nHost: x\n\n", path)
		if resp, text := c.answer("GET"); resp.StatusCode != 200 || string(text) != "hello" {
			t.Errorf("after %.40q: %s %q", request, resp.Status, text)
		}
	}
	c.send("POST /v1/blobs?x=1 HTTP/1.1\nHost: x\nContent-Length: 1000000\n\n")
	if resp, _ := c.answer("POST"); resp.StatusCode != 400 || !resp.Close {
		t.Errorf("%s, close: %v", resp.Status, resp.Close)
	}
	c.ended()
}

// A client that asks before it sends is asked for nothing where the answer is no.
func TestExpectContinue(t *testing.T) { everyHouse(t, expectContinue) }

func expectContinue(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at, limit: 1000})
	for _, test := range []struct {
		head, code string
		status     int
	}{
		{"PUT /v1/blobs/sha256:bad HTTP/1.1\nContent-Length: 5", "digest_invalid", 400},
		{"POST /v1/blobs?x=1 HTTP/1.1\nContent-Length: 5", "parameter_unknown", 400},
		{"POST /v1/blobs?retention_class=none HTTP/1.1\nContent-Length: 5", "retention_class_unknown", 400},
		{"POST /v1/blobs HTTP/1.1\nContent-Length: 5000", "too_large", 413},
		{"POST /nothing HTTP/1.1\nContent-Length: 5", "path_unknown", 404},
	} {
		before := h.mark()
		c := h.dial()
		c.send("%s\nHost: x\nExpect: 100-continue\n\n", test.head)
		resp, text := c.answer("POST") // a 100 would be read as an answer
		refusal(t, resp, text, test.status, test.code)
		if !resp.Close {
			t.Error("the connection goes on, though a body may follow")
		}
		c.half()
		c.ended()
		h.unchanged(before)
	}
	c := h.dial()
	c.send("POST /v1/blobs HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 5\n\n")
	if resp, _ := c.answer("POST"); resp.StatusCode != 100 {
		t.Fatal(resp.Status)
	}
	c.send("hello")
	if resp, _ := c.answer("POST"); resp.StatusCode != 201 {
		t.Error(resp.Status)
	}
}

func TestHTTP10(t *testing.T) {
	h := open(t, changes{})
	c := h.dial()
	c.send("POST /v1/blobs HTTP/1.0\nContent-Length: 5\n\nhello")
	resp, _ := c.answer("POST")
	if resp.StatusCode != 201 {
		t.Error(resp.Status)
	}
	c.ended()
	c = h.dial()
	c.send("GET %s HTTP/1.0\nRange: bytes=1-2\n\n", resp.Header.Get("Location"))
	if resp, text := c.answer("GET"); resp.StatusCode != 206 || string(text) != "el" {
		t.Errorf("%s %q", resp.Status, text)
	}
	c.ended()
}

// HEAD has no ranges (RFC 9110, section 14.2).
func TestHeadIgnoresRanges(t *testing.T) { everyHouse(t, headIgnoresRanges) }

func headIgnoresRanges(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	path := h.put([]byte("hello"))
	for _, value := range []string{"bytes=0-1", "bytes=9-", "bytes=x"} {
		if resp, _ := h.request("HEAD", path, nil, "Range", value); resp.StatusCode != 200 || resp.ContentLength != 5 {
			t.Errorf("%s: %s, %d bytes", value, resp.Status, resp.ContentLength)
		}
	}
}

// A request id of the client's is taken where it is harmless.
func TestRequestIDs(t *testing.T) {
	h := open(t, changes{})
	for given, taken := range map[string]bool{
		"abc-123_x.y": true, "": false, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false,
		"a b": false, "a\"b": false, "ä": false, "<script>": false,
	} {
		resp, text := h.request("GET", "/nothing", nil, "X-Request-Id", given)
		id := resp.Header.Get("X-Request-Id")
		if (id == given) != taken || len(id) < 8 {
			t.Errorf("given %q: %q", given, id)
		}
		if !bytes.Contains(text, []byte(`"request_id":"`+id+`"`)) {
			t.Errorf("the answer lacks it: %s", text)
		}
	}
}
