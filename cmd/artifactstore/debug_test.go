package main

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// Profiles are served where the configuration says, and nowhere else.
func TestProfiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/artifactstore.yaml", []byte("debug: {listen: 127.0.0.1:0}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, command(t), dir, "ARTIFACTSTORE_CONFIG=artifactstore.yaml", "ARTIFACTSTORE_TEST_SECRET=s3cr3t")
	var at string
	for end := time.Now().Add(startTime); at == ""; time.Sleep(10 * time.Millisecond) {
		_, rest, _ := strings.Cut(s.logged(), `"profiles are served","address":"`)
		at, _, _ = strings.Cut(rest, `"`)
		if time.Now().After(end) {
			t.Fatalf("the log does not say where profiles are:\n%s", s.logged())
		}
	}
	get := func(url, host string) (int, string) {
		t.Helper()
		req, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			req.Host = host
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "s3cr3t") {
			t.Errorf("%s has the environment", url)
		}
		return resp.StatusCode, string(text)
	}
	for url, want := range map[string]int{
		at:                          200,
		at + "goroutine?debug=2":    200,
		at + "heap":                 200,
		at + "profile?seconds=1":    200,
		at + "cmdline":              404,
		s.url + "/debug/pprof/":     404,
		s.url + "/debug/pprof/heap": 404,
	} {
		if status, text := get(url, ""); status != want {
			t.Errorf("%s: %d, want %d: %.200s", url, status, want, text)
		}
	}
	for host, want := range map[string]int{"evil.example": 403, "evil.example:80": 403, "localhost:1": 200, "[::1]:1": 200, "127.0.0.1": 200, "192.0.2.1": 403} {
		if status, _ := get(at, host); status != want {
			t.Errorf("asked as %s: %d, want %d", host, status, want)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
