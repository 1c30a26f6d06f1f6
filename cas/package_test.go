package cas_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/cas/manifest"
	"artifactstore/registry"
)

// app is where the files of these tests go.
var app = cas.PackageKey{Producer: "ci", Name: "app", Version: "1.0"}

func inClass(class string) cas.PutOptions {
	return cas.PutOptions{Principal: "ann", RetentionClass: class, Size: -1}
}

func (h *house) putFile(path string, content []byte) (cas.Stored, error) {
	return h.store.PutFile(h.t.Context(), app, path, bytes.NewReader(content), inClass(""))
}

func (h *house) mustPutFile(path string, content []byte) cas.Stored {
	h.t.Helper()
	s, err := h.putFile(path, content)
	if err != nil || s.Identity != identity(content) {
		h.t.Fatalf("put %s: %+v, %v", path, s, err)
	}
	return s
}

func (h *house) attach(path, class string, content []byte) (cas.Stored, error) {
	return h.store.AttachFile(h.t.Context(), app, path, of(digest.BLAKE3, content), inClass(class))
}

func (h *house) mustSeal() digest.Digest {
	h.t.Helper()
	d, err := h.store.Seal(h.t.Context(), app, "ann")
	if err != nil {
		h.t.Fatalf("seal: %v", err)
	}
	return d
}

// paths are the files of the package, and fails where one cannot be read.
func (h *house) paths() (all []string) {
	h.t.Helper()
	for f, err := range h.store.Files(h.t.Context(), app, "") {
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, f.Path)
	}
	return all
}

// sealedAs fails unless the package is sealed with a manifest that says what its
// files are, under the digest of its bytes.
func (h *house) sealedAs(d digest.Digest) manifest.Manifest {
	h.t.Helper()
	p, err := h.store.Package(h.t.Context(), app)
	if err != nil || p.State != registry.Sealed || p.Manifest != d {
		h.t.Errorf("sealed as %s: %+v, %v", d, p, err)
	}
	text, err := h.read(d)
	if err != nil || of(digest.SHA256, text) != d {
		h.t.Fatalf("manifest %s: %d bytes, %v", d, len(text), err)
	}
	m, err := manifest.Decode(text)
	if err != nil {
		h.t.Fatal(err)
	}
	var said []string
	for _, f := range m.Files {
		said = append(said, f.Path)
	}
	if has := h.paths(); !slices.Equal(said, has) {
		h.t.Errorf("the manifest has %v, the package %v", said, has)
	}
	return m
}

func TestSealIsIdempotent(t *testing.T) {
	h := open(t, options{})
	h.mustPutFile("a", []byte("hello"))
	h.mustPutFile("b/c", random(1, 2*buffer))
	d := h.mustSeal()
	at := h.position()
	if again := h.mustSeal(); again != d || h.position() != at {
		t.Errorf("sealed as %s, then as %s at %d", d, again, h.position())
	}
	m := h.sealedAs(d)
	if f := m.Files[1]; f.Size != 2*buffer || f.SHA256 != identity(random(1, 2*buffer)).SHA256 || f.BLAKE3 != identity(random(1, 2*buffer)).BLAKE3 {
		t.Errorf("%+v", f)
	}
	_, err := h.putFile("d", []byte("late"))
	wantError(t, err, cas.ErrPackageSealed)
	h.mustPut([]byte("late"))
	_, err = h.attach("d", "", []byte("late"))
	wantError(t, err, cas.ErrPackageSealed)
	wantError(t, h.store.RemoveFile(t.Context(), app, "a", "ann"), cas.ErrPackageSealed)
	h.audit()
}

// A file that is recorded between a seal's reading and its recording is in the
// manifest; one that is taken out is not.
func TestSealReadsAgainWhatHasChanged(t *testing.T) {
	for name, change := range map[string]func(h *house) error{
		"added":    func(h *house) error { _, err := h.putFile("b", []byte("world")); return err },
		"replaced": func(h *house) error { _, err := h.putFile("a", []byte("world")); return err },
		"removed":  func(h *house) error { return h.store.RemoveFile(h.t.Context(), app, "a", "bob") },
	} {
		for _, call := range []string{"commit", "append"} {
			t.Run(name+" before "+call, func(t *testing.T) {
				h := open(t, options{})
				h.mustPutFile("a", []byte("hello"))
				h.mustPutFile("z", []byte("rest"))
				done := false
				h.seam.before = func(next string) {
					if next == call && !done {
						done = true
						if err := change(h); err != nil {
							t.Error(err)
						}
					}
				}
				d := h.mustSeal()
				m := h.sealedAs(d)
				if !done {
					t.Error("nothing was changed meanwhile")
				}
				for _, f := range m.Files {
					if f.Path == "a" && name == "replaced" && f.SHA256 != identity([]byte("world")).SHA256 {
						t.Errorf("%+v", f)
					}
				}
			})
		}
	}
}

// Of files written while their package is sealed, those that are acknowledged are
// in the manifest, and all others are refused.
func TestWritersAndSeals(t *testing.T) {
	h := open(t, options{})
	h.mustPutFile("first", []byte("first"))
	var all sync.WaitGroup
	var mu sync.Mutex
	acknowledged := []string{"first"}
	for w := range 4 {
		all.Go(func() {
			for i := range 20 {
				path := fmt.Sprintf("%d/%d", w, i)
				_, err := h.putFile(path, []byte(path))
				switch {
				case err == nil:
					mu.Lock()
					acknowledged = append(acknowledged, path)
					mu.Unlock()
				case !errors.Is(err, cas.ErrPackageSealed):
					t.Errorf("put %s: %v", path, err)
				}
			}
		})
	}
	seals := make([]digest.Digest, 3)
	for i := range seals {
		all.Go(func() {
			for {
				d, err := h.store.Seal(t.Context(), app, "ann")
				if errors.Is(err, cas.ErrRegistryUnavailable) { // the writers were faster
					continue
				}
				if err != nil {
					t.Errorf("seal: %v", err)
				}
				seals[i] = d
				return
			}
		})
	}
	all.Wait()
	h.sealedAs(seals[0])
	if seals[0] != seals[1] || seals[0] != seals[2] {
		t.Errorf("one package, several manifests: %v", seals)
	}
	slices.Sort(acknowledged)
	if has := h.paths(); !slices.Equal(has, acknowledged) {
		t.Errorf("the package has %v; acknowledged were %v", has, acknowledged)
	}
	h.audit()
}

func TestAttachCopiesToTheRoute(t *testing.T) {
	for name, size := range map[string]int{"short": 100, "long": 3*buffer + 5} {
		t.Run(name, func(t *testing.T) {
			content := random(7, size)
			h := open(t, options{backends: []string{"a", "b"}, rules: []cas.Rule{{RetentionClass: "release", BackendID: "b"}}})
			h.mustPut(content)
			s, err := h.attach("x", "release", content)
			if err != nil || s.BackendID != "b" || s.Existed || s.Identity != identity(content) {
				t.Fatalf("%+v, %v", s, err)
			}
			if on, err := contentOf(h.disks["b"], identity(content).SHA256.Key()); err != nil || !bytes.Equal(on, content) {
				t.Errorf("%d bytes on b, %v", len(on), err)
			}
			if h.location("a", content) != registry.Stored || h.location("b", content) != registry.Stored {
				t.Error("a location is not recorded")
			}
			opens := h.seam.count("open")
			if s, err = h.attach("x", "release", content); err != nil || !s.Existed {
				t.Errorf("again: %+v, %v", s, err)
			}
			if s, err = h.attach("y", "release", content); err != nil || s.Existed {
				t.Errorf("another path: %+v, %v", s, err)
			}
			if n := h.seam.count("open"); n != opens {
				t.Errorf("%d opens for bytes that are there", n-opens)
			}
			d := h.mustSeal()
			h.sealedAs(d)
			if b, err := h.reg.Blob(t.Context(), d); err != nil || len(b.Locations) != 1 || b.Locations[0].BackendID != "b" {
				t.Errorf("the manifest is at %+v, %v", b.Locations, err)
			}
			h.audit()
		})
	}
}

// A copy that cannot be made says that the blob is away, and makes no package.
func TestAttachWhatCannotBeRead(t *testing.T) {
	for name, test := range map[string]struct {
		harm func(h *house, content []byte) error
		want error
	}{
		"unknown": {func(h *house, content []byte) error {
			return h.store.Release(h.t.Context(), identity(content).SHA256, "ann")
		}, cas.ErrBlobUnknown},
		"lost": {func(h *house, content []byte) error { h.remove("a", content); return nil }, cas.ErrBlobUnavailable},
		"cut":  {func(h *house, content []byte) error { h.replace("a", content, content[:10]); return nil }, cas.ErrBlobUnavailable},
		"false": {func(h *house, content []byte) error {
			h.replace("a", content, random(9, len(content)))
			return nil
		}, cas.ErrBlobUnavailable},
	} {
		for _, size := range []int{100, 2*buffer + 1} {
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				content := random(8, size)
				h := open(t, options{backends: []string{"a", "b"}, rules: []cas.Rule{{RetentionClass: "release", BackendID: "b"}}})
				h.mustPut(content)
				if err := test.harm(h, content); err != nil {
					t.Fatal(err)
				}
				_, err := h.attach("x", "release", content)
				wantError(t, err, test.want)
				var source *cas.SourceError
				if errors.As(err, &source) {
					t.Errorf("the client is blamed: %v", err)
				}
				_, err = h.store.Package(t.Context(), app)
				wantError(t, err, cas.ErrPackageUnknown)
				if n := h.files("b"); n != 0 {
					t.Errorf("%d files on b", n)
				}
			})
		}
	}
}

func TestPutFileHeals(t *testing.T) {
	content := random(3, 2*buffer)
	h := open(t, options{})
	h.mustPutFile("x", content)
	h.lose("a", content)
	_, err := h.store.OpenFile(t.Context(), app, "x")
	wantError(t, err, cas.ErrBlobUnavailable)
	if s := h.mustPutFile("x", content); !s.Existed {
		t.Error("the path had these bytes")
	}
	h.mustRead(content)
	if h.location("a", content) != registry.Stored {
		t.Error("not healed")
	}
	h.audit()
}

func TestDeletePackage(t *testing.T) {
	h := open(t, options{})
	h.mustPutFile("x", []byte("hello"))
	d := h.mustSeal()
	needed := wantErrorAs[*cas.ReferencedError](t, h.store.Release(t.Context(), d, "ann"))
	if needed != nil && needed.Blob != d {
		t.Errorf("%+v", needed)
	}
	if err := h.store.DeletePackage(t.Context(), app, "ann"); err != nil {
		t.Fatal(err)
	}
	wantError(t, h.store.DeletePackage(t.Context(), app, "ann"), cas.ErrPackageUnknown)
	_, err := h.read(d)
	wantError(t, err, cas.ErrBlobUnknown)
	_, err = h.store.OpenFile(t.Context(), app, "x")
	wantError(t, err, cas.ErrPackageUnknown)
	h.mustPutFile("x", []byte("hello"))
	h.mustRead([]byte("hello"))
	h.audit()
}

// A package of many files is sealed whole and read in part.
func TestManyFiles(t *testing.T) {
	const files, blobs = 2000, 10
	h := open(t, options{})
	for i := range blobs {
		h.mustPut(random(uint64(i), 100+i))
	}
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := w; i < files; i += 8 {
				if _, err := h.attach(fmt.Sprintf("dir/%04d", i), "", random(uint64(i%blobs), 100+i%blobs)); err != nil {
					t.Errorf("attach %d: %v", i, err)
					return
				}
			}
		})
	}
	all.Wait()
	m := h.sealedAs(h.mustSeal())
	if len(m.Files) != files {
		t.Errorf("%d files", len(m.Files))
	}
	for f, err := range h.store.Files(t.Context(), app, "dir/1233") {
		if err != nil || f.Path != "dir/1234" || f.SHA256 != identity(random(4, 104)).SHA256 {
			t.Errorf("%+v, %v", f, err)
		}
		break
	}
	if n := h.files("a"); n != blobs+1 {
		t.Errorf("%d files for %d blobs and a manifest", n, blobs)
	}
}
