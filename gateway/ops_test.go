package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"artifactstore/backends"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// records returns what the log holds after a position.
func (h *house) records(after uint64) (all []registry.Record) {
	h.t.Helper()
	for r, err := range h.reg.Since(context.Background(), after) {
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

type page struct {
	Events []json.RawMessage `json:"events"`
	Next   uint64            `json:"next"`
}

func (h *house) page(query string) page {
	h.t.Helper()
	resp, text := h.request("GET", "/v1/events"+query, nil)
	var p page
	if err := json.Unmarshal(text, &p); err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
		h.t.Fatalf("events%s: %s %s: %v", query, resp.Status, text, err)
	}
	return p
}

// same compares a JSON event with a record of the log.
func same(t *testing.T, got []byte, want registry.Record) {
	t.Helper()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if json.Unmarshal(got, &a) != nil || json.Unmarshal(text, &b) != nil || !cmp.Equal(a, b) {
		t.Errorf("event %s, want %s", got, text)
	}
}

func TestEventsPages(t *testing.T) { everyHouse(t, eventsPages) }

func eventsPages(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	if p := h.page(""); len(p.Events) != 0 || p.Events == nil || p.Next != 0 {
		t.Errorf("an empty log: %+v", p)
	}
	for i := range 50 {
		h.put([]byte{byte(i)})
	}
	want := h.records(0)
	for _, limit := range []int{1, 7, 149, 150, 151, 1000} {
		var got []json.RawMessage
		for after := uint64(0); ; {
			p := h.page(fmt.Sprintf("?after=%d&limit=%d", after, limit))
			if len(p.Events) == 0 {
				if p.Next != after {
					t.Errorf("next of an empty page after %d: %d", after, p.Next)
				}
				break
			}
			if len(p.Events) > limit {
				t.Errorf("%d events for a limit of %d", len(p.Events), limit)
			}
			got, after = append(got, p.Events...), p.Next
		}
		if len(got) != len(want) {
			t.Fatalf("limit %d: %d events, want %d", limit, len(got), len(want))
		}
		for i := range got {
			same(t, got[i], want[i])
		}
	}
	if p := h.page(""); len(p.Events) != 100 {
		t.Errorf("%d events without a limit", len(p.Events))
	}
	if p := h.page("?after=9223372036854775807"); len(p.Events) != 0 || p.Next != 1<<63-1 {
		t.Errorf("%+v", p)
	}
}

func TestEventsSequence(t *testing.T) { everyHouse(t, eventsSequence) }

func eventsSequence(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	for i := range 5 {
		h.put([]byte{byte(i)})
	}
	for after, want := range map[uint64][]registry.Record{0: h.records(0), 7: h.records(7), 15: nil} {
		resp, text := h.request("GET", fmt.Sprintf("/v1/events?after=%d", after), nil, "Accept", "text/html, application/cbor-seq;q=0.9")
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/cbor-seq" {
			t.Fatal(resp.Status, resp.Header)
		}
		var canonical []byte
		for _, r := range want {
			one, err := registry.Encode(r)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := registry.Decode(text[len(canonical) : len(canonical)+len(one)]); err != nil || got != r {
				t.Errorf("%+v, %v, want %+v", got, err, r)
			}
			canonical = append(canonical, one...)
		}
		if !bytes.Equal(text, canonical) {
			t.Errorf("after %d: %d bytes, want %d", after, len(text), len(canonical))
		}
	}
}

func TestLongPoll(t *testing.T) { everyHouse(t, longPoll) }

func longPoll(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	h.put([]byte("one"))
	start := time.Now()
	if p := h.page("?after=0&wait=60s"); len(p.Events) != 3 || time.Since(start) > 30*time.Second {
		t.Errorf("%d events after %s, though there were some", len(p.Events), time.Since(start))
	}
	if p := h.page("?after=3&wait=50ms"); len(p.Events) != 0 || p.Next != 3 {
		t.Errorf("%+v", p)
	}
	got := make(chan page)
	go func() { got <- h.page("?after=3&wait=60s") }()
	h.put([]byte("two"))
	select {
	case p := <-got:
		if len(p.Events) == 0 || p.Next < 4 {
			t.Errorf("%+v", p)
		}
	case <-time.After(30 * time.Second):
		t.Error("the poll does not see a new event")
	}
}

// event is one event of a stream.
type event struct{ id, name, data string }

// follow reads n events of a stream.
func (h *house) follow(n int, header ...string) (all []event, body io.ReadCloser) {
	h.t.Helper()
	req, _ := http.NewRequest("GET", h.url+"/v1/events", nil)
	req.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.RoundTrip(req)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		h.t.Fatal(resp.Status, resp.Header)
	}
	var e event
	for lines := bufio.NewScanner(resp.Body); len(all) < n && lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			if e.id != "" {
				all = append(all, e)
			}
			e = event{}
		}
	}
	return all, resp.Body
}

func TestEventStream(t *testing.T) { everyHouse(t, eventStream) }

func eventStream(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	for i := range 50 { // more than one page
		h.put([]byte{byte(i)})
	}
	go func() {
		for i := range 20 {
			h.put([]byte{1, byte(i)})
		}
	}()
	got, body := h.follow(150 + 60)
	body.Close()
	want := h.records(0)
	for i, e := range got {
		if e.id != fmt.Sprint(i+1) || e.name != want[i].Data.Type() {
			t.Fatalf("event %d: %+v", i, e)
		}
		same(t, []byte(e.data), want[i])
	}
	got, body = h.follow(5, "Last-Event-ID", "205")
	body.Close()
	if len(got) != 5 || got[0].id != "206" {
		t.Errorf("resumed: %+v", got)
	}
	if resp, text := h.request("HEAD", "/v1/events", nil, "Accept", "text/event-stream"); resp.StatusCode != 200 || len(text) != 0 {
		t.Error(resp.Status)
	}
}

// waiting is a registry that counts who waits for an event.
type waiting struct {
	registry.Registry
	n *atomic.Int64
}

func (w waiting) Wait(ctx context.Context, after uint64) error {
	w.n.Add(1)
	return w.Registry.Wait(ctx, after)
}

// Draining ends what would never end, and is seen in readiness before.
func TestDrain(t *testing.T) { everyHouse(t, drain) }

func drain(t *testing.T, at shapes.House) {
	var waits atomic.Int64
	h := open(t, changes{at: at, registry: func(r registry.Registry) registry.Registry { return waiting{r, &waits} }})
	content := random(3 << 20)
	_, stream := h.follow(0)
	polled := make(chan page)
	go func() { polled <- h.page("?wait=60s") }()
	upload := h.dial()
	upload.send("POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: %d\n\n", len(content))
	upload.Write(content[:1<<20])
	h.await(`artifactstore_buffered_bytes`, func(v string) bool { return v != "0" && waits.Load() >= 2 })
	start := time.Now()
	h.stop()
	if _, err := io.Copy(io.Discard, stream); err != nil {
		t.Errorf("the stream: %v", err)
	}
	if p := <-polled; len(p.Events) != 0 {
		t.Errorf("the poll: %+v", p)
	}
	upload.Write(content[1<<20:])
	if resp, text := upload.answer("POST"); resp.StatusCode != 201 || !bytes.Contains(text, []byte(sha(content))) {
		t.Errorf("an upload under way: %s %s", resp.Status, text)
	}
	if err := <-h.ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	h.ended <- nil
	if took := time.Since(start); took > patience/2 {
		t.Errorf("draining took %s", took)
	}
}

// A drain has an end: what does not finish is cut off, and stores nothing.
func TestDrainTimesOut(t *testing.T) { everyHouse(t, drainTimesOut) }

func drainTimesOut(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at, drain: 50 * time.Millisecond})
	before := h.mark()
	upload := h.dial()
	upload.send("POST /v1/blobs HTTP/1.1\nHost: x\nContent-Length: 5000000\n\n")
	upload.Write(random(1 << 20))
	h.await(`artifactstore_buffered_bytes`, func(v string) bool { return v != "0" })
	h.stop()
	if err := <-h.ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	h.ended <- nil
	upload.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, upload.in); isTimeout(err) {
		t.Error("the connection goes on")
	}
	h.unchanged(before)
}

// metrics returns the value of each series.
func (h *house) metrics() map[string]string {
	h.t.Helper()
	resp, text := h.request("GET", "/metrics", nil)
	if resp.StatusCode != 200 {
		h.t.Fatalf("metrics: %s %s", resp.Status, text)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			all[line[:i]] = strings.TrimSpace(line[i+1:])
		}
	}
	return all
}

// await waits until a series has a value.
func (h *house) await(series string, ok func(value string) bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok(h.metrics()[series]) {
			return
		}
	}
	h.t.Fatalf("%s: %q", series, h.metrics()[series])
}

func TestMetrics(t *testing.T) { everyHouse(t, metricsOf) }

func metricsOf(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	path := h.put([]byte("hello"))
	h.request("GET", path, nil)
	h.request("GET", path, nil, "Range", "bytes=0-0")
	h.request("HEAD", path, nil)
	for i := range 20 { // what a client chooses
		h.request(fmt.Sprintf("EVIL%d", i), path, nil)
		h.request("GET", fmt.Sprintf("/evil/%d", i), nil)
		h.request("POST", fmt.Sprintf("/v1/blobs?producer=evil%d", i), strings.NewReader("x"))
		h.request("PUT", "/v1/blobs/sha256:evil", strings.NewReader("x"))
	}
	h.request("PUT", "/v1/packages/ann/tool/1", nil)
	got := h.metrics()
	for series, want := range map[string]string{
		`artifactstore_http_requests_total{code="201",method="POST",route="/v1/blobs"}`:               "2",
		`artifactstore_http_requests_total{code="200",method="GET",route="/v1/blobs/{digest}"}`:       "1",
		`artifactstore_http_requests_total{code="206",method="GET",route="/v1/blobs/{digest}"}`:       "1",
		`artifactstore_http_requests_total{code="405",method="other",route="/v1/blobs/{digest}"}`:     "20",
		`artifactstore_http_requests_total{code="404",method="GET",route="unmatched"}`:                "20",
		`artifactstore_http_request_duration_seconds_count{method="HEAD",route="/v1/blobs/{digest}"}`: "1",
		`artifactstore_backend_operations_total{backend="main",operation="commit",outcome="ok"}`:      "2",
		`artifactstore_backend_operations_total{backend="main",operation="open",outcome="ok"}`:        "2",
		`artifactstore_backend_operation_duration_seconds_count{backend="main",operation="commit"}`:   "2",
		`artifactstore_backend_up{backend="main"}`:                                                    "1",
		`artifactstore_locations{backend="main",state="stored"}`:                                      "2",
		`artifactstore_locations{backend="main",state="failed"}`:                                      "0",
		`artifactstore_blobs`:                    "2",
		`artifactstore_blob_bytes`:               "6",
		`artifactstore_packages{state="open"}`:   "1",
		`artifactstore_packages{state="sealed"}`: "0",
		`artifactstore_uploads_open`:             "0",
		`artifactstore_event_position`:           "26",
		`artifactstore_buffered_bytes`:           "0",
		`artifactstore_http_panics_total`:        "0",
	} {
		if got[series] != want {
			t.Errorf("%s: %q, want %q", series, got[series], want)
		}
	}
	for _, name := range []string{"artifactstore_http_received_bytes_total", "artifactstore_http_sent_bytes_total"} {
		if got[name] == "" || got[name] == "0" {
			t.Errorf("%s: %q", name, got[name])
		}
	}
	for series := range got {
		if strings.Contains(strings.ToLower(series), "evil") {
			t.Errorf("a client chose a label: %s", series)
		}
	}
}

// away is a registry that cannot be reached while the switch is on.
type away struct {
	registry.Registry
	on *atomic.Bool
}

func (r away) Health(ctx context.Context) error {
	if r.on.Load() {
		return fmt.Errorf("on purpose: %w", registry.ErrUnavailable)
	}
	return r.Registry.Health(ctx)
}

func (r away) Append(ctx context.Context, e ...registry.Event) (uint64, error) {
	if r.on.Load() {
		return 0, fmt.Errorf("on purpose: %w", registry.ErrUnavailable)
	}
	return r.Registry.Append(ctx, e...)
}

// sick is a backend that is not healthy while the switch is on.
type sick struct {
	backends.Backend
	on   *atomic.Bool
	full *atomic.Bool
}

func (b sick) Health(ctx context.Context) error {
	if b.full.Load() {
		return fmt.Errorf("write health: %w", backends.ErrFull)
	}
	if b.on.Load() {
		return errors.New("sick on purpose")
	}
	return b.Backend.Health(ctx)
}

func (h *house) health(status int, text ...string) {
	h.t.Helper()
	resp, got := h.request("GET", "/health", nil)
	if resp.StatusCode != status {
		h.t.Errorf("health: %s %s", resp.Status, got)
	}
	for _, want := range text {
		if !bytes.Contains(got, []byte(want)) {
			h.t.Errorf("health lacks %s: %s", want, got)
		}
	}
	ready := 200
	if status != 200 {
		ready = 503
	}
	if resp, text := h.request("GET", "/readyz", nil); resp.StatusCode != ready {
		h.t.Errorf("ready: %s %s", resp.Status, text)
	}
	if resp, _ := h.request("GET", "/livez", nil); resp.StatusCode != 200 {
		h.t.Errorf("live: %s", resp.Status)
	}
}

func TestHealth(t *testing.T) { everyHouse(t, healthOf) }

func healthOf(t *testing.T, at shapes.House) {
	var noRegistry, noBackend, noRoom atomic.Bool
	h := open(t, changes{
		at:       at,
		registry: func(r registry.Registry) registry.Registry { return away{r, &noRegistry} },
		backend:  func(b backends.Backend) backends.Backend { return sick{b, &noBackend, &noRoom} },
	})
	content := random(1000)
	path := h.put(content)
	h.health(200, `"status": "ok"`, `"position": 3`, `"stored": 1`, `"failed": 0`, `"last_verification": null`)

	noRegistry.Store(true)
	h.health(503, `"status": "failing"`, "on purpose")
	resp, text := h.request("POST", "/v1/blobs", strings.NewReader("new"))
	refusal(t, resp, text, 503, "registry_unavailable")
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	noRegistry.Store(false)
	h.health(200, `"status": "ok"`)

	noBackend.Store(true)
	h.health(503, `"status": "failing"`, "sick on purpose")
	if up := h.metrics()[`artifactstore_backend_up{backend="main"}`]; up != "0" {
		t.Errorf("backend_up: %s", up)
	}
	noBackend.Store(false)
	noRoom.Store(true)
	h.health(200, `"status": "degraded"`, "no space left on backend")
	noRoom.Store(false)
	h.health(200, `"status": "ok"`)

	h.remove(path)
	resp, text = h.request("GET", path, nil)
	refusal(t, resp, text, 404, "blob_unavailable")
	h.health(200, `"status": "degraded"`, `"failed": 1`, `"stored": 0`)
	if n := h.metrics()[`artifactstore_locations{backend="main",state="failed"}`]; n != "1" {
		t.Errorf("locations failed: %s", n)
	}
	h.put(content)
	h.health(200, `"status": "ok"`, `"failed": 0`, `"stored": 1`)
	if resp, text := h.request("HEAD", "/health", nil); resp.StatusCode != 200 || len(text) != 0 {
		t.Error(resp.Status)
	}
}
