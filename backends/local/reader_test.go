package local

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"artifactstore/backends"
)

// taker is a destination that wants the file itself.
type taker struct {
	bytes.Buffer
	sources []io.Reader
}

func (w *taker) ReadFrom(r io.Reader) (int64, error) {
	w.sources = append(w.sources, r)
	return w.Buffer.ReadFrom(r)
}

func openRange(t *testing.T, b *Backend, key string, off, n int64) *reader {
	t.Helper()
	r, err := b.Open(t.Context(), key, off, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r.(*reader)
}

// What net/http and package net look for is an *io.LimitedReader over an *os.File.
func TestFileIsHandedOn(t *testing.T) {
	b := reopen(t, t.TempDir())
	put(t, b, "k", "0123456789")
	var w taker
	n, err := openRange(t, b, "k", 2, 5).WriteTo(&w)
	if n != 5 || err != nil || w.String() != "23456" || len(w.sources) != 1 {
		t.Fatal(n, err, w.String())
	}
	limited, ok := w.sources[0].(*io.LimitedReader)
	if !ok {
		t.Fatalf("handed on: %T", w.sources[0])
	}
	if _, ok := limited.R.(*os.File); !ok {
		t.Errorf("handed on: a limited %T", limited.R)
	}
}

// An object that is cut after it was opened ends with ErrShort on each way out.
func TestCutWhileOpen(t *testing.T) {
	for _, w := range []io.Writer{&taker{}, struct{ io.Writer }{io.Discard}, nil} {
		b := reopen(t, t.TempDir())
		put(t, b, "k", "0123456789")
		r := openRange(t, b, "k", 0, -1)
		if err := os.Truncate(filepath.Join(b.root, "k"), 4); err != nil {
			t.Fatal(err)
		}
		var n int64
		var err error
		if w != nil {
			n, err = r.WriteTo(w)
		} else {
			var p []byte
			p, err = io.ReadAll(struct{ io.Reader }{r})
			n = int64(len(p))
		}
		if wantError(t, "read", err, backends.ErrShort); n != 4 {
			t.Errorf("%T: %d bytes", w, n)
		}
	}
}

func TestShortAtOnce(t *testing.T) {
	b := reopen(t, t.TempDir())
	put(t, b, "k", "0123456789")
	for _, c := range [][2]int64{{0, 11}, {10, 1}, {11, 0}, {11, -1}, {1 << 62, 1 << 62}} {
		_, err := b.Open(t.Context(), "k", c[0], c[1])
		wantError(t, "open", err, backends.ErrShort)
	}
	if _, err := b.Open(t.Context(), "k", -1, 1); err == nil {
		t.Error("a negative offset was taken")
	}
}

func TestReaderFaultHasItsWords(t *testing.T) {
	err := (&reader{key: "k"}).ended(&os.PathError{Op: "read", Path: "x", Err: syscall.EIO})
	if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "k") {
		t.Error(err)
	}
}

// What is not a key's file is not listed: links, other names, folders of others.
func TestListLeavesOthersOut(t *testing.T) {
	b := reopen(t, t.TempDir())
	put(t, b, "a/k", "x")
	for _, name := range []string{"UPPER", "a/.hidden", "a/with space", "lost+found"} {
		writeFile(t, filepath.Join(b.root, name), "x")
	}
	if err := os.Symlink("k", filepath.Join(b.root, "a", "link")); err != nil {
		t.Fatal(err)
	}
	equal(t, "keys", keys(t, b), []string{"a/k"})
	if _, err := b.Stat(t.Context(), "a/link"); err == nil {
		t.Error("a link is an object")
	}
}
