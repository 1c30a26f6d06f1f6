package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artifactstore/backends"
)

// The steps are the ones that the comment in durable.go promises, in its order.
func TestStepOrder(t *testing.T) {
	b, s := scripted(t, t.TempDir(), "p")
	want := func(what string, steps ...string) {
		t.Helper()
		equal(t, what, strings.Join(s.steps, "\n     "), strings.Join(steps, "\n     "))
		s.reset(-1, false)
	}
	want("open",
		"sync folder ..", "utimes .format-ID", "chmod .format-ID", "sync file .format-ID", "rename format", "sync folder .",
		"mkdir .staging", "sync folder .")

	put(t, b, "a/b/k", "x")
	want("the first put",
		"mkdir p", "mkdir p/a", "mkdir p/a/b",
		"utimes .staging/ID", "chmod .staging/ID", "sync file .staging/ID",
		"sync folder p/a", "sync folder p", "sync folder .",
		"rename p/a/b/k", "sync folder p/a/b")
	put(t, b, "a/b/l", "x")
	want("a put into a folder used before",
		"utimes .staging/ID", "chmod .staging/ID", "sync file .staging/ID", "rename p/a/b/l", "sync folder p/a/b")
	put(t, b, "a/c/k", "x")
	want("a put into a new folder beside",
		"mkdir p/a/c", "utimes .staging/ID", "chmod .staging/ID", "sync file .staging/ID",
		"sync folder p/a", "rename p/a/c/k", "sync folder p/a/c")

	u := begin(t, b, "x")
	state, err := u.Suspend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want("the first suspend", "sync file .staging/ID", "sync file .staging/ID.points", "sync folder .staging")
	if _, err := u.Suspend(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("another suspend", "sync file .staging/ID", "sync file .staging/ID.points")
	if _, err := b.Resume(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	want("back to an earlier state", "sync file .staging/ID.points")

	if err := b.Delete(t.Context(), "a/b/k"); err != nil {
		t.Fatal(err)
	}
	want("delete", "unlink p/a/b/k", "sync folder p/a/b")
	if err := b.Delete(t.Context(), "a/b/k"); err != nil {
		t.Fatal(err)
	}
	want("delete what is gone", "unlink p/a/b/k", "sync folder p/a/b")
}

// Keys of hashes: when a folder has some of the 256 that it will get, a commit makes
// all of them, and no later one has a folder to make or to sync.
func TestFoldersAreMadeAtOnce(t *testing.T) {
	b, s := scripted(t, t.TempDir(), "")
	for i := range crowd {
		put(t, b, fmt.Sprintf("h/0%x/k", i), "x")
	}
	s.reset(-1, false)
	put(t, b, "h/fe/k", "x")
	equal(t, "the steps of the one that makes them", s.steps, []string{"mkdir h/[0-9a-f][0-9a-f]",
		"utimes .staging/ID", "chmod .staging/ID", "sync file .staging/ID", "sync folder h", "rename h/fe/k", "sync folder h/fe"})
	if made, err := os.ReadDir(filepath.Join(b.root, "h")); err != nil || len(made) != 256 {
		t.Errorf("%d folders, %v", len(made), err)
	}
	s.reset(-1, false)
	put(t, b, "h/a0/k", "x")
	equal(t, "the steps of the next", s.steps, []string{
		"utimes .staging/ID", "chmod .staging/ID", "sync file .staging/ID", "rename h/a0/k", "sync folder h/a0"})
	s.reset(-1, false)
	put(t, b, "h/word/k", "x")
	equal(t, "the steps of a folder of another name", s.steps[0], "mkdir h/word")

	if err := os.Remove(filepath.Join(b.root, "h", "b0")); err != nil {
		t.Fatal(err)
	}
	put(t, b, "h/b0/k", "y")
	equal(t, "an object in a folder that somebody removed", get(b, "h/b0/k"), "y")
}

// Where there is no room for all folders there may be for the one.
func TestFolderIsMadeAlone(t *testing.T) {
	for _, effect := range []bool{false, true} {
		b, s := scripted(t, t.TempDir(), "")
		for i := range crowd {
			put(t, b, fmt.Sprintf("h/0%x/k", i), "x")
		}
		u := begin(t, b, "y")
		s.reset(0, effect)
		if err := u.Commit(t.Context(), "h/fe/k"); err != nil {
			t.Fatal(err)
		}
		equal(t, "the steps", s.steps[:2], []string{"mkdir h/[0-9a-f][0-9a-f]", "mkdir h/fe"})
		equal(t, "the object", get(b, "h/fe/k"), "y")
	}
}

// A second backend of the root knows of no folder that it is durable: another
// process may have made it and not synced it yet.
func TestFoldersOfOthersAreSynced(t *testing.T) {
	root := t.TempDir()
	b, _ := scripted(t, root, "")
	put(t, b, "a/k", "x")
	b, s := scripted(t, root, "")
	s.reset(-1, false)
	put(t, b, "a/l", "x")
	equal(t, "steps", s.steps, []string{"mkdir a", "utimes .staging/ID", "chmod .staging/ID", "sync file .staging/ID", "sync folder .", "rename a/l", "sync folder a"})
}

// Each step of a put fails, without its effect and with it; then the caller tries
// again, or gives up. The object is the old or the new one, whole.
func TestEachStepFails(t *testing.T) {
	const steps = 8 // of the put below, which "the first put" above lists
	for at := range steps {
		for _, effect := range []bool{false, true} {
			for _, again := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d,effect=%v,again=%v", at, effect, again), func(t *testing.T) {
					failStep(t, at, effect, again)
				})
			}
		}
	}
}

func failStep(t *testing.T, at int, effect, again bool) {
	b, s := scripted(t, t.TempDir(), "")
	for _, key := range []string{"k", "a/k"} {
		if key == "k" {
			put(t, b, key, "old")
		}
		u := begin(t, b, "new bytes")
		s.reset(at, effect)
		err := u.Commit(t.Context(), key)
		if len(s.steps) <= at {
			s.reset(-1, false)
			continue // a put into a known folder has fewer
		}
		if renamed := effect && strings.HasPrefix(s.steps[at], "rename"); (err == nil) != renamed {
			t.Errorf("%s: %s failed, and Commit says %v", key, s.steps[at], err)
		}
		failed := s.steps[at]
		s.reset(-1, false)
		if got := get(b, key); got != "new bytes" && !(key == "k" && got == "old") && !(key == "a/k" && got == "absent") {
			t.Errorf("%s after %s failed: %q", key, failed, got)
		}
		if again {
			if err := u.Commit(t.Context(), key); err != nil {
				t.Errorf("%s failed, and Commit the second time: %v", failed, err)
			}
			equal(t, key, get(b, key), "new bytes")
		}
		if err := u.Abort(t.Context()); err != nil {
			t.Error(err)
		}
		equal(t, "staging", staged(t, b), []string(nil))
	}
}

// After a failed fsync of the bytes nothing makes the upload good again: the
// kernel reports a lost page once.
func TestUnsyncedIsForGood(t *testing.T) {
	b, _ := scripted(t, t.TempDir(), "")
	u := begin(t, b, "x")
	b.disk.run = func(st step, do func() error) error {
		if st.op == "sync file" {
			u.file.Close() // what fsync then says is an error of the system's
			defer func() { b.disk.run = func(_ step, do func() error) error { return do() } }()
		}
		return do()
	}
	wantError(t, "commit", u.Commit(t.Context(), "k"), os.ErrClosed)
	wantError(t, "commit again", u.Commit(t.Context(), "k"), errUnsynced)
	equal(t, "object", get(b, "k"), "absent")
	if err := u.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	clean(t, b)
}

// A caller whose context is over does not wait for the disk, and what the disk
// then still does is waited for by whoever comes next.
func TestSlowDisk(t *testing.T) {
	b, _ := scripted(t, t.TempDir(), "")
	for name, f := range map[string]func(*upload) error{
		"commit":  func(u *upload) error { return u.Commit(u.ctx, "k") },
		"suspend": func(u *upload) error { _, err := u.Suspend(u.ctx); return err },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		up, err := b.Begin(ctx, backends.Hint{Size: -1})
		if err != nil {
			t.Fatal(err)
		}
		u := up.(*upload)
		reached, release := make(chan struct{}), make(chan struct{})
		b.disk.run = func(st step, do func() error) error {
			if st.op == "sync file" {
				close(reached)
				<-release
			}
			return do()
		}
		go func() { <-reached; cancel() }()
		wantError(t, name, f(u), ctx.Err())
		if err := u.Abort(ctx); err != nil { // which does not wait either
			t.Error(err)
		}
		close(release)
		for deadline := time.Now().Add(time.Minute); len(staged(t, b)) > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s, then Abort: left are %q", name, staged(t, b))
			}
		}
		equal(t, "object", get(b, "k"), "absent")
	}
}

func TestFolderRemovedByAnother(t *testing.T) {
	b, _ := scripted(t, t.TempDir(), "")
	put(t, b, "a/b/k", "x")
	if err := os.RemoveAll(filepath.Join(b.root, "a")); err != nil {
		t.Fatal(err)
	}
	put(t, b, "a/b/l", "y")
	equal(t, "object", get(b, "a/b/l"), "y")
	if err := os.Remove(b.staging); err != nil {
		t.Fatal(err)
	}
	put(t, b, "a/b/m", "z")
	equal(t, "object", get(b, "a/b/m"), "z")
}

func TestMemoryOfFoldersIsBounded(t *testing.T) {
	d := newDisk(nil)
	base := t.TempDir()
	for i := range maxKnown + 10 {
		d.remember([]string{fmt.Sprint(i)})
	}
	if err := d.makeDurable(t.Context(), base, filepath.Join(base, "a")); err != nil {
		t.Fatal(err)
	}
	if n := len(d.known); n > maxKnown/2 {
		t.Errorf("%d folders known", n)
	}
}

func TestObjectsAreReadOnly(t *testing.T) {
	b, _ := scripted(t, t.TempDir(), "")
	put(t, b, "k", "x")
	info, err := os.Stat(filepath.Join(b.root, "k"))
	if err != nil || info.Mode().Perm()&0o222 != 0 || info.Mode().Perm()&0o400 == 0 {
		t.Error(info.Mode(), err)
	}
}

func TestKeyAndFolderOfOneName(t *testing.T) {
	b, _ := scripted(t, t.TempDir(), "")
	put(t, b, "a/b", "x")
	put(t, b, "c", "x")
	for _, key := range []string{"a", "a/b/c", "a/b/c/d", "c/d"} {
		u := begin(t, b, "y")
		wantError(t, "commit "+key, u.Commit(t.Context(), key), backends.ErrKeyInvalid)
		if err := u.Abort(t.Context()); err != nil {
			t.Error(err)
		}
	}
	equal(t, "keys", keys(t, b), []string{"a/b", "c"})
	clean(t, b)
	if !errors.Is(keyFault(os.ErrPermission), os.ErrPermission) {
		t.Error("another fault was taken for the key's")
	}
}
