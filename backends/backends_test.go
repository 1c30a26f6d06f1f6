package backends_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/backends/backendtest"
	"artifactstore/backends/local"
)

func FuzzCheckKey(f *testing.F) {
	for _, key := range []string{"", "a", "sha256/ab/cd/abcd", "a/../b", ".a", "a/", "/a", "a//b", "A", "ä", "a\x00", strings.Repeat("a", 256), strings.Repeat("a/", 256)} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		err := backends.CheckKey(key)
		good := len(key) > 0 && len(key) <= 512 && path.Clean("/"+key) == "/"+key
		for _, segment := range strings.Split(key, "/") {
			good = good && len(segment) > 0 && len(segment) < 256 && segment[0] != '.' && !strings.ContainsFunc(segment, func(r rune) bool {
				return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
			})
		}
		if good != (err == nil) || err != nil && !errors.Is(err, backends.ErrKeyInvalid) {
			t.Errorf("%q: %v", key, err)
		}
	})
}

// Each operation is told of once, with what became of it.
func TestObserve(t *testing.T) {
	in, err := local.Open(t.Context(), local.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	faulty := backendtest.NewFaulty(in)
	var told []string
	b := backends.Observe(faulty, func(operation, outcome string, took time.Duration) {
		if took < 0 {
			t.Error(took)
		}
		told = append(told, operation+" "+outcome)
	})
	ctx := t.Context()
	over, cancel := context.WithCancel(ctx)
	cancel()

	u, _ := b.Begin(ctx, backends.Hint{Size: -1})
	io.WriteString(u, "x")
	state, _ := u.Suspend(ctx)
	u.Close()
	u, _ = b.Resume(ctx, state)
	u.Commit(ctx, "k")
	b.Open(ctx, "absent", 0, -1)
	b.Stat(over, "k")
	count(b.List(ctx, "", ""))
	faulty.Set(backendtest.Fault{Op: backendtest.List}, backendtest.Fault{Op: backendtest.Delete})
	count(b.List(ctx, "", ""))
	b.Delete(ctx, "k")
	b.Sweep(ctx, time.Unix(0, 0))
	want := []string{
		"begin ok", "suspend ok", "resume ok", "commit ok", "open absent", "stat cancelled",
		"list ok", "list error", "delete error", "sweep ok",
	}
	if !slices.Equal(told, want) {
		t.Errorf("got  %q\nwant %q", told, want)
	}
}

func count(list iter.Seq2[backends.Info, error]) (n int) {
	for range list {
		n++
	}
	return n
}

// What passes through the program is the same bytes, by no faster way.
func TestThrough(t *testing.T) {
	b, err := local.Open(t.Context(), local.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	through := backends.Through(b)
	u, err := through.Begin(t.Context(), backends.Hint{Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(u, "some bytes")
	if err := u.Commit(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	r, err := through.Open(t.Context(), "k", 5, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, fast := r.(io.WriterTo); fast {
		t.Error("it has a faster way")
	}
	if got, err := io.ReadAll(r); string(got) != "bytes" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := through.Open(t.Context(), "none", 0, -1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if !backends.Absent(through, "none") && backends.Absent(b, "none") {
		t.Error("what the backend knows is not told")
	}
}
