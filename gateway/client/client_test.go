package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"artifactstore/cas/digest"
	"artifactstore/gateway/client"
)

var content = bytes.Repeat([]byte("0123456789abcdef"), 4096)

func name(p []byte) digest.Digest {
	sum := sha256.Sum256(p)
	return digest.New(digest.SHA256, sum[:])
}

// serve answers requests with a function that is told how many came before.
func serve(t *testing.T, answer func(n int64, w http.ResponseWriter, r *http.Request)) (*client.Client, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(n.Add(1)-1, w, r) }))
	t.Cleanup(s.Close)
	return &client.Client{Server: s.URL, HTTP: s.Client()}, &n
}

// tear sends the beginning of an answer and ends the connection.
func tear(w http.ResponseWriter, p []byte) {
	w.Write(p)
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// A connection that breaks is taken up again where it broke, as long as each one
// brings something.
func TestGetGoesOn(t *testing.T) {
	const parts = 8
	c, n := serve(t, func(n int64, w http.ResponseWriter, r *http.Request) {
		from := int(n) * len(content) / parts
		if want := fmt.Sprintf("bytes=%d-", from); n > 0 && r.Header.Get("Range") != want {
			t.Errorf("request %d asks for %q, want %q", n, r.Header.Get("Range"), want)
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)-from))
		if n > 0 {
			w.WriteHeader(http.StatusPartialContent)
		}
		if n == parts-1 {
			w.Write(content[from:])
			return
		}
		tear(w, content[from:from+len(content)/parts])
	})
	var got bytes.Buffer
	id, err := c.Get(t.Context(), name(content), &got)
	if err != nil || !bytes.Equal(got.Bytes(), content) || id.Size != int64(len(content)) {
		t.Errorf("%d bytes of %d, %+v, %v", got.Len(), len(content), id, err)
	}
	if n.Load() != parts {
		t.Errorf("%d requests, want %d", n.Load(), parts)
	}
}

// Without anything new it gives up, and says that the blob is not whole.
func TestGetGivesUp(t *testing.T) {
	c, n := serve(t, func(n int64, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		if n > 0 {
			panic(http.ErrAbortHandler)
		}
		tear(w, content[:100])
	})
	if _, err := c.Get(t.Context(), name(content), io.Discard); err == nil || n.Load() != 5 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
}

func TestGetRefusesOtherBytes(t *testing.T) {
	for what, sent := range map[string][]byte{
		"changed": append([]byte("X"), content[1:]...),
		"short":   content[:len(content)-1],
		"long":    append(bytes.Clone(content), 'x'),
		"empty":   nil,
	} {
		c, _ := serve(t, func(_ int64, w http.ResponseWriter, _ *http.Request) { w.Write(sent) })
		if _, err := c.Get(t.Context(), name(content), io.Discard); !errors.Is(err, client.ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A refusal is told in the gateway's words and not repeated; being busy is
// waited out.
func TestGetRefusals(t *testing.T) {
	c, n := serve(t, func(_ int64, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"status":404,"code":"blob_unknown","detail":"there is no such blob here"}`)
	})
	_, err := c.Get(t.Context(), name(content), io.Discard)
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != 404 || refused.Code != "blob_unknown" || n.Load() != 1 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
	if _, err := c.Size(t.Context(), name(content)); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("size: %v", err)
	}
	c, _ = serve(t, func(n int64, w http.ResponseWriter, _ *http.Request) {
		if n == 0 {
			http.Error(w, "an intermediary's words", http.StatusServiceUnavailable)
			return
		}
		w.Write(content)
	})
	if _, err := c.Get(t.Context(), name(content), io.Discard); err != nil {
		t.Errorf("busy once: %v", err)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// A fault of the writer is the caller's: the gateway is not asked again.
func TestGetStopsWithItsWriter(t *testing.T) {
	c, n := serve(t, func(_ int64, w http.ResponseWriter, _ *http.Request) { w.Write(content) })
	if _, err := c.Get(t.Context(), name(content), full{}); err == nil || !strings.Contains(err.Error(), "no space left") || n.Load() != 1 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ctx, name(content), io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// Put sends its digest behind the bytes, and believes no answer that names
// others.
func TestPut(t *testing.T) {
	h := digest.NewHasher()
	h.Write(content)
	id := h.Identity()
	answer := fmt.Sprintf(`{"digest":%q,"digests":{"sha256":%q,"blake3":%q},"size":%d,"existed":false,"backend_id":"b","leased_until":null}`,
		id.SHA256, id.SHA256.Hex(), id.BLAKE3.Hex(), id.Size)
	c, _ := serve(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("received %d bytes, %v", len(got), err)
		}
		if field := r.Trailer.Get("Repr-Digest"); !strings.HasPrefix(field, "sha-256=:") {
			t.Errorf("trailer %q", field)
		}
		if r.URL.RawQuery != "producer=ci-7&retention_class=release" {
			t.Errorf("query %q", r.URL.RawQuery)
		}
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, answer)
	})
	o := client.PutOptions{Producer: "ci-7", RetentionClass: "release"}
	s, err := c.Put(t.Context(), bytes.NewReader(content), o)
	if err != nil || s.Digest != id.SHA256 || s.BackendID != "b" || s.LeasedUntil != nil {
		t.Errorf("%+v, %v", s, err)
	}
	for what, other := range map[string]string{
		"sha256": strings.Replace(answer, id.SHA256.String(), name(nil).String(), 1),
		"blake3": strings.Replace(answer, id.BLAKE3.Hex(), id.SHA256.Hex(), 1),
		"size":   strings.Replace(answer, `"size":65536`, `"size":65535`, 1),
	} {
		if other == answer {
			t.Fatalf("%s: nothing replaced", what)
		}
		c, _ := serve(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, other)
		})
		if _, err := c.Put(t.Context(), bytes.NewReader(content), o); !errors.Is(err, client.ErrDamaged) {
			t.Errorf("another %s: %v", what, err)
		}
	}
}

// A source that fails is no upload: the gateway must not see a whole body.
func TestPutStopsWithItsSource(t *testing.T) {
	c, _ := serve(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			t.Error("the body came to its end")
		}
	})
	source := io.MultiReader(bytes.NewReader(content), failing{})
	if _, err := c.Put(t.Context(), source, client.PutOptions{}); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("%v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

func TestEvents(t *testing.T) {
	c, _ := serve(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "after=4&limit=10&wait=0s" {
			t.Errorf("query %q", r.URL.RawQuery)
		}
		io.WriteString(w, `{"events":[{"position":5,"time":"2026-01-02T03:04:05Z","type":"v1.storage.blob_stored","actor":"a","subject":"s","data":{"size":1}}],"next":5}`)
	})
	page, next, err := c.Events(t.Context(), 4, 10, 0)
	if err != nil || next != 5 || len(page) != 1 || page[0].Position != 5 || string(page[0].Data) != `{"size":1}` {
		t.Errorf("%+v, %d, %v", page, next, err)
	}
}
