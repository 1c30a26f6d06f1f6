package tree_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"artifactstore/gateway/client/tree"
)

// large is the size from which files are not read into memory.
const large = 256<<10 + 1

// Files of the Go distribution, small and large, go to a gateway and come back.
func TestPushAndPull(t *testing.T) {
	h := open(t)
	dir, from := t.TempDir(), "crypto"
	if testing.Short() {
		from = "encoding"
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(goroot(t), "src", from))); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"empty": "", "edge": strings.Repeat("x", large-1), "large": strings.Repeat("y", large), "a-b": "1", "a/b": "2"})
	files := read(t, dir)
	bytes := int64(0)
	for _, content := range files {
		bytes += int64(len(content))
	}
	progress := &counter{}
	done := h.mustPush(dir, func(o *tree.PushOptions) { o.Progress = progress })
	all := tree.Count{Files: len(files), Bytes: bytes}
	if done.Count != all || done.Sent != all || done.State != "sealed" || done.Manifest.IsZero() {
		t.Errorf("%+v, want %+v", done, all)
	}
	progress.is(t, all)
	uploads := h.uploads.Load()
	progress = &counter{}
	again := h.mustPush(dir, func(o *tree.PushOptions) { o.Progress = progress })
	if again.Kept != all || again.Manifest != done.Manifest || h.uploads.Load() != uploads {
		t.Errorf("again: %+v", again)
	}
	progress.is(t, all)

	out := filepath.Join(t.TempDir(), "new", "out")
	progress = &counter{}
	pulled, err := h.pull(out, func(o *tree.PullOptions) { o.Progress = progress })
	if err != nil || pulled.Fetched != all || pulled.Manifest != done.Manifest {
		t.Fatalf("%+v, %v", pulled, err)
	}
	progress.is(t, all)
	if diff := cmp.Diff(files, read(t, out)); diff != "" {
		t.Error(diff)
	}
	progress = &counter{}
	if pulled, err = h.pull(out, func(o *tree.PullOptions) { o.Progress = progress }); err != nil || pulled.Kept != all || pulled.Fetched.Files != 0 {
		t.Errorf("again: %+v, %v", pulled, err)
	}
	progress.is(t, all)
}

// counter is progress that must come out even.
type counter struct {
	started, done tree.Count
	bytes         atomic.Int64
	files         atomic.Int64
}

func (c *counter) Start(files int, bytes int64) { c.started = tree.Count{Files: files, Bytes: bytes} }
func (c *counter) Bytes(n int64)                { c.bytes.Add(n) }
func (c *counter) File()                        { c.files.Add(1) }

func (c *counter) is(t *testing.T, want tree.Count) {
	t.Helper()
	if got := (tree.Count{Files: int(c.files.Load()), Bytes: c.bytes.Load()}); got != want || c.started != want {
		t.Errorf("progress %+v of %+v, want %+v", got, c.started, want)
	}
}

// A file that several places have is sent once, and one that the gateway has
// anywhere is not sent at all.
func TestPushAttaches(t *testing.T) {
	h := open(t)
	dir := write(t, t.TempDir(), map[string]string{"small": "s"})
	for i := range 8 {
		write(t, dir, map[string]string{fmt.Sprintf("same-%d", i): strings.Repeat("x", 2*large)})
	}
	done := h.mustPush(dir)
	if done.Sent.Files != 2 || done.Attached.Files != 7 || h.uploads.Load() != 2 {
		t.Errorf("%+v, %d uploads", done, h.uploads.Load())
	}
	other := app
	other.Version = "2.0"
	done = h.mustPush(dir, func(o *tree.PushOptions) { o.Package = other })
	if done.Sent.Files != 1 || done.Attached.Files != 8 || h.uploads.Load() != 3 {
		t.Errorf("%+v, %d uploads", done, h.uploads.Load())
	}
}

// A push that is cut off goes on with what is left, and takes the bytes of a broken
// connection back.
func TestPushGoesOn(t *testing.T) {
	h := open(t)
	dir := t.TempDir()
	for i := range 60 {
		write(t, dir, map[string]string{fmt.Sprintf("f%02d", i): fmt.Sprint(i)})
	}
	write(t, dir, map[string]string{"z": strings.Repeat("x", 4*large)})
	var n atomic.Int64
	h.between = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/files/") && n.Add(1) > 40 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	}
	if done, err := h.push(dir); err == nil || !strings.Contains(err.Error(), "403") {
		t.Fatalf("%+v, %v", done, err)
	}
	if s := h.state(); s != "open" {
		t.Errorf("state %q", s)
	}
	var broken atomic.Bool
	h.between = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.URL.Path, "/files/z") && r.ContentLength > large && broken.CompareAndSwap(false, true) {
			r.Body.Read(make([]byte, 1000))
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	}
	h.uploads.Store(0)
	progress := &counter{}
	done := h.mustPush(dir, func(o *tree.PushOptions) { o.Progress = progress })
	if done.Kept.Files < 40-8 || done.Sent.Files != 61-done.Kept.Files || !broken.Load() {
		t.Errorf("%+v", done)
	}
	// Of the first push up to 8 requests, which it had given up, may have come late.
	if n := int(h.uploads.Load()) - done.Sent.Files - 1; n < 0 || n > 8 {
		t.Errorf("%+v, %d uploads", done, h.uploads.Load())
	}
	progress.is(t, done.Count)
}

// What changes in the directory while it is pushed is noticed, wherever the push is;
// the package is not sealed, and pushed again it is right.
func TestPushNoticesChanges(t *testing.T) {
	for name, test := range map[string]struct {
		at     string // the request before which the change is made
		change func(t *testing.T, dir string)
	}{
		"a small file before it is sent":  {"PUT " + "/v1/packages/ci/app/1.0", func(t *testing.T, dir string) { write(t, dir, map[string]string{"m": "changed"}) }},
		"a small file after it was sent":  {"PUT /v1/packages/ci/app/1.0/files/z", func(t *testing.T, dir string) { write(t, dir, map[string]string{"m": "chan"}) }},
		"a large file before it is sent":  {"PUT /v1/packages/ci/app/1.0/files/m", func(t *testing.T, dir string) { write(t, dir, map[string]string{"y": strings.Repeat("z", large)}) }},
		"a large file after it is hashed": {"attach /v1/packages/ci/app/1.0/files/y", func(t *testing.T, dir string) { write(t, dir, map[string]string{"y": strings.Repeat("z", large)}) }},
		"a file that comes":               {"PUT /v1/packages/ci/app/1.0/files/m", func(t *testing.T, dir string) { write(t, dir, map[string]string{"b": ""}) }},
		"a file that goes":                {"PUT /v1/packages/ci/app/1.0/files/z", func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "a")) }},
		"a file that becomes a link": {"PUT /v1/packages/ci/app/1.0/files/z", func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, "a"))
			symlink(t, "m", filepath.Join(dir, "a"))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			dir := write(t, t.TempDir(), map[string]string{"a": "1", "m": "same", "y": strings.Repeat("y", large), "z": "2"})
			for _, name := range []string{"a", "m", "y", "z"} { // a clock is coarse: a change at once might not show
				if err := os.Chtimes(filepath.Join(dir, name), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			var once sync.Once
			done := false
			h.between = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				what := r.Method
				if strings.Contains(r.Header.Get("Content-Type"), "reference") {
					what = "attach"
				}
				if what+" "+r.URL.Path == test.at {
					once.Do(func() { test.change(t, dir); done = true })
				}
				next.ServeHTTP(w, r)
			}
			_, err := h.push(dir, func(o *tree.PushOptions) { o.Jobs = 1 })
			if err == nil || !strings.Contains(err.Error(), "changed while it was pushed") || !done {
				t.Errorf("%v, changed: %v", err, done)
			}
			if s := h.state(); s != "open" {
				t.Errorf("state %q", s)
			}
			h.mustPush(dir, func(o *tree.PushOptions) { o.Prune, o.FollowSymlinks = true, true })
			out := t.TempDir()
			if _, err := h.pull(out); err != nil {
				t.Fatal(err)
			}
			if got, want := read(t, out), read(t, dir); !maps.Equal(got, want) && got["a"] != want["m"] {
				t.Errorf("%v", got)
			}
		})
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Error(err)
	}
}

func symlink(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Error(err)
	}
}

// What a killed pull has left in a directory is no file of a package.
func TestPushRefusesParts(t *testing.T) {
	h := open(t)
	dir := write(t, t.TempDir(), map[string]string{"a": "1", "d/.artifactstore-ABCDEFGH-1.part": "half", ".artifactstore": "", "x.part": ""})
	if _, err := h.push(dir); !slices.Equal(named(err), []string{"d/.artifactstore-ABCDEFGH-1.part"}) || h.state() != "" {
		t.Errorf("%v, state %q", err, h.state())
	}
}

// A file that somebody else puts into the package, or that the gateway loses, is
// found in the manifest.
func TestPushChecksTheManifest(t *testing.T) {
	for name, meddle := range map[string]struct {
		method, path, body string
		want               []string
	}{
		"more":  {"PUT", "/files/b", "x", []string{"b"}},
		"less":  {"DELETE", "/files/a", "", []string{"a"}},
		"other": {"PUT", "/files/c", "other", []string{"c"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			dir := write(t, t.TempDir(), map[string]string{"a": "1", "c": "2"})
			h.between = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if strings.HasSuffix(r.URL.Path, "/seal") {
					req, err := http.NewRequest(meddle.method, h.client.Server+strings.TrimSuffix(r.URL.Path, "/seal")+meddle.path, strings.NewReader(meddle.body))
					if err == nil {
						var resp *http.Response
						if resp, err = http.DefaultTransport.RoundTrip(req); err == nil {
							resp.Body.Close()
						}
					}
					if err != nil {
						t.Error(err)
					}
				}
				next.ServeHTTP(w, r)
			}
			_, err := h.push(dir)
			if got := named(err); !slices.Equal(got, meddle.want) {
				t.Errorf("%v names %q", err, got)
			}
		})
	}
}

// The rules for paths are the gateway's: what is taken here is taken there, and the
// other way round.
func TestPathsAreTheGateways(t *testing.T) {
	h := open(t)
	for path, fits := range map[string]bool{
		"a": true, "...": true, ".a": true, "a b": true, "größe": true, "a?b#c%20": true, "100%": true, "a:b": true, "-": true, "~": true, "\u00a0": true,
		strings.Repeat("a/", 100) + "a": true, strings.Repeat("d/", 500) + strings.Repeat("a", 24): true,
		strings.Repeat("d/", 500) + strings.Repeat("a", 25): false,
		"a\\b": false, "a\nb": false, "a\x7f": false, "a\u0085b": false, "\xff": false, "a\tb": false, "\xed\xa0\x80": false,
	} {
		dir := t.TempDir()
		write(t, dir, map[string]string{path: "x"})
		version := app
		_, err := h.push(dir, func(o *tree.PushOptions) { o.Package = version; o.KeepOpen, o.Prune = true, true })
		if fits != (err == nil) || !fits && !slices.Equal(named(err), []string{path}) {
			t.Errorf("%q: %v", path, err)
		}
		req, err := http.NewRequest("PUT", h.client.Server, strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Path = "/v1/packages/ci/direct/1/files/" + path
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if fits != (resp.StatusCode < 300) {
			t.Errorf("%q: the gateway answers %s", path, resp.Status)
		}
	}
}
