package cas_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"artifactstore/backends"
	"artifactstore/backends/local"
	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/registry"
	"artifactstore/registry/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a store over real directories and a real SQLite file.
type house struct {
	t     *testing.T
	dir   string
	ids   []string // of the backends; the first is the default
	seam  *seam
	reg   registry.Registry
	disks map[string]backends.Backend
	store *cas.Store
}

// options are what a test wants to be different.
type options struct {
	seam     *seam
	backends []string
	buffered int64
	now      func() time.Time
	rules    []cas.Rule
	wrap     func(id string, b backends.Backend) backends.Backend
}

func open(t *testing.T, o options) *house { return openIn(t, t.TempDir(), o) }

// openIn opens the store that is in a directory, as a new process would.
func openIn(t *testing.T, dir string, o options) *house {
	t.Helper()
	if o.seam == nil {
		o.seam = noFault()
	}
	if o.backends == nil {
		o.backends = []string{"a"}
	}
	h := &house{t: t, dir: dir, ids: o.backends, seam: o.seam, disks: map[string]backends.Backend{}}
	reg, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(dir, "registry.db")})
	if err != nil {
		t.Fatal(err)
	}
	h.reg = reg
	t.Cleanup(func() { reg.Close() })
	var list []cas.Backend
	for _, id := range o.backends {
		disk, err := local.Open(t.Context(), local.Options{Root: h.root(id)})
		if err != nil {
			t.Fatal(err)
		}
		h.disks[id] = disk
		var b backends.Backend = &seamBackend{disk, o.seam}
		if o.wrap != nil {
			b = o.wrap(id, b)
		}
		list = append(list, cas.Backend{ID: id, Backend: b})
	}
	h.store, err = cas.New(cas.Options{
		Registry: &seamRegistry{reg, o.seam},
		Backends: list,
		Policy: cas.Policy{
			Default: o.backends[0], DefaultClass: "standard", Rules: o.rules,
			Classes: map[string]time.Duration{"standard": 90 * day, "short": day, "release": -1},
		},
		BufferedBytes: o.buffered,
		Now:           o.now,
		Log:           slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const day = 24 * time.Hour

func (h *house) root(id string) string { return filepath.Join(h.dir, id) }

// random returns content that is the same in every run.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return b
}

func identity(content []byte) digest.Identity {
	h := digest.NewHasher()
	h.Write(content)
	return h.Identity()
}

func of(alg digest.Algorithm, content []byte) digest.Digest {
	h := digest.NewHasher(alg)
	h.Write(content)
	d, _ := h.Sum(alg)
	return d
}

// put stores content by a client who knows nothing of it.
func (h *house) put(content []byte, change ...func(*cas.PutOptions)) (cas.Stored, error) {
	o := cas.PutOptions{Principal: "ann", Producer: "ann", Size: -1}
	for _, c := range change {
		c(&o)
	}
	return h.store.Put(h.t.Context(), bytes.NewReader(content), o)
}

func (h *house) mustPut(content []byte, change ...func(*cas.PutOptions)) cas.Stored {
	h.t.Helper()
	s, err := h.put(content, change...)
	if err != nil {
		h.t.Fatalf("put %d bytes: %v", len(content), err)
	}
	if id := identity(content); s.Identity != id {
		h.t.Fatalf("put %d bytes: stored as %+v, want %+v", len(content), s.Identity, id)
	}
	return s
}

func announced(content []byte) func(*cas.PutOptions) {
	return func(o *cas.PutOptions) {
		o.Size = int64(len(content))
		o.Want = []digest.Digest{of(digest.SHA256, content)}
	}
}

// read returns a blob's bytes by Read.
func (h *house) read(d digest.Digest) ([]byte, error) {
	b, err := h.store.Open(h.t.Context(), d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

// copied returns a blob's bytes by CopyTo.
func (h *house) copied(d digest.Digest) ([]byte, error) {
	b, err := h.store.Open(h.t.Context(), d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	var out bytes.Buffer
	_, err = b.CopyTo(&out, b.Size)
	return out.Bytes(), err
}

// mustRead fails the test unless a blob is there and right, both ways out.
func (h *house) mustRead(content []byte) {
	h.t.Helper()
	for name, way := range map[string]func(digest.Digest) ([]byte, error){"read": h.read, "copy": h.copied} {
		if got, err := way(identity(content).SHA256); err != nil || !bytes.Equal(got, content) {
			h.t.Errorf("%s: %d of %d bytes, %v", name, len(got), len(content), err)
		}
	}
}

// object returns the file of a blob on a backend.
func (h *house) object(id string, content []byte) string {
	return filepath.Join(h.root(id), filepath.FromSlash(identity(content).SHA256.Key()))
}

// location returns the state of a blob on a backend.
func (h *house) location(id string, content []byte) registry.State {
	h.t.Helper()
	b, err := h.reg.Blob(h.t.Context(), identity(content).SHA256)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, l := range b.Locations {
		if l.BackendID == id {
			return l.State
		}
	}
	return ""
}

func (h *house) position() uint64 {
	h.t.Helper()
	last, err := h.reg.Last(context.Background())
	if err != nil {
		h.t.Fatal(err)
	}
	return last
}

// files counts every file of a backend, staging included.
func (h *house) files(id string) (n int) {
	filepath.WalkDir(h.root(id), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return nil
	})
	return n
}

// audit looks at the whole state: the registry agrees with itself; what it says
// is stored is whole and right; nothing but the right bytes is under a key; and
// nothing else is on the disks, once what was abandoned is swept.
func (h *house) audit() {
	h.t.Helper()
	ctx := context.Background()
	report, err := h.reg.Check(ctx, nil)
	if err != nil || len(report.Problems) > 0 {
		h.t.Errorf("check: %v %v", err, report.Problems)
	}
	for b, err := range h.reg.Blobs(ctx, digest.Digest{}) {
		if err != nil {
			h.t.Fatal(err)
		}
		for _, l := range b.Locations {
			if l.State != registry.Stored {
				continue
			}
			if _, err := h.disks[l.BackendID].Stat(ctx, b.SHA256.Key()); err != nil {
				h.t.Errorf("%s is recorded on %s: %v", b.SHA256, l.BackendID, err)
			}
		}
	}
	for id, disk := range h.disks {
		if _, err := disk.Sweep(ctx, time.Now().Add(time.Hour)); err != nil {
			h.t.Errorf("sweep %s: %v", id, err)
		}
		objects := 0
		for info, err := range disk.List(ctx, "", "") {
			if err != nil {
				h.t.Fatal(err)
			}
			objects++
			content, err := os.ReadFile(filepath.Join(h.root(id), filepath.FromSlash(info.Key)))
			if err != nil || identity(content).SHA256.Key() != info.Key {
				h.t.Errorf("%s on %s has other bytes: %v", info.Key, id, err)
			}
		}
		if n := h.files(id); n != objects+marker {
			h.t.Errorf("%s: %d files for %d objects and the marker", id, n, objects)
		}
	}
}

// marker counts the file that says which layout a directory has.
const marker = 1

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

func wantErrorAs[E error](t *testing.T, err error) (as E) {
	t.Helper()
	if !errors.As(err, &as) {
		t.Errorf("got error %v, want a %T", err, as)
	}
	return as
}
