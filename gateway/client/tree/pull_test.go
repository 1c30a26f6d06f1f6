package tree_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/cas/manifest"
	"artifactstore/gateway/client"
	"artifactstore/gateway/client/tree"
)

// liar is a gateway that serves what it is told to.
type liar struct {
	manifest []byte
	blobs    map[string][]byte // by digest
	answer   func(w http.ResponseWriter, r *http.Request) bool
}

func (l *liar) serve(t *testing.T) *client.Client {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch content, ok := l.blobs[strings.TrimPrefix(r.URL.Path, "/v1/blobs/")]; {
		case l.answer != nil && l.answer(w, r):
		case strings.HasSuffix(r.URL.Path, "/manifest"):
			w.Write(l.manifest)
		case ok:
			w.Write(content)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return &client.Client{Server: s.URL, HTTP: s.Client(), Pause: func(context.Context, time.Duration) {}}
}

// holding returns a gateway with a package of these files.
func holding(t *testing.T, files map[string]string) *liar {
	t.Helper()
	l := &liar{blobs: map[string][]byte{}}
	m := manifest.Manifest{Producer: "ci", Name: "app", Version: "1.0", Class: "release"}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		id := client.Bytes([]byte(files[path])).Identity
		m.Files = append(m.Files, manifest.File{Path: path, Size: id.Size, SHA256: id.SHA256, BLAKE3: id.BLAKE3})
		l.blobs[id.SHA256.String()] = []byte(files[path])
	}
	l.set(t, m)
	return l
}

func (l *liar) set(t *testing.T, m manifest.Manifest) {
	t.Helper()
	var err error
	if l.manifest, err = manifest.Encode(m); err != nil {
		t.Fatal(err)
	}
}

func (l *liar) decoded(t *testing.T) manifest.Manifest {
	t.Helper()
	m, err := manifest.Decode(l.manifest)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// around returns a directory to pull into, in one in which everything is seen.
func around(t *testing.T) (outer, dir string) {
	outer = t.TempDir()
	write(t, outer, map[string]string{"precious": "as it was", "dir/mine": "too"})
	return outer, filepath.Join(outer, "dir")
}

var untouched = map[string]string{"precious": "as it was", "dir/mine": "too"}

func pullFrom(t *testing.T, c *client.Client, dir string, change ...func(*tree.PullOptions)) (tree.Pulled, error) {
	o := tree.PullOptions{Package: app, Jobs: 4}
	for _, f := range change {
		f(&o)
	}
	return tree.Pull(t.Context(), c, dir, o)
}

// No path of a manifest leads out of the directory, and one that would has nothing
// of its package written.
func TestPullEvilPaths(t *testing.T) {
	for _, paths := range [][]string{
		{"../precious"}, {".."}, {"a/../../precious"}, {"a/.."}, {"/etc/passwd"}, {"//a"}, {"a//b"}, {"a/"}, {"."}, {"./a"}, {"a/./b"},
		{`..\precious`}, {"a\x00b"}, {"a\nb"}, {"\xff"}, {strings.Repeat("a", 1025)}, {"a", "a/b"}, {"a", "a/b/c"},
		{".artifactstore-x.part"}, {"a/.artifactstore-.part"},
	} {
		files := map[string]string{"good": "good"}
		for _, p := range paths {
			files[p] = "evil"
		}
		outer, dir := around(t)
		l := holding(t, files)
		fetched := false
		l.answer = func(_ http.ResponseWriter, r *http.Request) bool {
			fetched = fetched || strings.HasPrefix(r.URL.Path, "/v1/blobs/")
			return false
		}
		_, err := pullFrom(t, l.serve(t), dir, func(o *tree.PullOptions) { o.Overwrite = true })
		got := named(err)
		if errors.Is(err, manifest.ErrInvalid) { // a manifest is UTF-8
			got = paths
		}
		if !slices.Contains(paths, first(got)) || slices.Contains(got, "good") || fetched {
			t.Errorf("%q: %v, fetched: %v", paths, err, fetched)
		}
		if got := read(t, outer); !maps.Equal(got, untouched) {
			t.Errorf("%q: %q", paths, got)
		}
	}
}

func first(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return list[0]
}

// Whatever a gateway sends, a file has its name only with its bytes, and nothing
// half is left.
func TestPullLies(t *testing.T) {
	files := map[string]string{"a": "first", "d/b": strings.Repeat("second", 50_000), "z": "last"}
	second := client.Bytes([]byte(files["d/b"])).SHA256.String()
	serving := func(answer func(w http.ResponseWriter, content []byte)) func(t *testing.T, l *liar) {
		return func(_ *testing.T, l *liar) {
			content := l.blobs[second]
			l.answer = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, second) {
					return false
				}
				answer(w, content)
				return true
			}
		}
	}
	for name, lie := range map[string]func(t *testing.T, l *liar){
		"another byte": serving(func(w http.ResponseWriter, content []byte) { w.Write(append([]byte("X"), content[1:]...)) }),
		"short":        serving(func(w http.ResponseWriter, content []byte) { w.Write(content[:len(content)-1]) }),
		"nothing":      serving(func(w http.ResponseWriter, _ []byte) {}),
		"long":         serving(func(w http.ResponseWriter, content []byte) { w.Write(append(bytes.Clone(content), 'x')) }),
		"for ever": serving(func(w http.ResponseWriter, content []byte) {
			for {
				if _, err := w.Write(content); err != nil {
					return
				}
			}
		}),
		"torn": serving(func(w http.ResponseWriter, content []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(content)))
			w.Write(content[:1000])
			panic(http.ErrAbortHandler)
		}),
		"refused": serving(func(w http.ResponseWriter, _ []byte) { w.WriteHeader(http.StatusInternalServerError) }),
		"another BLAKE3": func(t *testing.T, l *liar) {
			m := l.decoded(t)
			m.Files[1].BLAKE3 = m.Files[0].BLAKE3
			l.set(t, m)
		},
		"another size": func(t *testing.T, l *liar) {
			m := l.decoded(t)
			m.Files[1].Size++
			l.set(t, m)
		},
	} {
		t.Run(name, func(t *testing.T) {
			outer, dir := around(t)
			l := holding(t, files)
			lie(t, l)
			_, err := pullFrom(t, l.serve(t), dir)
			if err == nil || !strings.Contains(err.Error(), "pull d/b: ") {
				t.Errorf("%v", err)
			}
			got := read(t, outer)
			for path, content := range files {
				if is, there := got["dir/"+path]; there && is != content {
					t.Errorf("%s has %d bytes", path, len(is))
				}
				delete(got, "dir/"+path)
			}
			if !maps.Equal(got, untouched) {
				t.Errorf("left: %q", slices.Sorted(maps.Keys(got)))
			}
			// An honest gateway finishes it.
			if _, err := pullFrom(t, holding(t, files).serve(t), dir); err != nil {
				t.Error(err)
			}
			if got := read(t, dir); got["d/b"] != files["d/b"] || got["a"] != "first" || got["z"] != "last" {
				t.Errorf("%q", slices.Sorted(maps.Keys(got)))
			}
		})
	}
}

// A manifest that is not the one wanted, not canonical, or another package's, is
// refused before anything is made.
func TestPullManifests(t *testing.T) {
	l := holding(t, map[string]string{"a": "1"})
	sum := sha256.Sum256(l.manifest)
	right := digest.New(digest.SHA256, sum[:])
	l.blobs[right.String()] = l.manifest
	dir := filepath.Join(t.TempDir(), "new")
	for name, lie := range map[string]func(m []byte) []byte{
		"a byte behind": func(m []byte) []byte { return append(m, 0) },
		"cut":           func(m []byte) []byte { return m[:len(m)-1] },
		"empty":         func([]byte) []byte { return nil },
		"JSON":          func([]byte) []byte { return []byte(`{"files":[]}`) },
		"not canonical": func(m []byte) []byte { return append([]byte{0xb8, m[0] & 0x1f}, m[1:]...) },
		"of another":    func(m []byte) []byte { return bytes.Replace(m, []byte("capp"), []byte("cabc"), 1) },
	} {
		other := *l
		if other.manifest = lie(bytes.Clone(l.manifest)); bytes.Equal(other.manifest, l.manifest) {
			t.Fatalf("%s: nothing changed", name)
		}
		other.blobs = map[string][]byte{right.String(): other.manifest}
		for _, want := range []digest.Digest{{}, right} {
			if _, err := pullFrom(t, other.serve(t), dir, func(o *tree.PullOptions) { o.Manifest = want }); !errors.Is(err, manifest.ErrInvalid) && !errors.Is(err, client.ErrDamaged) {
				t.Errorf("%s, %s: %v", name, want, err)
			}
		}
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the directory was made")
	}
	// Asked for by its digest, the package may be another by now.
	now := holding(t, map[string]string{"a": "2"})
	maps.Copy(now.blobs, l.blobs)
	if done, err := pullFrom(t, now.serve(t), dir, func(o *tree.PullOptions) { o.Manifest = right }); err != nil || done.Manifest != right || read(t, dir)["a"] != "1" {
		t.Errorf("%+v, %v", done, err)
	}
}

// No symbolic link in the directory is followed, wherever it leads.
func TestPullFollowsNoLink(t *testing.T) {
	files := map[string]string{"d/precious": "evil", "d/e/f": "evil", "file": "evil"}
	for name, test := range map[string]struct {
		link, to string
		refused  string
		replaced bool // with --overwrite
	}{
		"a directory outside":       {"dir/d", "..", "d", false},
		"a directory inside":        {"dir/d", "sub", "d", false},
		"a deeper one":              {"dir/d/e", "../..", "d/e", false},
		"a dangling one":            {"dir/d", "nowhere", "d", false},
		"a file outside":            {"dir/file", "../precious", "file", true},
		"a file inside":             {"dir/file", "mine", "file", true},
		"a file that is not there":  {"dir/file", "../new", "file", true},
		"an absolute one":           {"dir/file", "/etc/hostname", "file", true},
		"a file where directory is": {"", "", "d", false},
	} {
		t.Run(name, func(t *testing.T) {
			outer, dir := around(t)
			write(t, dir, map[string]string{"sub/x": "x"})
			if test.link == "" {
				write(t, dir, map[string]string{"d": "a file"})
			} else {
				if err := os.MkdirAll(filepath.Join(outer, filepath.Dir(test.link)), 0o755); err != nil {
					t.Fatal(err)
				}
				symlink(t, test.to, filepath.Join(outer, test.link))
			}
			before := read(t, outer)
			l := holding(t, files)
			for _, overwrite := range []bool{false, true} {
				_, err := pullFrom(t, l.serve(t), dir, func(o *tree.PullOptions) { o.Overwrite = overwrite })
				if test.replaced && overwrite {
					if got := read(t, outer); err != nil || got["dir/file"] != "evil" || got["precious"] != "as it was" || got["dir/mine"] != "too" || got["new"] != "" {
						t.Errorf("%v: %q", err, got)
					}
					continue
				}
				if got := named(err); !slices.Equal(got, []string{test.refused}) {
					t.Errorf("overwrite %v: %v names %q", overwrite, err, got)
				}
				if after := read(t, outer); !maps.Equal(before, after) {
					t.Errorf("overwrite %v: %q, before %q", overwrite, after, before)
				}
			}
		})
	}
}

// A directory where the package has a file is not taken away.
func TestPullKeepsDirectories(t *testing.T) {
	outer, dir := around(t)
	write(t, dir, map[string]string{"file/x": "x"})
	l := holding(t, map[string]string{"file": "1"})
	_, err := pullFrom(t, l.serve(t), dir, func(o *tree.PullOptions) { o.Overwrite = true })
	if got := named(err); !slices.Equal(got, []string{"file"}) || read(t, outer)["dir/file/x"] != "x" {
		t.Errorf("%v", err)
	}
}

// A file of the same size, time and all, is another where its bytes are.
func TestPullComparesBytes(t *testing.T) {
	_, dir := around(t)
	write(t, dir, map[string]string{"a": "ABC", "b": "def"})
	l := holding(t, map[string]string{"a": "abc", "b": "def"})
	_, err := pullFrom(t, l.serve(t), dir)
	if got := named(err); !slices.Equal(got, []string{"a"}) || read(t, dir)["a"] != "ABC" {
		t.Errorf("%v", err)
	}
	done, err := pullFrom(t, l.serve(t), dir, func(o *tree.PullOptions) { o.Overwrite = true })
	if err != nil || done.Fetched.Files != 1 || done.Kept.Files != 1 || read(t, dir)["a"] != "abc" {
		t.Errorf("%+v, %v", done, err)
	}
}

// What a killed pull has left goes with the next; a pull that is at work is left
// alone.
func TestPullAfterAKill(t *testing.T) {
	files := map[string]string{"a": "1", "d/b": "2"}
	_, dir := around(t)
	write(t, dir, map[string]string{".artifactstore-ABCDEFGH-1.part": "half", "d/.artifactstore-ABCDEFGH-2.part": "half", "other/.artifactstore-x.part": "somebody's"})
	l := holding(t, files)
	held, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	before := read(t, dir)
	if _, err := pullFrom(t, l.serve(t), dir); err == nil || !strings.Contains(err.Error(), "another pull is at work") {
		t.Errorf("%v", err)
	}
	if after := read(t, dir); !maps.Equal(before, after) {
		t.Errorf("%q", after)
	}
	held.Close()
	if _, err := pullFrom(t, l.serve(t), dir); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"mine": "too", "a": "1", "d/b": "2", "other/.artifactstore-x.part": "somebody's"}
	if got := read(t, dir); !maps.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// A pull that is told to stop leaves what is whole and nothing else.
func TestPullStops(t *testing.T) {
	files := map[string]string{}
	for i := range 100 {
		files[fmt.Sprintf("d/%02d", i)] = strings.Repeat("x", 10_000+i)
	}
	_, dir := around(t)
	l := holding(t, files)
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	n := 0
	l.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/v1/blobs/") {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		if n++; n > 30 {
			w.Write(make([]byte, 100))
			http.NewResponseController(w).Flush()
			stop()
			<-r.Context().Done()
			return true
		}
		return false
	}
	c := l.serve(t)
	if _, err := tree.Pull(ctx, c, dir, tree.PullOptions{Package: app, Jobs: 4}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	got := read(t, dir)
	if len(got) < 20 || len(got) > 40 {
		t.Errorf("%d files", len(got))
	}
	for path, content := range got {
		if path != "mine" && files[path] != content {
			t.Errorf("%s has %d bytes", path, len(content))
		}
	}
}
