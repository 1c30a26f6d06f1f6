package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
)

// verifying opens a house whose gateway verifies what it is asked to.
func verifying(t *testing.T, at shapes.House) *house {
	h := open(t, changes{at: at})
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { h.store.RunVerifications(ctx, nil) })
	t.Cleanup(func() { stop(); all.Wait() })
	return h
}

// run is a verification as HTTP shows it.
type run struct {
	Run     string           `json:"run"`
	Status  string           `json:"status"`
	By      string           `json:"by"`
	Seen    int64            `json:"seen"`
	Results map[string]int64 `json:"results"`
}

// verification asks for one and waits for its end.
func (h *house) verification(body string) run {
	h.t.Helper()
	resp, text := h.request("POST", "/v1/backends/main/verifications", strings.NewReader(body))
	var v run
	if err := json.Unmarshal(text, &v); err != nil || resp.StatusCode != 202 {
		h.t.Fatalf("%s %s: %v", resp.Status, text, err)
	}
	path := resp.Header.Get("Location")
	if path != "/v1/backends/main/verifications/"+v.Run {
		h.t.Errorf("Location: %s", path)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		resp, text = h.request("GET", path, nil)
		v = run{}
		if err := json.Unmarshal(text, &v); err != nil || resp.StatusCode != 200 {
			h.t.Fatalf("%s %s: %v", resp.Status, text, err)
		}
		if v.Status == "done" {
			return v
		}
	}
	h.t.Fatalf("it does not end: %s", text)
	return v
}

// spoil puts other bytes in the place of a blob's.
func (h *house) spoil(path string, content []byte) {
	h.t.Helper()
	d, err := digest.Parse(strings.TrimPrefix(path, "/v1/blobs/"))
	if err != nil {
		h.t.Fatal(err)
	}
	if h.bytes.Root != "" { // without the backend's help
		if err := os.WriteFile(filepath.Join(h.bytes.Root, filepath.FromSlash(d.Key())), content, 0o600); err != nil {
			h.t.Fatal(err)
		}
		return
	}
	u, err := h.bytes.Begin(h.t.Context(), backends.Hint{Size: -1})
	if err == nil {
		_, err = u.Write(content)
	}
	if err == nil {
		err = u.Commit(h.t.Context(), d.Key())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// A verification asked for over HTTP finds what is wrong; run, health, list of
// backends and metrics agree; what has failed is not served; and a push heals it all.
func TestVerification(t *testing.T) { everyHouse(t, verificationOf) }

func verificationOf(t *testing.T, at shapes.House) {
	h := verifying(t, at)
	contents := [][]byte{random(5000), random(70_000), random(600_000)}
	var paths []string
	for _, c := range contents {
		paths = append(paths, h.put(c))
	}
	wrong := append([]byte{contents[1][0] ^ 1}, contents[1][1:]...)
	h.spoil(paths[1], wrong)
	h.remove(paths[2])
	v := h.verification(`{"repair":true,"concurrency":2}`)
	if v.By != "anonymous" || v.Seen != 3 || v.Results["ok"] != 1 || v.Results["mismatch"] != 1 || v.Results["missing"] != 1 {
		t.Errorf("%+v", v)
	}
	for _, where := range []string{"/health", "/v1/backends"} {
		_, text := h.request("GET", where, nil)
		for _, want := range []string{strings.TrimPrefix(paths[1], "/v1/blobs/"), strings.TrimPrefix(paths[2], "/v1/blobs/"), v.Run, `"failed": 2`, `"status": "done"`} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %s: %s", where, want, text)
			}
		}
	}
	h.health(200, `"status": "degraded"`)
	got := h.metrics()
	for series, want := range map[string]string{
		`artifactstore_locations{backend="main",state="failed"}`:                      "2",
		`artifactstore_verification_objects_total{backend="main",result="ok"}`:        "1",
		`artifactstore_verification_objects_total{backend="main",result="mismatch"}`:  "1",
		`artifactstore_verification_objects_total{backend="main",result="missing"}`:   "1",
		`artifactstore_verification_objects_total{backend="main",result="truncated"}`: "0",
	} {
		if got[series] != want {
			t.Errorf("%s: %q, want %q", series, got[series], want)
		}
	}
	at0 := got[`artifactstore_verification_last_completed_timestamp_seconds{backend="main"}`]
	var seconds float64
	if fmt.Sscan(at0, &seconds); time.Since(time.Unix(int64(seconds), 0)) > time.Hour {
		t.Errorf("last completed: %s", at0)
	}
	for i := 1; i < 3; i++ {
		resp, text := h.request("GET", paths[i], nil)
		refusal(t, resp, text, 404, "blob_unavailable")
		h.put(contents[i])
	}
	h.health(200, `"status": "ok"`)
	if v := h.verification(``); v.Results["ok"] != 3 || len(v.Results) != 1 {
		t.Errorf("after healing: %+v", v)
	}
	_, text := h.request("GET", "/v1/backends/main/verifications", nil)
	var list struct{ Verifications []run }
	if err := json.Unmarshal(text, &list); err != nil || len(list.Verifications) != 2 || list.Verifications[1].Run != v.Run {
		t.Errorf("%s: %v", text, err)
	}
}

// A run that waits is refused a second, and stopped by DELETE; what is not there
// or not well formed is said.
func TestVerificationRefusals(t *testing.T) {
	h := open(t, changes{}) // nobody does what is asked
	resp, text := h.request("POST", "/v1/backends/main/verifications", strings.NewReader(`{"sample":0.5}`))
	if resp.StatusCode != 202 || !strings.Contains(string(text), `"status": "`+cas.RunRequested+`"`) {
		t.Errorf("%s %s", resp.Status, text)
	}
	path := resp.Header.Get("Location")
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"POST", "/v1/backends/main/verifications", "", 409, "verification_running"},
		{"POST", "/v1/backends/other/verifications", "", 404, "backend_unknown"},
		{"GET", "/v1/backends/other/verifications", "", 404, "backend_unknown"},
		{"GET", "/v1/backends/main/verifications/none", "", 404, "verification_unknown"},
		{"DELETE", "/v1/backends/main/verifications/none", "", 404, "verification_unknown"},
		{"POST", "/v1/backends/main/verifications", "{", 400, "request_invalid"},
		{"POST", "/v1/backends/main/verifications", `{"sample":2}`, 400, "request_invalid"},
		{"PUT", "/v1/backends/main/verifications", "", 405, "method_not_allowed"},
		{"POST", path, "", 405, "method_not_allowed"},
		{"POST", "/v1/backends", "", 405, "method_not_allowed"},
		{"GET", "/v1/backends/main", "", 404, "path_unknown"},
	} {
		resp, text := h.request(c.method, c.path, strings.NewReader(c.body))
		refusal(t, resp, text, c.status, c.code)
	}
	if resp, text := h.request(http.MethodDelete, path, nil); resp.StatusCode != 202 || !strings.Contains(string(text), `"status": "stopped"`) {
		t.Errorf("%s %s", resp.Status, text)
	}
}
