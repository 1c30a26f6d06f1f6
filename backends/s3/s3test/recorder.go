package s3test

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
)

// Recorder stands before a server and remembers the operations. Unlike [Proxy] it
// streams, and spoils nothing.
type Recorder struct {
	proxy *httputil.ReverseProxy
	mu    sync.Mutex
	calls []string
}

// NewRecorder returns a handler before a server at an address.
func NewRecorder(endpoint string) (*Recorder, error) {
	target, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	return &Recorder{proxy: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // which the signature covers
	}}}, nil
}

// ServeHTTP implements http.Handler.
func (p *Recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.calls = append(p.calls, operation(r))
	p.mu.Unlock()
	p.proxy.ServeHTTP(w, r)
}

// Recorded returns the operations since the last time.
func (p *Recorder) Recorded() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = nil
	return calls
}

// Parse reads an address of the form http://ACCESS:SECRET@HOST:PORT/BUCKET, of a
// Ceph RGW.
func Parse(address string) (Server, error) { return rgw.parse(address) }
