package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"artifactstore/backends/s3"
	"artifactstore/backends/s3/s3test"
	"artifactstore/cas"
	"artifactstore/deploy/house"
	shipped "artifactstore/gateway"
)

// exposed is a gateway in this process, with its backend behind a proxy.
type exposed struct {
	t       *testing.T
	url     string
	proxy   *s3test.Proxy
	server  s3test.Server // without the proxy
	prefix  string
	backend *s3.Backend
	store   *cas.Store
}

// expose opens one. Of other backends the first takes what is to be kept for ever.
func expose(t *testing.T, idle time.Duration, other ...cas.Backend) *exposed {
	t.Helper()
	e := &exposed{t: t, server: s3test.RGW(t), prefix: s3test.Prefix()}
	var front s3test.Server
	e.proxy, front = s3test.NewProxy(t, e.server)
	var err error
	e.backend, err = s3.Open(t.Context(), s3.Options{
		EndpointURL: front.EndpointURL, Region: front.Region, Bucket: front.Bucket, KeyPrefix: e.prefix, PathStyle: true,
		MultipartThreshold: 5 << 20, MultipartChunk: 5 << 20, MaxAttempts: 3, IdleTimeout: idle, Memory: s3.NewMemory(64 << 20),
		Credentials: func(context.Context) (string, string, error) { return front.AccessKey, front.SecretKey, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	policy := cas.Policy{Default: "rgw", DefaultClass: "standard", Classes: map[string]time.Duration{"standard": time.Hour, "release": -1}}
	for _, b := range other {
		policy.Rules = append(policy.Rules, cas.Rule{RetentionClass: "release", BackendID: b.ID})
	}
	e.store, err = cas.New(cas.Options{
		Registry: house.All()[0].Registry(t)(t),
		Backends: append([]cas.Backend{{ID: "rgw", Backend: e.backend}}, other...),
		Policy:   policy,
		Log:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	served := httptest.NewServer(shipped.New(shipped.Options{Store: e.store, Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(served.Close)
	e.url = served.URL
	return e
}

// ask makes a request and returns its answer, and whether the body came whole.
func (e *exposed) ask(method, path string, body []byte, fields ...string) (a answer, whole bool) {
	e.t.Helper()
	req, err := http.NewRequest(method, e.url+path, bytes.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Errorf("%s %s: %v", method, path, err)
		return answer{}, false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, text}, err == nil
}

// deed is something a client does. It returns its last answer; what it stores, if
// that is a success, is content.
type deed struct {
	name    string
	content []byte
	do      func(e *exposed, content []byte) (answer, bool)
}

func pattern(seed uint64, n int) []byte { return content{seed, n}.bytes() }

var (
	there = pattern(1, 6<<20+3) // stored before the weather turns
	deeds = []deed{
		{"small", pattern(2, 4096), func(e *exposed, c []byte) (answer, bool) { return e.ask("POST", "/v1/blobs", c) }},
		{"known", pattern(3, 6<<20), func(e *exposed, c []byte) (answer, bool) { return e.ask("PUT", "/v1/blobs/"+digestOf(c), c) }},
		{"unknown", pattern(4, 6<<20), func(e *exposed, c []byte) (answer, bool) { return e.ask("POST", "/v1/blobs", c) }},
		{"push", pattern(5, 7<<20), push},
		{"cancel", nil, cancel},
		{"get", nil, func(e *exposed, _ []byte) (answer, bool) { return e.read(0) }},
		{"range", nil, func(e *exposed, _ []byte) (answer, bool) { return e.read(1 << 20) }},
	}
)

// push sends two chunks and ends the session; it stops at the first refusal.
func push(e *exposed, c []byte) (a answer, whole bool) {
	a, whole = e.ask("POST", "/v2/app/blobs/uploads/", nil)
	for at := 0; at < len(c) && a.status == 202; at += 6 << 20 {
		end := min(len(c), at+6<<20)
		a, whole = e.ask("PATCH", a.session(), c[at:end], "Content-Range", fmt.Sprintf("%d-%d", at, end-1))
	}
	if a.status != 202 {
		return a, whole
	}
	return e.ask("PUT", a.session()+"?digest="+digestOf(c), nil)
}

// cancel gives an upload up in the middle.
func cancel(e *exposed, _ []byte) (a answer, whole bool) {
	a, whole = e.ask("POST", "/v2/app/blobs/uploads/", nil)
	if a.status == 202 {
		a, whole = e.ask("PATCH", a.session(), there)
	}
	if a.status != 202 {
		return a, whole
	}
	return e.ask("DELETE", a.session(), nil)
}

// read gets what was there. What comes of it is right, and whole or known not to
// be.
func (e *exposed) read(from int) (answer, bool) {
	var fields []string
	if from > 0 {
		fields = []string{"Range", fmt.Sprintf("bytes=%d-", from)}
	}
	a, whole := e.ask("GET", "/v1/blobs/"+digestOf(there), nil, fields...)
	if want := there[from:]; a.status/100 == 2 && (!bytes.HasPrefix(want, a.body) || whole && len(a.body) != len(want)) {
		e.t.Errorf("read %d bytes that are not the blob's, whole: %v", len(a.body), whole)
	}
	return a, whole
}

var calls = []string{
	"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload",
	"CopyObject", "GetObject", "HeadObject", "DeleteObject", "ListParts",
}

// lasting are the kinds that are also tried for good: the others end in the same
// code once the calls are made again.
var lasting = []s3test.Weather{s3test.Reset, s3test.LostReply, s3test.SlowDown, s3test.OKError}

// TestWeather lets each kind of call to the storage go wrong in each way, once and
// for good, and looks at what a client of the gateway sees: once, a right answer;
// for good, a right answer or a 503 that says what is away and when to come
// again, or a body that ends before its length. What was acknowledged is there,
// what was not is unknown, and after the clean-up nothing else is left.
func TestWeather(t *testing.T) {
	if testing.Short() {
		t.Skip("needs RGW, which -short does not start")
	}
	uses := usage(t)
	for _, call := range calls {
		for _, kind := range s3test.AllWeather {
			for _, times := range []int{1, 1000} {
				if times > 1 && call != "GetObject" && !slices.Contains(lasting, kind) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s, %d times", call, kind, times), func(t *testing.T) {
					t.Parallel()
					weather(t, call, kind, times, uses)
				})
			}
		}
	}
}

// usage says which calls each deed makes. In good weather nothing is left for a
// sweep.
func usage(t *testing.T) map[string][]string {
	e := expose(t, time.Minute)
	e.ask("POST", "/v1/blobs", there)
	uses := map[string][]string{}
	for _, d := range deeds {
		e.proxy.Recorded()
		if a, whole := d.do(e, d.content); a.status/100 != 2 || !whole {
			t.Fatalf("%s in good weather: %d %s", d.name, a.status, a.body)
		}
		uses[d.name] = e.proxy.Recorded()
	}
	e.clean()
	return uses
}

func weather(t *testing.T, call string, kind s3test.Weather, times int, uses map[string][]string) {
	idle := time.Minute
	if kind == s3test.Stall {
		idle = time.Second
	}
	e := expose(t, idle)
	if a, _ := e.ask("POST", "/v1/blobs", there); a.status != 201 {
		t.Fatalf("before: %d %s", a.status, a.body)
	}
	stored := map[string]bool{digestOf(there): true}
	struck := 0
	for _, d := range deeds {
		if !slices.Contains(uses[d.name], call) {
			continue
		}
		e.proxy.Spoil(call, kind, times)
		a, whole := d.do(e, d.content)
		hits := e.proxy.Clear()
		struck += hits
		switch {
		case a.status/100 == 2 && whole:
			if d.content != nil {
				stored[digestOf(d.content)] = true
			}
		case times == 1 || hits == 0:
			t.Errorf("%s: %d (whole: %v) after %d spoilt calls: %s", d.name, a.status, whole, hits, a.body)
		case a.status/100 == 2 && strings.HasPrefix(call, "Get"): // a body that ends too soon
		default:
			clear(t, d.name, a)
		}
	}
	if struck == 0 {
		t.Error("no call was spoilt: this shows nothing")
	}
	e.audit(stored)
}

// clear fails the test unless a refusal says what a client must know.
func clear(t *testing.T, what string, a answer) {
	t.Helper()
	var p struct {
		Code   string
		Errors []struct{ Message string }
	}
	err := json.Unmarshal(a.body, &p)
	if a.status != 503 || a.header.Get("Retry-After") == "" || err != nil || p.Code != "backend_unavailable" && len(p.Errors) == 0 {
		t.Errorf("%s: %d, Retry-After %q: %s", what, a.status, a.header.Get("Retry-After"), a.body)
	}
}

// clean demands that the bucket holds objects of blobs and nothing else.
func (e *exposed) clean() {
	e.t.Helper()
	for _, name := range e.server.Everything(e.t, e.prefix) {
		if !strings.HasPrefix(name, "sha256/") {
			e.t.Errorf("left behind: %s", name)
		}
	}
}

// audit looks at everything in good weather.
func (e *exposed) audit(stored map[string]bool) {
	e.t.Helper()
	for _, d := range append(deeds, deed{content: there}) {
		if d.content == nil {
			continue
		}
		digest := digestOf(d.content)
		a, whole := e.ask("GET", "/v1/blobs/"+digest, nil)
		if stored[digest] && (a.status != 200 || !whole || !bytes.Equal(a.body, d.content)) {
			e.t.Errorf("acknowledged and then %d: %.200s", a.status, a.body)
		}
		if !stored[digest] && a.status != 404 {
			e.t.Errorf("not acknowledged and then %d, %d bytes", a.status, len(a.body))
		}
	}
	if _, err := e.backend.Sweep(e.t.Context(), time.Now().Add(time.Hour)); err != nil {
		e.t.Error(err)
	}
	e.clean()
	if n := e.store.BufferedBytes() + e.backend.Memory().InUse(); n != 0 {
		e.t.Errorf("%d bytes of memory are not given back", n)
	}
}
