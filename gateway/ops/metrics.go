package ops

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"artifactstore/cas"
	"artifactstore/gateway/auth"
)

// Metrics are what /metrics shows. No label takes a value that a client chose:
// routes are those of the router, methods those of HTTP, backends those of the
// configuration.
type Metrics struct {
	registry *prometheus.Registry
	handler  http.Handler

	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	received  prometheus.Counter
	sent      prometheus.Counter
	panics    prometheus.Counter
	limited   *prometheus.CounterVec

	operations *prometheus.CounterVec
	operation  *prometheus.HistogramVec
}

const namespace = "artifactstore"

// Seconds from a cached answer to a large transfer.
var buckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 120, 600}

// NewMetrics returns metrics that count nothing yet.
func NewMetrics() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	histograms := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	}
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		requests:   counters("http_requests_total", "Requests answered.", "route", "method", "code"),
		durations:  histograms("http_request_duration_seconds", "Time from a request's header to the end of its answer.", "route", "method"),
		received:   counter("http_received_bytes_total", "Bytes of request bodies received."),
		sent:       counter("http_sent_bytes_total", "Bytes of answer bodies sent."),
		panics:     counter("http_panics_total", "Requests that met a fault of the program."),
		limited:    counters("http_limited_total", "Requests refused (attempts, uploads, sessions), connections that had to wait (connections) and connections closed (connections_per_address) because a limit was reached.", "limit"),
		operations: counters("backend_operations_total", "Operations on backends.", "backend", "operation", "outcome"),
		operation:  histograms("backend_operation_duration_seconds", "Time of an operation on a backend.", "backend", "operation"),
	}
	m.registry.MustRegister(m.requests, m.durations, m.received, m.sent, m.panics, m.limited, m.operations, m.operation,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, limit := range []string{"attempts", "uploads", "sessions", "connections", "connections_per_address"} {
		m.limited.WithLabelValues(limit) // shown before it is reached
	}
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
	return m
}

// Watch adds what a store knows to the metrics. Each of held returns bytes that
// transfers hold outside the store's own buffers.
func (m *Metrics) Watch(s *cas.Store, held ...func() int64) {
	m.registry.MustRegister(&storeCollector{store: s, held: held})
}

// WatchCertificate adds when the certificate that clients are shown expires.
func (m *Metrics) WatchCertificate(expires func() time.Time) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Name: "tls_certificate_expires_timestamp_seconds", Help: "When the certificate that clients are shown expires.",
	}, func() float64 { return float64(expires().Unix()) }))
}

// Serve serves /metrics.
func (m *Metrics) Serve(w http.ResponseWriter, r *http.Request) error {
	if err := auth.Require(r.Context(), auth.Pull, auth.Everything); err != nil {
		return err
	}
	if err := onlyGet(r); err != nil {
		return err
	}
	m.handler.ServeHTTP(w, r)
	return nil
}

// Panicked counts a fault of the program.
func (m *Metrics) Panicked() { m.panics.Inc() }

// Limited counts what a limit kept back: "attempts" of who failed too often, "uploads",
// "sessions", "connections" or "connections_per_address".
func (m *Metrics) Limited(limit string) { m.limited.WithLabelValues(limit).Inc() }

// Route returns a function that counts the requests of one route.
func (m *Metrics) Route(route string) func(method string, status int, took time.Duration, received, sent int64) {
	return func(method string, status int, took time.Duration, received, sent int64) {
		method = known(method)
		m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
		m.durations.WithLabelValues(route, method).Observe(took.Seconds())
		m.received.Add(float64(received))
		m.sent.Add(float64(sent))
	}
}

// known bounds the methods: a client may invent any number of them.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// Backend counts an operation on a backend; it has the form that
// backends.Observe calls.
func (m *Metrics) Backend(backend, operation, outcome string, took time.Duration) {
	m.operations.WithLabelValues(backend, operation, outcome).Inc()
	m.operation.WithLabelValues(backend, operation).Observe(took.Seconds())
}

// storeCollector reads a store when it is asked, so that what is shown is what
// is there.
type storeCollector struct {
	store *cas.Store
	held  []func() int64
	looks shared[storeState]
}

// buffered returns all the memory that transfers hold.
func (c *storeCollector) buffered() (n int64) {
	n = c.store.BufferedBytes()
	for _, held := range c.held {
		n += held()
	}
	return n
}

// storeState is what a collector sees.
type storeState struct {
	up        map[string]float64 // by backend
	totals    cas.Totals
	completed map[string]time.Time    // by task
	err       error                   // why the totals are not known
	missing   map[string]int64        // copies, by backend
	verified  map[string]cas.Verified // by backend; what is not known is not in it
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

var (
	descUp        = describe("backend_up", "Whether a backend can be read and written (1) or not (0).", "backend")
	descLocations = describe("locations", "Locations of blobs by backend and state.", "backend", "state")
	descMissing   = describe("locations_missing", "Copies that routes promise and that are known to be missing, by the backend where they are to be.", "backend")
	descBlobs     = describe("blobs", "Blobs in the store.")
	descBytes     = describe("blob_bytes", "Bytes of all blobs, each counted once.")
	descPackages  = describe("packages", "Packages by state, OCI manifests among the sealed ones.", "state")
	descUploads   = describe("uploads_open", "Upload sessions that are open.")
	descPosition  = describe("event_position", "Position of the last event in the log.")
	descVerified  = describe("verification_objects_total", "Objects that verifications looked at, by all gateways and commands together.", "backend", "result")
	descWhole     = describe("verification_last_completed_timestamp_seconds", "When the last verification of all objects of a backend ended; 0 before the first.", "backend")
	descBuffered  = describe("buffered_bytes", "Memory that transfers hold at the moment: their buffers, and parts of objects on their way to a backend.")

	descCollected      = describe("collected_blobs_total", "Blobs that this gateway has collected.")
	descCollectedBytes = describe("collected_bytes_total", "Bytes of the blobs that this gateway has collected.")
	descOrphans        = describe("collected_orphans_total", "Objects without a record that this gateway has removed.")
	descFailedDeletes  = describe("collection_failed_deletes_total", "Deletes of this gateway's collections that failed; they are tried again.")
	descExpired        = describe("expired_packages_total", "Packages that this gateway has let expire.")
	descCompleted      = describe("task_last_completed_timestamp_seconds", "When a background task last ended well, on whichever gateway.", "task")
)

// Describe implements prometheus.Collector.
func (c *storeCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descUp, descLocations, descMissing, descBlobs, descBytes, descPackages, descUploads, descPosition, descVerified, descWhole, descBuffered,
		descCollected, descCollectedBytes, descOrphans, descFailedDeletes, descExpired, descCompleted} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *storeCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	state, _ := c.looks.do(context.Background(), c.look)
	gauge(descBuffered, float64(c.buffered()))
	counts := c.store.Counts()
	for d, n := range map[*prometheus.Desc]int64{
		descCollected: counts.Blobs, descCollectedBytes: counts.Bytes, descOrphans: counts.Orphans,
		descFailedDeletes: counts.FailedDeletes, descExpired: counts.Packages,
	} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	for id, up := range state.up {
		gauge(descUp, up, id)
	}
	if state.err != nil {
		return // what is not known is not shown
	}
	totals := state.totals
	collectVerified(ch, state.verified)
	gauge(descBlobs, float64(totals.Blobs))
	gauge(descBytes, float64(totals.BlobBytes))
	for _, state := range cas.PackageStates {
		gauge(descPackages, float64(totals.Packages[state]), string(state))
	}
	gauge(descUploads, float64(totals.Uploads))
	gauge(descPosition, float64(totals.Position))
	for task, at := range state.completed {
		gauge(descCompleted, float64(at.Unix()), task)
	}
	for id, n := range state.missing {
		gauge(descMissing, float64(n), id)
	}
	for id := range state.up {
		for _, state := range cas.States {
			gauge(descLocations, float64(totals.Locations[cas.LocationTotal{BackendID: id, State: state}]), id, string(state))
		}
	}
}

func (c *storeCollector) look(ctx context.Context) storeState {
	s := storeState{up: map[string]float64{}}
	for _, b := range c.store.Backends() {
		s.up[b.ID] = 1
		if probe(ctx, b.Health) != nil {
			s.up[b.ID] = 0
		}
	}
	s.err = probe(ctx, func(ctx context.Context) (err error) {
		if s.totals, err = c.store.Totals(ctx); err == nil {
			s.completed, err = c.store.Completed(ctx)
		}
		if err == nil {
			s.missing, err = c.store.Missing(ctx)
		}
		return err
	})
	if s.err == nil {
		s.verified = map[string]cas.Verified{}
		for _, b := range c.store.Backends() {
			if v, err := c.store.Verified(ctx, b.ID); err == nil {
				s.verified[b.ID] = v
			}
		}
	}
	return s
}

// collectVerified shows what the registry keeps of verifications: every gateway
// shows the same.
func collectVerified(ch chan<- prometheus.Metric, verified map[string]cas.Verified) {
	for id, v := range verified {
		for _, r := range cas.Results {
			ch <- prometheus.MustNewConstMetric(descVerified, prometheus.CounterValue, float64(v.Totals[r]), id, string(r))
		}
		at := 0.0
		if v.Whole != nil {
			at = float64(v.Whole.FinishedAt.UnixMilli()) / 1000
		}
		ch <- prometheus.MustNewConstMetric(descWhole, prometheus.GaugeValue, at, id)
	}
}
