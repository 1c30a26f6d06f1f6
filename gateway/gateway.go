// Package gateway is HTTP and nothing else: it routes requests to the faces
// (package plain, package ops), and gives every one of them a request id, a
// principal, deadlines that roll with its progress, a line in the access log and
// its place in the metrics. A face's handler returns an error; it is answered
// here, in one place.
package gateway

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"artifactstore/cas"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/limit"
	"artifactstore/gateway/oci"
	"artifactstore/gateway/ops"
	"artifactstore/gateway/origin"
	"artifactstore/gateway/plain"
	"artifactstore/gateway/problem"
	"artifactstore/gateway/tokenapi"
)

// Options are what a gateway is made of.
type Options struct {
	Store       *cas.Store
	Metrics     *ops.Metrics
	UploadBytes int64 // the largest blob taken, 0 for no limit
	// ManifestBytes is the largest OCI manifest taken; 0 is 4 MiB.
	ManifestBytes int64
	Pace          Pace
	// Gate finds out who asks; nil lets everybody do everything.
	Gate *auth.Gate
	// ExternalURL is where clients reach the gateway, without a path; empty is where a
	// request was sent to.
	ExternalURL string
	// Proxies are believed where a request comes from.
	Proxies origin.Proxies
	// Uploads and Sessions bound what one principal may have; nil is no bound.
	Uploads  *limit.Uploads
	Sessions *limit.Sessions
	// Log receives what went wrong; nil is slog.Default().
	Log *slog.Logger
	// Access receives one line a request; nil is Log.
	Access *slog.Logger
	// Draining is closed when the gateway is about to stop: it is no longer
	// ready, and streams that would never end do.
	Draining <-chan struct{}
}

// gateway holds what the handlers share.
type gateway struct {
	metrics  *ops.Metrics
	pace     Pace
	gate     *auth.Gate
	external string // where clients reach it, "" for where they ask
	proxies  origin.Proxies
	uploads  *limit.Uploads
	misled   misled
	log      *slog.Logger
	access   *slog.Logger
	routes   []string // all that are served: the test of who may do what has a row for each
}

// handler serves one path. An error it returns is answered for it, in the form
// of its face.
type handler func(http.ResponseWriter, *http.Request) error

// form turns an error into the answer of a face, nil where it has none.
type form func(error) refusal

// refusal is an answer that is no success.
type refusal interface{ Write(http.ResponseWriter) }

func plainForm(err error) refusal {
	if p := problem.Of(err); p != nil {
		return p
	}
	return nil
}

func ociForm(err error) refusal {
	if e := oci.Problem(err); e != nil {
		return e
	}
	return nil
}

func tokenForm(err error) refusal {
	if e := tokenapi.Problem(err); e != nil {
		return e
	}
	return nil
}

// New returns the handler of all paths.
func New(o Options) http.Handler {
	_, handler := build(o)
	return handler
}

func build(o Options) (*gateway, http.Handler) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Access == nil {
		o.Access = o.Log
	}
	if o.ManifestBytes == 0 {
		o.ManifestBytes = 4 << 20
	}
	if o.Metrics == nil {
		o.Metrics = ops.NewMetrics()
	}
	g := &gateway{metrics: o.Metrics, pace: o.Pace, gate: o.Gate, external: strings.TrimRight(o.ExternalURL, "/"), proxies: o.Proxies, uploads: o.Uploads, log: o.Log, access: o.Access}
	face := &plain.Face{Store: o.Store, UploadBytes: o.UploadBytes}
	op := &ops.Ops{Store: o.Store, Draining: o.Draining, Log: o.Log, Started: time.Now(), Warnings: g.misled.warnings}

	// A path is taken as it was sent: cleaning it, or following the router's
	// redirects, would give one resource several spellings.
	r := mux.NewRouter().SkipClean(true).UseEncodedPath()
	// The router tries one route after the other, most with a regular expression:
	// the busiest stand first.
	r.NewRoute().MatcherFunc(segmentAfter("/v1/blobs/", "digest")).Handler(g.serve("/v1/blobs/{digest}", plainForm, face.Blob))
	r.NewRoute().MatcherFunc(below("/v1/packages/")).Handler(g.packages(face))
	for _, at := range []struct {
		route string
		h     handler
	}{
		{"/v1/blobs", face.Blobs},
		{"/v1/packages", face.Packages},
		{"/v1/events", op.Events},
		{"/v1/backends", op.Backends},
		{"/v1/backends/{id}/verifications", op.Verifications},
		{"/v1/backends/{id}/verifications/{run}", op.Verification},
		{"/livez", op.Live},
		{"/readyz", op.Ready},
		{"/health", op.Health},
		{"/metrics", o.Metrics.Serve},
	} {
		r.Handle(at.route, g.serve(at.route, plainForm, at.h))
	}
	if o.Gate.Signs() {
		r.Handle(tokenapi.Path, g.serve(tokenapi.Path, tokenForm, (&tokenapi.Endpoint{Gate: o.Gate}).Serve))
	}
	r.PathPrefix("/v2").Handler(g.distribution(&oci.Face{Store: o.Store, Sessions: o.Sessions, ManifestBytes: o.ManifestBytes, UploadBytes: o.UploadBytes}))
	r.NotFoundHandler = g.serve("unmatched", plainForm, notFound)
	return g, trailers(r)
}

// packages serves what is below /v1/packages/, whose last part is a path.
func (g *gateway) packages(face *plain.Face) http.Handler {
	routes := map[string]http.Handler{}
	for _, route := range plain.PackageRoutes() {
		routes[route] = g.serve(route, plainForm, face.Package)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		routes[plain.PackageRoute(r)].ServeHTTP(w, r)
	})
}

// distribution serves the OCI face, whose routes are matched from the right.
func (g *gateway) distribution(face *oci.Face) http.Handler {
	routes := map[string]http.Handler{}
	for _, route := range oci.Routes() {
		routes[route] = g.serve(route, ociForm, face.Serve)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		routes[oci.Route(r)].ServeHTTP(w, r)
	})
}

// segmentAfter matches what the template prefix{name} does, a prefix and one
// segment, for a tenth of the price, which was an eighth of all that a HEAD costs.
func segmentAfter(prefix, name string) mux.MatcherFunc {
	return func(r *http.Request, m *mux.RouteMatch) bool {
		segment, ok := strings.CutPrefix(r.URL.EscapedPath(), prefix)
		if !ok || segment == "" || strings.Contains(segment, "/") {
			return false
		}
		m.Vars = map[string]string{name: segment}
		return true
	}
}

// below matches every path that begins with a prefix.
func below(prefix string) mux.MatcherFunc {
	return func(r *http.Request, _ *mux.RouteMatch) bool { return strings.HasPrefix(r.URL.EscapedPath(), prefix) }
}

// trailers lets a handler see a trailer that was not announced: the server puts
// it into the request it read, and all that the handler has is a copy.
func trailers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Trailer == nil && r.ContentLength < 0 {
			r.Trailer = http.Header{}
		}
		next.ServeHTTP(w, r)
	})
}

func notFound(_ http.ResponseWriter, r *http.Request) error {
	return problem.New(http.StatusNotFound, "path_unknown", "nothing is served at %.200q", r.URL.EscapedPath())
}

// setPathValues gives a handler the variables of its route by the request's own
// means, decoded once.
func setPathValues(r *http.Request) error {
	for name, raw := range mux.Vars(r) {
		v, err := url.PathUnescape(raw)
		if err != nil {
			return problem.New(http.StatusBadRequest, "path_invalid", "the path is not well formed: %v", err)
		}
		r.SetPathValue(name, v)
	}
	return nil
}
