package s3test

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
)

// Weather is what a [Proxy] does to a call.
type Weather string

// The kinds of weather.
const (
	Reset     Weather = "connection reset before the effect"
	LostReply Weather = "lost reply after the effect"
	SlowDown  Weather = "503 slow-down"
	Failure   Weather = "500 after the effect"
	Stall     Weather = "no answer"
	Truncated Weather = "answer cut in the middle"
	WrongByte Weather = "wrong byte on the way in"
	OKError   Weather = "200 with an error inside"

	// What befalls the body of an answer: for objects that are read.
	WrongAnswer Weather = "wrong byte on the way out"
	BrokenBody  Weather = "connection reset in the middle of the answer"
)

// AllWeather is every kind that any call may meet.
var AllWeather = []Weather{Reset, LostReply, SlowDown, Failure, Stall, Truncated, WrongByte, OKError}

// Proxy stands before a server, records the calls and spoils some.
type Proxy struct {
	target *url.URL
	// Front may be given another handler, which calls the proxy.
	Front *httptest.Server

	mu    sync.Mutex
	calls []string
	op    string
	kind  Weather
	left  int // how many more calls are spoilt
	hits  int
}

// NewProxy returns a proxy before a server, and the server as it is seen through
// it, until the test ends.
func NewProxy(t testing.TB, server Server) (*Proxy, Server) {
	t.Helper()
	target, err := url.Parse(server.EndpointURL)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target}
	p.Front = httptest.NewServer(p)
	t.Cleanup(func() {
		p.Front.CloseClientConnections()
		p.Front.Close()
	})
	server.EndpointURL = p.Front.URL
	return p, server
}

// Spoil lets the next n calls of an operation go wrong.
func (p *Proxy) Spoil(op string, kind Weather, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.op, p.kind, p.left, p.hits = op, kind, n, 0
}

// Clear ends the bad weather and returns how many calls went wrong.
func (p *Proxy) Clear() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left = 0
	return p.hits
}

// Recorded returns the operations since the last time.
func (p *Proxy) Recorded() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = nil
	return calls
}

func (p *Proxy) forecast(op string) Weather {
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

// ErrorXML is an error document; % stands for its code.
const ErrorXML = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%</Code><Message>made by the proxy</Message></Error>`

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := p.forecast(operation(r))
	body := make([]byte, max(0, r.ContentLength)) // the SDK always says it
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return
	}
	switch kind {
	case Reset:
		hangUp(w)
		return
	case SlowDown, OKError:
		w.Header().Set("Content-Type", "application/xml")
		code, status := "SlowDown", http.StatusServiceUnavailable
		if kind == OKError {
			code, status = "InternalError", http.StatusOK
		}
		w.WriteHeader(status)
		io.WriteString(w, strings.Replace(ErrorXML, "%", code, 1))
		return
	case Stall:
		<-r.Context().Done()
		return
	case WrongByte:
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
	case LostReply:
		io.Copy(io.Discard, response.Body)
		hangUp(w)
		return
	case Failure:
		io.Copy(io.Discard, response.Body)
		w.WriteHeader(http.StatusInternalServerError)
		io.WriteString(w, strings.Replace(ErrorXML, "%", "InternalError", 1))
		return
	}
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	switch kind {
	case Truncated:
		cut(w, response)
	case BrokenBody:
		breakOff(w, response)
	case WrongAnswer:
		whole, _ := io.ReadAll(response.Body)
		if len(whole) > 0 {
			whole[len(whole)/2] ^= 1
		}
		w.WriteHeader(response.StatusCode)
		w.Write(whole)
	default:
		w.WriteHeader(response.StatusCode)
		io.Copy(w, response.Body)
	}
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

// breakOff sends half of an answer, announced as whole, and resets the connection.
func breakOff(w http.ResponseWriter, response *http.Response) {
	whole, _ := io.ReadAll(response.Body)
	conn, out, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	response.Body = io.NopCloser(bytes.NewReader(whole[:len(whole)/2]))
	response.ContentLength = int64(len(whole))
	response.Write(out) // fails at the end: the half is missing
	out.Flush()
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
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

func (p *Proxy) forward(r *http.Request, body []byte) (*http.Response, error) {
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
