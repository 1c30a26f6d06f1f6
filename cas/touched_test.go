package cas_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/backends/local"
	"artifactstore/cas/digest"
)

// socket takes files as a connection does, and says whether it was given one.
type socket struct {
	bytes.Buffer
	files int
}

func (s *socket) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			s.files++
		}
	}
	return s.Buffer.ReadFrom(r)
}

// TestTouchedFile: a file is given to the kernel while nothing has changed it since it
// was written. One that was, in whatever way, is looked at on its way: if it is wrong
// it never ends well.
func TestTouchedFile(t *testing.T) {
	for _, size := range []int{4096, 3*buffer + 5} {
		content := random(11, size)
		wrong := bytes.Clone(content)
		wrong[size/3] ^= 8
		for name, test := range map[string]struct {
			touch func(t *testing.T, name string)
			fast  bool
			right bool
		}{
			"not at all": {func(*testing.T, string) {}, true, true},
			"a bit in place": {touch: func(t *testing.T, name string) {
				f, err := os.OpenFile(name, os.O_WRONLY, 0)
				check(t, err)
				_, err = f.WriteAt(wrong[size/3:size/3+1], int64(size/3))
				check(t, err)
				check(t, f.Close())
			}},
			"another file in its place, as old": {touch: func(t *testing.T, name string) {
				info, err := os.Stat(name)
				check(t, err)
				other := name + ".other"
				check(t, os.WriteFile(other, wrong, 0o600))
				check(t, os.Chtimes(other, info.ModTime(), info.ModTime()))
				check(t, os.Rename(other, name))
			}},
			"its rights": {func(t *testing.T, name string) { check(t, os.Chmod(name, 0o400)) }, false, true},
		} {
			t.Run(name, func(t *testing.T) {
				root := t.TempDir()
				h := open(t, options{wrap: func(string, backends.Backend) backends.Backend {
					b, err := local.Open(t.Context(), local.Options{Root: root})
					check(t, err)
					return b
				}})
				h.mustPut(content)
				d := identity(content).SHA256
				tick(t)
				test.touch(t, filepath.Join(root, d.Key()))
				out, err := h.send(d)
				switch {
				case test.right && (err != nil || !bytes.Equal(out.Bytes(), content)):
					t.Errorf("%d bytes, %v", out.Len(), err)
				case !test.right && (err == nil || out.Len() >= size):
					t.Errorf("a wrong body of %d bytes ended with %v", out.Len(), err)
				case (out.files > 0) != test.fast:
					t.Errorf("given to the kernel: %v", out.files > 0)
				}
			})
		}
	}
}

// tick waits until what happens now to a file is later than what has happened: the
// kernel's clock for files goes in steps of some milliseconds.
func tick(t *testing.T) {
	name, now := filepath.Join(t.TempDir(), "tick"), time.Now()
	for t.Context().Err() == nil {
		check(t, os.WriteFile(name, nil, 0o600))
		info, err := os.Stat(name)
		check(t, err)
		if info.ModTime().After(now) {
			return
		}
		runtime.Gosched()
	}
}

// send sends a whole blob as HTTP does.
func (h *house) send(d digest.Digest) (*socket, error) {
	out := &socket{}
	b, err := h.store.Open(h.t.Context(), d)
	if err != nil {
		return out, err
	}
	defer b.Close()
	if err := b.Prepare(b.Size); err != nil {
		return out, err
	}
	_, err = b.CopyTo(out, b.Size)
	return out, err
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
