package tree_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	shapes "artifactstore/deploy/house"
	"artifactstore/gateway"
	"artifactstore/gateway/client"
	"artifactstore/gateway/client/tree"
)

var app = client.PackageName{Producer: "ci", Name: "app", Version: "1.0"}

// house is a real gateway whose requests a test can watch, and answer instead.
type house struct {
	t       *testing.T
	client  *client.Client
	between func(w http.ResponseWriter, r *http.Request, next http.Handler) // nil for none

	uploads atomic.Int64 // requests that bring a file's bytes
	others  atomic.Int64 // attached files
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{t: t}
	log := slog.New(slog.DiscardHandler)
	store := shapes.All()[0].Fresh(t)(t, shapes.Options{Log: log}).Store
	next := gateway.New(gateway.Options{Store: store, Log: log})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PUT" && strings.Contains(r.URL.Path, "/files/") {
			if strings.Contains(r.Header.Get("Content-Type"), "reference") {
				h.others.Add(1)
			} else {
				h.uploads.Add(1)
			}
		}
		if h.between != nil {
			h.between(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	h.client = &client.Client{Server: s.URL, HTTP: s.Client()}
	return h
}

func (h *house) push(dir string, change ...func(*tree.PushOptions)) (tree.Pushed, error) {
	o := tree.PushOptions{Package: app, Jobs: 8}
	for _, c := range change {
		c(&o)
	}
	return tree.Push(h.t.Context(), h.client, dir, o)
}

func (h *house) mustPush(dir string, change ...func(*tree.PushOptions)) tree.Pushed {
	h.t.Helper()
	done, err := h.push(dir, change...)
	if err != nil {
		h.t.Fatal(err)
	}
	return done
}

func (h *house) pull(dir string, change ...func(*tree.PullOptions)) (tree.Pulled, error) {
	o := tree.PullOptions{Package: app, Jobs: 8}
	for _, c := range change {
		c(&o)
	}
	return tree.Pull(h.t.Context(), h.client, dir, o)
}

// state is that of the package, "" where there is none.
func (h *house) state() string {
	h.t.Helper()
	p, err := h.client.Package(h.t.Context(), app)
	if errors.Is(err, client.ErrPackageUnknown) {
		return ""
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return p.State
}

// write fills a directory with files.
func write(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for path, content := range files {
		name := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// goroot is where the Go distribution is.
func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// read returns what a directory holds by path: the bytes of files, and of anything
// else but directories what it is.
func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		path, _ := filepath.Rel(dir, name)
		if !d.Type().IsRegular() {
			all[path] = d.Type().String()
			return nil
		}
		content, err := os.ReadFile(name)
		all[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// names are the paths that an error names.
func named(err error) (all []string) {
	var paths *tree.PathsError
	if errors.As(err, &paths) {
		for _, r := range paths.List {
			all = append(all, r.Path)
		}
	}
	slices.Sort(all)
	return all
}
