package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"artifactstore/backends/s3/s3test"
	"artifactstore/cas/digest"
)

// A real gateway copies what a route with copies takes: to another directory, and
// to a bucket. Then a copy serves what its backend has lost.
func TestServeMakesCopies(t *testing.T) {
	seconds := map[string]func(*testing.T) string{
		"directory": func(*testing.T) string { return "{id: second, type: local, root: second}" },
	}
	if !testing.Short() {
		seconds["rgw"] = func(t *testing.T) string {
			server := s3test.RGW(t)
			t.Setenv("COPIES_ACCESS", server.AccessKey)
			t.Setenv("COPIES_SECRET", server.SecretKey)
			return fmt.Sprintf(`{id: second, type: s3, endpoint_url: "%s", region: "%s", bucket: "%s", key_prefix: "%s", access_key_ref: env:COPIES_ACCESS, secret_key_ref: env:COPIES_SECRET}`,
				server.EndpointURL, server.Region, server.Bucket, s3test.Prefix())
		}
	}
	for name, second := range seconds {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			config := fmt.Sprintf(`backends:
  - {id: first, type: local, root: first}
  - %s
routing:
  default: first
  rules: [{retention_class: release, backend: first, copies: [second]}]
  copying: {every: 1s}
`, second(t))
			if err := os.WriteFile(filepath.Join(dir, "artifactstore.yaml"), []byte(config), 0o600); err != nil {
				t.Fatal(err)
			}
			serveMakesCopies(t, dir)
		})
	}
}

func serveMakesCopies(t *testing.T, dir string) {
	s := start(t, command(t), dir, "ARTIFACTSTORE_CONFIG=artifactstore.yaml")
	content := make([]byte, 9<<20)
	rand.NewChaCha8([32]byte{9}).Read(content)
	h := digest.NewHasher()
	h.Write(content)
	sum := h.Identity().SHA256
	req, err := http.NewRequest(http.MethodPost, s.url+"/v1/blobs?retention_class=release", strings.NewReader(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatal(resp.Status)
	}
	awaitMetric(t, s, `artifactstore_locations{backend="second",state="stored"} 1`)
	awaitMetric(t, s, `artifactstore_locations_missing{backend="second"} 0`)
	if err := os.Remove(filepath.Join(dir, "first", filepath.FromSlash(sum.Key()))); err != nil {
		t.Fatal(err)
	}
	back, err := http.Get(s.url + "/v1/blobs/" + sum.String())
	if err != nil {
		t.Fatal(err)
	}
	defer back.Body.Close()
	got, err := io.ReadAll(back.Body)
	if err != nil || string(got) != string(content) {
		t.Errorf("%s with %d of %d bytes: %v", back.Status, len(got), len(content), err)
	}
	awaitMetric(t, s, `artifactstore_locations{backend="first",state="stored"} 1`) // mended from the copy
	if err := s.stop(); err != nil {
		t.Errorf("%v\n%s", err, s.logged())
	}
}

// awaitMetric waits until a gateway shows a line.
func awaitMetric(t *testing.T, s *server, line string) {
	t.Helper()
	is := regexp.MustCompile("(?m)^" + regexp.QuoteMeta(line) + "$")
	var shown []byte
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		resp, err := http.Get(s.url + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		shown, _ = io.ReadAll(resp.Body)
		resp.Body.Close()
		if is.Match(shown) {
			return
		}
	}
	t.Fatalf("no %s in\n%s\n%s", line, shown, s.logged())
}
