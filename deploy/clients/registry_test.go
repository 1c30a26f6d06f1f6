package clients_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// ask makes a request of the test's own, to see what a client left behind.
func (w *world) ask(t *testing.T, path string) (status int, h http.Header, body []byte) {
	t.Helper()
	scheme := "http://"
	if w.secure {
		scheme = "https://"
	}
	resp, err := w.client.Get(scheme + w.gateway + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, body
}

// holds fails the test unless a repository has an image under a tag: the
// manifest with the bytes and the digest, and every blob.
func (w *world) holds(t *testing.T, repository, tag string, i image) {
	t.Helper()
	status, h, body := w.ask(t, "/v2/"+repository+"/manifests/"+tag)
	if status != http.StatusOK || digestOf(body) != i.digest || h.Get("Docker-Content-Digest") != i.digest {
		t.Fatalf("%s:%s: %d, digest %s, want %s", repository, tag, status, digestOf(body), i.digest)
	}
	w.complete(t, repository, i.digest, i.blobs)
}

// complete fails the test unless all that a manifest names is in its repository,
// with the content that its name says, and with that of want, if it is given.
func (w *world) complete(t *testing.T, repository, d string, want map[string][]byte) parsed {
	t.Helper()
	status, _, body := w.ask(t, "/v2/"+repository+"/manifests/"+d)
	if status != http.StatusOK || digestOf(body) != d {
		t.Fatalf("%s@%s: %d, digest %s", repository, d, status, digestOf(body))
	}
	m := parse(t, body)
	for _, child := range m.Manifests {
		w.complete(t, repository, child.Digest, want)
	}
	if m.Config.Digest == "" {
		return m
	}
	for _, l := range append(m.Layers, m.Config) {
		status, _, body := w.ask(t, "/v2/"+repository+"/blobs/"+l.Digest)
		if status != http.StatusOK || digestOf(body) != l.Digest || int64(len(body)) != l.Size {
			t.Errorf("%s: blob %s: %d, %d bytes of %s", repository, l.Digest, status, len(body), digestOf(body))
		}
		if want != nil && !bytes.Equal(body, want[l.Digest]) {
			t.Errorf("%s: blob %s is not of the image", repository, l.Digest)
		}
	}
	return m
}

// tags fails the test unless a repository has just these, in order; nothing at
// all is a repository that is not known any more.
func (w *world) tags(t *testing.T, repository string, want ...string) {
	t.Helper()
	_, _, body := w.ask(t, "/v2/"+repository+"/tags/list")
	var list struct{ Tags []string }
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if !slices.Equal(list.Tags, want) {
		t.Errorf("tags of %s: %v, want %v", repository, list.Tags, want)
	}
}

// gone fails the test unless a path of the protocol answers 404.
func (w *world) gone(t *testing.T, format string, args ...any) {
	t.Helper()
	path := "/v2/" + fmt.Sprintf(format, args...)
	if status, _, body := w.ask(t, path); status != http.StatusNotFound {
		t.Errorf("%s: %d %s, want 404", path, status, body)
	}
}

// list splits a client's output into lines.
func list(output string) []string { return strings.Fields(output) }
