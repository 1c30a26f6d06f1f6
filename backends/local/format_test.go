package local

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"artifactstore/backends"
)

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	os.Remove(name) // it may be read-only
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFormat(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a", "b") // neither exists
	b := reopen(t, root)
	put(t, b, "k", "x")
	equal(t, "opened again", get(reopen(t, root), "k"), "x")
	text, err := os.ReadFile(filepath.Join(root, "format"))
	if err != nil || string(text) != format {
		t.Errorf("the marker says %q, %v", text, err)
	}
	for _, other := range []string{"artifactstore local 2\n", "artifactstore local 1", "", strings.Repeat("x", 1<<20)} {
		writeFile(t, filepath.Join(root, "format"), other)
		_, err := Open(t.Context(), Options{Root: root})
		if err == nil || !strings.Contains(err.Error(), root) || !strings.Contains(err.Error(), "format file says") || len(err.Error()) > 500 {
			t.Errorf("format %.30q: error %v", other, err)
		}
	}
}

func TestForeignDirectory(t *testing.T) {
	for name, make := range map[string]func(root string) error{
		"a file in it":        func(root string) error { return os.WriteFile(filepath.Join(root, "photo.jpg"), nil, 0o600) },
		"a directory in it":   func(root string) error { return os.Mkdir(filepath.Join(root, "sha256"), 0o700) },
		"a file in its place": func(root string) error { os.Remove(root); return os.WriteFile(root, nil, 0o600) },
		"a file above it":     func(root string) error { d := filepath.Dir(root); os.RemoveAll(d); return os.WriteFile(d, nil, 0o600) },
	} {
		root := filepath.Join(t.TempDir(), "d", "e")
		if err := os.MkdirAll(root, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := make(root); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Options{Root: root}); err == nil || !strings.Contains(err.Error(), root) {
			t.Errorf("%s: error %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(root, formatName)); err == nil {
			t.Errorf("%s: it was marked as ours", name)
		}
	}
}

// A new disk has a lost+found, and an Open that was killed leaves a draft.
func TestNewDisk(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(root, draft+"X"), "artifact")
	put(t, reopen(t, root), "k", "x")
	equal(t, "keys", keys(t, reopen(t, root)), []string{"k"})
}

func TestOpenedByManyAtOnce(t *testing.T) {
	root := filepath.Join(t.TempDir(), "new")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := Open(t.Context(), Options{Root: root}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{}, {Root: t.TempDir(), KeyPrefix: "a/"}, {Root: t.TempDir(), KeyPrefix: "../a"}, {Root: t.TempDir(), KeyPrefix: ".staging"}} {
		if _, err := Open(t.Context(), o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

// Two prefixes of one root do not see each other's objects; a shorter prefix
// sees the longer one's as its own.
func TestPrefixesShareARoot(t *testing.T) {
	root := t.TempDir()
	for _, p := range []string{"p", "q", ""} {
		b, err := Open(t.Context(), Options{Root: root, KeyPrefix: p})
		if err != nil {
			t.Fatal(err)
		}
		put(t, b, "k"+p, p)
		if p != "" {
			equal(t, "keys below "+p, keys(t, b), []string{"k" + p})
		}
	}
	equal(t, "all keys", keys(t, reopen(t, root)), []string{"k", "p/kp", "q/kq"})
	equal(t, "p/kp", get(reopen(t, root), "p/kp"), "p")
}

// A disk that is not mounted any more leaves an empty folder. Nothing in it is
// absent: the backend is unavailable.
func TestRootLost(t *testing.T) {
	b := reopen(t, filepath.Join(t.TempDir(), "root"))
	put(t, b, "k", "x")
	u := begin(t, b, "y")
	state, err := u.Suspend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	away := b.root + ".away"
	if err := os.Rename(b.root, away); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(b.root, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, openErr := b.Open(ctx, "k", 0, -1)
	_, statErr := b.Stat(ctx, "k")
	_, beginErr := b.Begin(ctx, backends.Hint{})
	_, resumeErr := b.Resume(ctx, state)
	_, sweepErr := b.Sweep(ctx, time.Now())
	var listErr error
	for _, listErr = range b.List(ctx, "", "") {
	}
	for what, err := range map[string]error{
		"open": openErr, "stat": statErr, "begin": beginErr, "resume": resumeErr, "list": listErr, "sweep": sweepErr,
		"delete": b.Delete(ctx, "a/k"), "health": b.Health(ctx), "commit": u.Commit(ctx, "l"),
	} {
		wantError(t, what, err, backends.ErrUnavailable)
	}
	if err := os.Remove(b.root); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, b.root); err != nil {
		t.Fatal(err)
	}
	equal(t, "mounted again", get(b, "k"), "x")
	if err := u.Commit(ctx, "l"); err != nil {
		t.Error(err)
	}
	equal(t, "committed after that", get(b, "l"), "y")
}
