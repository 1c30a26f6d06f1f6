package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// What was let go is collected in the background, and the operators see it.
func TestCollectionIsShown(t *testing.T) {
	h := open(t, changes{collect: cas.Collection{Grace: -1}})
	path := h.put([]byte("hello"))
	if resp, body := h.request(http.MethodDelete, path, nil); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("%s: %s", resp.Status, body)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var working sync.WaitGroup
	working.Go(func() {
		h.store.Background(ctx, h.store.Upkeep(cas.Schedule{Collect: time.Hour, Orphans: time.Hour})...)
	})
	for _, task := range []string{"sweep", "expire", "collect", "orphans/main"} {
		h.await(`artifactstore_task_last_completed_timestamp_seconds{task="`+task+`"}`, func(v string) bool { return v != "" })
	}
	cancel()
	working.Wait()
	got := h.metrics()
	for series, want := range map[string]string{
		"artifactstore_collected_blobs_total":                      "1",
		"artifactstore_collected_bytes_total":                      "5",
		"artifactstore_collected_orphans_total":                    "0",
		"artifactstore_collection_failed_deletes_total":            "0",
		"artifactstore_expired_packages_total":                     "0",
		"artifactstore_blobs":                                      "0",
		`artifactstore_locations{backend="main",state="stored"}`:   "0",
		`artifactstore_locations{backend="main",state="removing"}`: "0",
	} {
		if got[series] != want {
			t.Errorf("%s: %q, want %q", series, got[series], want)
		}
	}
	if _, body := h.request(http.MethodGet, "/v1/events", nil); !strings.Contains(string(body), "v1.storage.blob_collected") {
		t.Errorf("events: %s", body)
	}
	if files := h.bytes.Files(t); len(files) != 0 {
		t.Errorf("left: %v", files)
	}
}

// A push of what is just being removed is told to come back, on both faces.
func TestPushMeetsRemoval(t *testing.T) {
	h := open(t, changes{sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	hasher := digest.NewHasher()
	hasher.Write([]byte("hello"))
	blob := hasher.Identity().SHA256
	_, err := h.reg.Append(t.Context(), registry.Event{Actor: "test", Data: registry.LocationRemoving{
		Blob: blob, BackendID: shapes.BackendID, Cause: registry.Orphan,
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/blobs", "/v2/app/blobs/uploads/?digest=" + blob.String()} {
		resp, body := h.request(http.MethodPost, path, strings.NewReader("hello"), "Content-Type", "application/octet-stream")
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !strings.Contains(string(body), "being removed") {
			t.Errorf("%s: %s, %v: %s", path, resp.Status, resp.Header, body)
		}
	}
}
