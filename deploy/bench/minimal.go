package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// minimal is the reference: what a handler must at least do so that a blob is
// durable and named by its SHA-256. It has no registry, no second hash, no
// limits, no log. Its paths, its layout of folders and so its syncs are the
// gateway's.
type minimal struct {
	root    string
	buffers sync.Pool
}

func serveMinimal(root string) error {
	l, err := net.Listen("tcp", os.Getenv("ARTIFACTSTORE_LISTEN"))
	if err != nil {
		return err
	}
	m := &minimal{root: root, buffers: sync.Pool{New: func() any { return new([256 << 10]byte) }}}
	if err := os.MkdirAll(filepath.Join(root, "staging"), 0o755); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /v1/blobs", m.put)
	mux.HandleFunc("GET /v1/blobs/{digest}", m.get)
	return http.Serve(l, mux)
}

func (m *minimal) get(w http.ResponseWriter, r *http.Request) {
	sum, ok := strings.CutPrefix(r.PathValue("digest"), "sha256:")
	if !ok || len(sum) != 64 {
		http.Error(w, "digest", http.StatusBadRequest)
		return
	}
	f, err := os.Open(m.path(sum))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("ETag", `"sha256:`+sum+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", info.ModTime(), f)
}

func (m *minimal) put(w http.ResponseWriter, r *http.Request) {
	sum, err := m.store(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Location", "/v1/blobs/sha256:"+sum)
	w.WriteHeader(http.StatusCreated)
}

func (m *minimal) path(sum string) string {
	return filepath.Join(m.root, "sha256", sum[0:2], sum[2:4], sum)
}

// store hashes and writes, syncs the file, renames it, syncs the folder.
func (m *minimal) store(r io.Reader) (sum string, err error) {
	f, err := os.CreateTemp(filepath.Join(m.root, "staging"), "")
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	buf := m.buffers.Get().(*[256 << 10]byte)
	defer m.buffers.Put(buf)
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(hash, f)}, struct{ io.Reader }{r}, buf[:]); err != nil {
		return "", err
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	sum = hex.EncodeToString(hash.Sum(nil))
	name := m.path(sum)
	if err := makeDir(filepath.Dir(name)); err != nil {
		return "", err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return "", err
	}
	return sum, syncDir(filepath.Dir(name))
}

// makeDir makes a folder and those above it durable where they are missing.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDir(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o755)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
