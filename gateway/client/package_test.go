package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"artifactstore/gateway/client"
)

var app = client.PackageName{Producer: "ci", Name: "app", Version: "1.0+x"}

func TestPackageNames(t *testing.T) {
	if n, err := client.ParsePackageName("ci/app/1.0+x"); err != nil || n != app || n.String() != "ci/app/1.0+x" {
		t.Errorf("%+v, %v", n, err)
	}
	for _, bad := range []string{"", "ci", "ci/app", "ci/app/1/2", "ci//1", "../app/1", "ci/app/..", "ci/app/a b", "ci/app/" + strings.Repeat("1", 129), "team/app/sha256:00"} {
		if n, err := client.ParsePackageName(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, n)
		}
	}
	oci := client.PackageName{Producer: "team", Name: "team/web", Version: "sha256:00"}
	if got := oci.String(); got != "team/web@sha256:00" {
		t.Errorf("%s", got)
	}
}

// refusal answers with a problem document.
func refusal(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"status":%d,"code":%q,"detail":"no"}`, status, code)
}

// paused makes a client that does not wait, and says what it would have waited.
func paused(c *client.Client) *[]time.Duration {
	var all []time.Duration
	c.Pause = func(_ context.Context, d time.Duration) { all = append(all, d) }
	return &all
}

func storedAnswer(content []byte) string {
	id := client.Bytes(content).Identity
	return fmt.Sprintf(`{"path":"a","digest":%q,"digests":{"sha256":%q,"blake3":%q},"size":%d,"existed":false,"backend_id":"b"}`,
		id.SHA256, id.SHA256.Hex(), id.BLAKE3.Hex(), id.Size)
}

// What a busy gateway refuses, and what a broken connection loses, is sent again
// from the start, after as long as the gateway asks for.
func TestPutFileAgain(t *testing.T) {
	c, n := serve(t, func(n int64, w http.ResponseWriter, r *http.Request) {
		if want := "/v1/packages/ci/app/1.0+x/files/dir/a%20%25%23%3F%5B"; r.URL.EscapedPath() != want {
			t.Errorf("path %s, want %s", r.URL.EscapedPath(), want)
		}
		got, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(got, content) || r.ContentLength != int64(len(content)) || !strings.HasPrefix(r.Header.Get("Repr-Digest"), "sha-256=:") {
			t.Errorf("request %d: %d bytes of %d, %v", n, len(got), r.ContentLength, err)
		}
		switch n {
		case 0:
			w.Header().Set("Retry-After", "7")
			refusal(w, 503, "backend_unavailable")
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			w.Header().Set("Retry-After", "100000000000")
			refusal(w, 503, "busy")
		default:
			w.WriteHeader(201)
			io.WriteString(w, storedAnswer(content))
		}
	})
	waited := paused(c)
	opened := 0
	source := client.Bytes(content)
	open := source.Open
	source.Open = func() (io.ReadCloser, error) { opened++; return open() }
	s, err := c.PutFile(t.Context(), app, "dir/a %#?[", source)
	if err != nil || s.Digest != name(content) || n.Load() != 4 || opened != 4 {
		t.Errorf("%+v, %v after %d requests, opened %d times", s, err, n.Load(), opened)
	}
	if want := []time.Duration{7 * time.Second, 400 * time.Millisecond, 30 * time.Second}; !slices.Equal(*waited, want) {
		t.Errorf("waited %v, want %v", *waited, want)
	}
}

// A gateway that stays busy is given up; one that refuses is asked once.
func TestGivesUp(t *testing.T) {
	for status, want := range map[int]int64{503: 4, 429: 4, 500: 1, 409: 1, 404: 1} {
		c, n := serve(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			refusal(w, status, "package_sealed")
		})
		paused(c)
		_, err := c.PutFile(t.Context(), app, "a", client.Bytes(content))
		var refused *client.Error
		if !errors.As(err, &refused) || refused.Status != status || n.Load() != want {
			t.Errorf("%d: %v after %d requests, want %d", status, err, n.Load(), want)
		}
		if !errors.Is(err, client.ErrPackageSealed) || errors.Is(err, client.ErrPackageHeld) {
			t.Errorf("%d: %v", status, err)
		}
	}
	c, n := serve(t, func(_ int64, w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) })
	paused(c)
	if _, err := c.Seal(t.Context(), app); err == nil || n.Load() != 4 {
		t.Errorf("broken: %v after %d requests", err, n.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Seal(ctx, app); !errors.Is(err, context.Canceled) || n.Load() != 4 {
		t.Errorf("cancelled: %v", err)
	}
}

// What an earlier try has done, whose answer was lost, is done; what was never there
// is refused.
func TestDeleteAgain(t *testing.T) {
	for code, do := range map[string]func(c *client.Client) error{
		"package_unknown": func(c *client.Client) error { return c.DeletePackage(t.Context(), app) },
		"hold_unknown":    func(c *client.Client) error { return c.ReleasePackage(t.Context(), app, "case-1") },
	} {
		for _, first := range []string{"lost", "busy", "none"} {
			c, _ := serve(t, func(n int64, w http.ResponseWriter, _ *http.Request) {
				switch {
				case n == 0 && first == "lost":
					panic(http.ErrAbortHandler)
				case n == 0 && first == "busy":
					refusal(w, 503, "busy")
				default:
					refusal(w, 404, code)
				}
			})
			paused(c)
			var refused *client.Error
			err := do(c)
			if done := first == "lost"; done != (err == nil) || !done && (!errors.As(err, &refused) || refused.Code != code) {
				t.Errorf("%s, %s: %v", code, first, err)
			}
		}
	}
}

// A source that fails is the caller's fault: the gateway is not asked again.
func TestPutFileStopsWithItsSource(t *testing.T) {
	c, n := serve(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			t.Error("the body came to its end")
		}
	})
	waited := paused(c)
	source := client.Bytes(content)
	source.Open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(content[:100]), failing{})), nil
	}
	if _, err := c.PutFile(t.Context(), app, "a", source); err == nil || !strings.Contains(err.Error(), "disk on fire") || n.Load() > 1 || len(*waited) > 0 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
	source.Open = func() (io.ReadCloser, error) { return nil, errors.New("no such file") }
	if _, err := c.PutFile(t.Context(), app, "a", source); err == nil || !strings.Contains(err.Error(), "no such file") || len(*waited) > 0 {
		t.Errorf("%v", err)
	}
}

// An answer that names other bytes is not believed, whether they were sent or
// attached.
func TestPutFileBelievesNoOther(t *testing.T) {
	right := storedAnswer(content)
	for what, answer := range map[string]string{
		"sha256": strings.Replace(right, name(content).String(), name(nil).String(), 1),
		"blake3": strings.Replace(right, client.Bytes(content).BLAKE3.Hex(), name(nil).Hex(), 1),
		"size":   strings.Replace(right, `"size":65536`, `"size":65535`, 1),
	} {
		if answer == right {
			t.Fatalf("%s: nothing replaced", what)
		}
		c, _ := serve(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, answer)
		})
		if _, err := c.PutFile(t.Context(), app, "a", client.Bytes(content)); !errors.Is(err, client.ErrDamaged) {
			t.Errorf("put, another %s: %v", what, err)
		}
		if _, err := c.AttachFile(t.Context(), app, "a", client.Bytes(content).Identity); !errors.Is(err, client.ErrDamaged) {
			t.Errorf("attach, another %s: %v", what, err)
		}
	}
}

// A list is followed from page to page, and not where it leads nowhere.
func TestPages(t *testing.T) {
	c, _ := serve(t, func(n int64, w http.ResponseWriter, r *http.Request) {
		switch r.URL.RawQuery {
		case "limit=1000":
			io.WriteString(w, `{"files":[{"path":"a","size":1},{"path":"b","size":2}],"next":"b"}`)
		case "after=b&limit=1000":
			io.WriteString(w, `{"files":[],"next":"m"}`)
		case "after=m&limit=1000":
			io.WriteString(w, `{"files":[{"path":"z","size":3}]}`)
		default:
			t.Errorf("query %q", r.URL.RawQuery)
		}
	})
	var got []string
	for f, err := range c.Files(t.Context(), app) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f.Path)
	}
	if !slices.Equal(got, []string{"a", "b", "z"}) {
		t.Errorf("%q", got)
	}

	c, n := serve(t, func(n int64, w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); q.Get("producer") != "ci" || q.Get("state") != "open" || q.Get("label") != "a=b=c" || q.Has("name") {
			t.Errorf("query %q", r.URL.RawQuery)
		}
		io.WriteString(w, `{"packages":[],"next":"ci/app/1"}`)
	})
	var err error
	for _, err = range c.Packages(t.Context(), client.PackageFilter{Producer: "ci", State: "open", Labels: map[string]string{"a": "b=c"}}) {
	}
	if err == nil || n.Load() != 2 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
}

// Each of these is one request, whose answer is what is returned.
func TestPackageRequests(t *testing.T) {
	const path = "/v1/packages/ci/app/1.0+x"
	var want, body, answer string
	var status int
	c, _ := serve(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		if got := r.Method + " " + r.URL.RequestURI(); got != want || string(text) != body {
			t.Errorf("%s %s, want %s %s", got, text, want, body)
		}
		w.WriteHeader(status)
		io.WriteString(w, answer)
	})
	expect := func(method, uri, in string, code int, out string) {
		want, body, status, answer = method+" "+uri, in, code, out
	}
	ctx := t.Context()

	shown := `{"producer":"ci","name":"app","version":"1.0+x","state":"sealed","retention_class":"release","manifest_digest":null,"expires_at":null,"holds":[]}`
	expect("PUT", path, `{"retention_class":"release","labels":{"a":"b"}}`, 201, shown)
	p, created, err := c.CreatePackage(ctx, app, client.PackageOptions{RetentionClass: "release", Labels: map[string]string{"a": "b"}})
	if err != nil || !created || !p.Sealed() || p.PackageName != app || p.ExpiresAt != nil {
		t.Errorf("%+v, %v, %v", p, created, err)
	}
	expect("PUT", path+"?force=true", `{}`, 200, shown)
	if _, created, err := c.CreatePackage(ctx, app, client.PackageOptions{Force: true}); err != nil || created {
		t.Errorf("%v, %v", created, err)
	}
	expect("GET", path+"?limit=1", "", 200, shown)
	if p, err := c.Package(ctx, app); err != nil || p.RetentionClass != "release" {
		t.Errorf("%+v, %v", p, err)
	}
	expect("POST", path+"/seal", "", 200, `{"manifest_digest":"`+name(content).String()+`"}`)
	if d, err := c.Seal(ctx, app); err != nil || d != name(content) {
		t.Errorf("%s, %v", d, err)
	}
	answer = `{}`
	if d, err := c.Seal(ctx, app); err == nil {
		t.Errorf("sealed as %s", d)
	}
	expect("GET", path+"/manifest", "", 200, "any bytes")
	if text, err := c.Manifest(ctx, app); err != nil || string(text) != "any bytes" {
		t.Errorf("%q, %v", text, err)
	}
	expect("PUT", path+"/holds/case-1", "", 201, `{"holds":[]}`)
	if created, err := c.HoldPackage(ctx, app, "case-1"); err != nil || !created {
		t.Errorf("%v, %v", created, err)
	}
	expect("DELETE", path+"/holds/case-1", "", 204, "")
	if err := c.ReleasePackage(ctx, app, "case-1"); err != nil {
		t.Error(err)
	}
	expect("DELETE", path, "", 204, "")
	if err := c.DeletePackage(ctx, app); err != nil {
		t.Error(err)
	}
	expect("DELETE", path+"/files/a", "", 404, `{"code":"file_unknown","detail":"x"}`)
	if err := c.RemoveFile(ctx, app, "a"); err != nil {
		t.Error(err)
	}
}
