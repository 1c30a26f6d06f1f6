package s3

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"artifactstore/backends/s3/s3test"
)

// weather is what a proxy does to a call.
type weather string

const (
	reset     weather = "connection reset before the effect"
	lostReply weather = "lost reply after the effect"
	slowDown  weather = "503 slow-down"
	failure   weather = "500 after the effect"
	stall     weather = "no answer"
	truncated weather = "answer cut in the middle"
	wrongByte weather = "wrong byte on the way in"
	okError   weather = "200 with an error inside"
)

var allWeather = []weather{reset, lostReply, slowDown, failure, stall, truncated, wrongByte, okError}

// proxy stands before a server, records the calls and spoils some.
type proxy struct {
	target *url.URL
	front  *httptest.Server

	mu    sync.Mutex
	calls []string
	op    string
	kind  weather
	left  int // how many more calls are spoilt
	hits  int
}

func newProxy(t testing.TB, server s3test.Server) (*proxy, s3test.Server) {
	t.Helper()
	target, err := url.Parse(server.EndpointURL)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: target}
	p.front = httptest.NewServer(p)
	t.Cleanup(func() {
		p.front.CloseClientConnections()
		p.front.Close()
	})
	server.EndpointURL = p.front.URL
	return p, server
}

// spoil lets the next n calls of an operation go wrong.
func (p *proxy) spoil(op string, kind weather, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.op, p.kind, p.left, p.hits = op, kind, n, 0
}

// clear ends the bad weather and returns how many calls went wrong.
func (p *proxy) clear() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = 0
	return p.hits
}

// recorded returns the operations since the last time.
func (p *proxy) recorded() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = nil
	return calls
}

func (p *proxy) forecast(op string) weather {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, op)
	if op != p.op || p.left == 0 {
		return ""
	}
	p.left--
	p.hits++
	return p.kind
}

// operation names a request.
func operation(r *http.Request) string {
	q := r.URL.Query()
	object := strings.Count(strings.Trim(r.URL.Path, "/"), "/") > 0
	copied := r.Header.Get("X-Amz-Copy-Source") != ""
	switch {
	case r.Method == "POST" && q.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == "POST":
		return "CompleteMultipartUpload"
	case r.Method == "PUT" && q.Has("partNumber") && copied:
		return "UploadPartCopy"
	case r.Method == "PUT" && q.Has("partNumber"):
		return "UploadPart"
	case r.Method == "PUT" && copied:
		return "CopyObject"
	case r.Method == "PUT":
		return "PutObject"
	case r.Method == "DELETE" && q.Has("uploadId"):
		return "AbortMultipartUpload"
	case r.Method == "DELETE":
		return "DeleteObject"
	case r.Method == "HEAD":
		return "HeadObject"
	case q.Has("uploadId"):
		return "ListParts"
	case q.Has("uploads"):
		return "ListMultipartUploads"
	case !object || q.Has("list-type"):
		return "ListObjectsV2"
	}
	return "GetObject"
}

const errorXML = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%</Code><Message>made by the proxy</Message></Error>`

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := p.forecast(operation(r))
	body := make([]byte, max(0, r.ContentLength)) // the SDK always says it
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return
	}
	switch kind {
	case reset:
		hangUp(w)
		return
	case slowDown, okError:
		w.Header().Set("Content-Type", "application/xml")
		code, status := "SlowDown", http.StatusServiceUnavailable
		if kind == okError {
			code, status = "InternalError", http.StatusOK
		}
		w.WriteHeader(status)
		io.WriteString(w, strings.Replace(errorXML, "%", code, 1))
		return
	case stall:
		<-r.Context().Done()
		return
	case wrongByte:
		if len(body) > 0 {
			body[len(body)/2] ^= 1
		}
	}
	response, err := p.forward(r, body)
	if err != nil {
		hangUp(w)
		return
	}
	defer response.Body.Close()
	switch kind {
	case lostReply:
		io.Copy(io.Discard, response.Body)
		hangUp(w)
		return
	case failure:
		io.Copy(io.Discard, response.Body)
		w.WriteHeader(http.StatusInternalServerError)
		io.WriteString(w, strings.Replace(errorXML, "%", "InternalError", 1))
		return
	}
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	if kind == truncated {
		cut(w, response)
		return
	}
	w.WriteHeader(response.StatusCode)
	io.Copy(w, response.Body)
}

// cut sends half of an answer, announced as whole, and ends the connection in
// good order.
func cut(w http.ResponseWriter, response *http.Response) {
	whole, _ := io.ReadAll(response.Body)
	if len(whole) == 0 {
		hangUp(w)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
	w.WriteHeader(response.StatusCode)
	w.Write(whole[:len(whole)/2])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// hangUp resets the connection.
func hangUp(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}

func (p *proxy) forward(r *http.Request, body []byte) (*http.Response, error) {
	to := *r.URL
	to.Scheme, to.Host = p.target.Scheme, p.target.Host
	request, err := http.NewRequestWithContext(r.Context(), r.Method, to.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = r.Header.Clone()
	request.Header.Del("Expect")
	request.Host = r.Host // which the signature covers
	return http.DefaultTransport.RoundTrip(request)
}
