package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"artifactstore/backends"
)

// script is a disk's hook: it writes the steps down and lets one go wrong.
type script struct {
	root string

	mu     sync.Mutex
	steps  []string // "op path", the path from the root, ids as ID
	failAt int      // the step that fails, counted from 0; -1 for none
	effect bool     // it fails after its effect
	err    error
}

func (s *script) run(st step, do func() error) error {
	s.mu.Lock()
	at := len(s.steps)
	s.steps = append(s.steps, st.op+" "+s.short(st.path))
	fail, effect, failure := at == s.failAt, s.effect, s.err
	s.mu.Unlock()
	if fail && !effect {
		return failure
	}
	if err := do(); err != nil {
		return err
	}
	if fail {
		return failure
	}
	return nil
}

// short makes a path readable and the same in each run.
func (s *script) short(path string) string {
	rel, err := filepath.Rel(s.root, path)
	if err != nil {
		return path
	}
	dir, name := filepath.Split(rel)
	if id, points := strings.CutSuffix(name, pointsSuffix); isName(id) {
		name = "ID"
		if points {
			name += pointsSuffix
		}
	}
	if strings.HasPrefix(name, draft) {
		name = draft + "ID"
	}
	return dir + name
}

func (s *script) reset(failAt int, effect bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps, s.failAt, s.effect = nil, failAt, effect
}

// scripted opens the backend in root with a script that lets nothing fail yet.
func scripted(t *testing.T, root, prefix string) (*Backend, *script) {
	t.Helper()
	s := &script{root: root, failAt: -1, err: errors.New("injected")}
	b, err := newBackend(Options{Root: root, KeyPrefix: prefix}, newDisk(s.run))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.claimRoot(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b, s
}

func reopen(t *testing.T, root string) *Backend {
	t.Helper()
	b, err := Open(t.Context(), Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func begin(t *testing.T, b *Backend, p string) *upload {
	t.Helper()
	u, err := b.Begin(t.Context(), backends.Hint{Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(u, p); err != nil {
		t.Fatal(err)
	}
	return u.(*upload)
}

func put(t *testing.T, b *Backend, key, p string) {
	t.Helper()
	if err := begin(t, b, p).Commit(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

// get returns an object's bytes, "absent", or the error.
func get(b *Backend, key string) string {
	r, err := b.Open(context.Background(), key, 0, -1)
	if errors.Is(err, fs.ErrNotExist) {
		return "absent"
	}
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(struct{ io.Reader }{r}); err != nil {
		return err.Error()
	}
	return buf.String()
}

func keys(t *testing.T, b *Backend) (all []string) {
	t.Helper()
	for info, err := range b.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Key)
	}
	return all
}

// staged returns the names in the staging folder.
func staged(t *testing.T, b *Backend) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(b.staging)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// clean fails the test unless a sweep of everything leaves staging empty.
func clean(t *testing.T, b *Backend) {
	t.Helper()
	if _, err := b.Sweep(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
	if rest := staged(t, b); len(rest) > 0 {
		t.Errorf("left in staging: %q", rest)
	}
}

func wantError(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got error %v, want %v", what, err, target)
	}
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s:\ngot  %v\nwant %v", what, got, want)
	}
}
