package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"artifactstore/backends/s3/s3test"
)

const (
	// partsBytes is how much each upload sends: what passes in half a minute.
	// partsSize is a variable of the environment with another size; the full one,
	// 1073741824, wants 16 GiB of room in the bucket (rgw.sh up DIR --store bluestore).
	partsBytes    = 96 << 20
	partsSize     = "ARTIFACTSTORE_TEST_MEMORY_BYTES"
	partsUploads  = 16
	partsBuffered = 256 << 20 // limits.buffered_bytes: the default
	partsBeside   = 100 << 20 // what the rest of the gateway may take
)

// TestMemoryOfParts sends 16 uploads at once, of contents that all differ and whose
// digests nobody announced, through the shipped gateway to a real RGW, and
// compares the largest resident set of its process (VmHWM) with the bound on
// buffers. The service is slower than the clients, so the parts fill all the
// memory they may have, whatever the size of the uploads: what a larger size
// shows besides is that nothing grows with the bytes.
func TestMemoryOfParts(t *testing.T) {
	if testing.Short() {
		t.Skip("needs RGW, which -short does not start")
	}
	rgw := s3test.RGW(t)
	prefix := s3test.Prefix()
	t.Cleanup(func() { rgw.Remove(t, prefix) })
	m := &memory{t: t, blob: partsBytes}
	if text := os.Getenv(partsSize); text != "" {
		var err error
		if m.blob, err = strconv.ParseInt(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	m.server = start(t, shipped(t), bucketOnly(t, rgw, prefix), "ARTIFACTSTORE_CONFIG=artifactstore.yaml")
	before := m.peak()
	begun := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 4*transferTime)
	defer cancel()
	for i := range partsUploads {
		m.running.Go(func() { m.send(ctx, uint64(i)) })
	}
	ended := make(chan struct{})
	go func() { m.running.Wait(); close(ended) }()
	most := m.watch(ended)
	end := m.peak()
	t.Logf("%d uploads of %d MiB in %.1f s: peak resident %d MiB (%d before the first), at most %d MiB of buffers",
		partsUploads, m.blob>>20, time.Since(begun).Seconds(), end>>20, before>>20, most>>20)
	if end > partsBuffered+partsBeside {
		t.Errorf("the gateway took %d MiB, more than %d + %d", end>>20, partsBuffered>>20, partsBeside>>20)
	}
	if most > partsBuffered || most < partsBuffered/2 {
		t.Errorf("the gateway says that it held %d MiB of buffers at most; the bound is %d, and the uploads want all of it", most>>20, partsBuffered>>20)
	}
	if left := m.buffered(); left != 0 {
		t.Errorf("%d bytes of buffers are held when all has ended", left)
	}
}

// bucketOnly writes a configuration with one backend, a bucket, and SQLite, and returns
// its directory.
func bucketOnly(t *testing.T, server s3test.Server, prefix string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"access": server.AccessKey, "secret": server.SecretKey,
		"artifactstore.yaml": fmt.Sprintf(`backends:
  - id: bucket
    type: s3
    endpoint_url: %[2]s
    region: %[3]s
    bucket: %[4]s
    key_prefix: %[5]s
    path_style: true
    access_key_ref: file:%[1]s/access
    secret_key_ref: file:%[1]s/secret
limits: {buffered_bytes: %[6]d}
`, dir, server.EndpointURL, server.Region, server.Bucket, prefix, partsBuffered),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (m *memory) send(ctx context.Context, number uint64) {
	body := &generator{number: number, left: m.blob}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.server.url+"/v1/blobs", io.NopCloser(body))
	if err != nil {
		m.t.Error(err)
		return
	}
	req.ContentLength = m.blob
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Errorf("upload %d: %v", number, err)
		return
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated {
		m.t.Errorf("upload %d: %s: %s %v", number, resp.Status, text, err)
	}
}

// watch looks at the buffers until all has ended and returns the most there were.
func (m *memory) watch(ended <-chan struct{}) (most int64) {
	m.t.Helper()
	for looks := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-ended:
			looks.Stop()
			return most
		case <-m.server.ended:
			m.t.Fatalf("the gateway ended: %v\n%s", m.server.err, m.server.logged())
		case <-looks.C:
			most = max(most, m.buffered())
		}
	}
}

// buffered returns what the gateway says it holds, in bytes.
func (m *memory) buffered() int64 {
	m.t.Helper()
	resp, err := http.Get(m.server.url + "/metrics")
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "artifactstore_buffered_bytes "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				m.t.Fatal(err)
			}
			return int64(n)
		}
	}
	m.t.Fatal("no artifactstore_buffered_bytes")
	return 0
}
