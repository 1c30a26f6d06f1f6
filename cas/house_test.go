package cas_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"artifactstore/backends"
	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
	"artifactstore/registry/postgres/pgtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.Cleanup(func(code int) { pgtest.Stop(); os.Exit(code) }),
		// Servers that are shared by all tests, and connections to them that idle.
		goleak.IgnoreAnyFunction("artifactstore/registry/postgres/pgtest.(*Server).launch.func1"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
	)
}

// everyHouse runs a test on every registry and every kind of backend. With at,
// in its options, a house is opened there.
func everyHouse(t *testing.T, test func(t *testing.T, at shapes.House)) {
	inHouses(t, shapes.All(), test)
}

func inHouses(t *testing.T, houses []shapes.House, test func(t *testing.T, at shapes.House)) {
	for _, at := range houses {
		t.Run(at.Name, func(t *testing.T) {
			t.Parallel() // they share nothing, and mostly wait
			test(t, at)
		})
	}
}

// place is where a registry and some backends are: who opens it again sees what
// is there, as another process would.
type place struct {
	at       shapes.House
	registry func(testing.TB) registry.Registry
	backends map[string]func(testing.TB) shapes.Bytes // by their ids, made as they are opened
}

func newPlace(t *testing.T, at shapes.House) *place {
	if at.Name == "" {
		at = shapes.All()[0]
	}
	return &place{at, at.Registry(t), map[string]func(testing.TB) shapes.Bytes{}}
}

// backend opens a backend of a place. A new one lasts as long as the place.
func (p *place) backend(t *testing.T, id string) shapes.Bytes {
	if p.backends[id] == nil {
		p.backends[id] = p.at.Backend(t)
	}
	return p.backends[id](t)
}

// house is a store over a real registry and real backends.
type house struct {
	t     *testing.T
	place *place
	ids   []string // of the backends; the first is the default
	seam  *seam
	reg   registry.Registry
	disks map[string]shapes.Bytes
	store *cas.Store
}

// options are what a test wants to be different.
type options struct {
	at       shapes.House // the shape; the default is the one that needs no server
	seam     *seam
	backends []string
	buffered int64
	now      func() time.Time
	sleep    func(time.Duration) // takes the place of waiting
	rules    []cas.Rule
	waits    cas.Collection
	forget   string // a class that is not configured
	wrap     func(id string, b backends.Backend) backends.Backend
}

func (o options) sleeper() func(context.Context, time.Duration) error {
	if o.sleep == nil {
		return nil
	}
	return func(ctx context.Context, d time.Duration) error {
		o.sleep(d)
		return ctx.Err()
	}
}

func open(t *testing.T, o options) *house { return openIn(t, newPlace(t, o.at), o) }

// openIn opens the store that is in a place, as a new process would.
func openIn(t *testing.T, p *place, o options) *house {
	t.Helper()
	if o.seam == nil {
		o.seam = noFault()
	}
	if o.backends == nil {
		o.backends = []string{"a"}
	}
	reg := p.registry(t)
	h := &house{t: t, place: p, ids: o.backends, seam: o.seam, reg: reg, disks: map[string]shapes.Bytes{}}
	var list []cas.Backend
	for _, id := range o.backends {
		disk := p.backend(t, id)
		h.disks[id] = disk
		var b backends.Backend = &seamBackend{disk.Backend, o.seam}
		if o.wrap != nil {
			b = o.wrap(id, b)
		}
		list = append(list, cas.Backend{ID: id, Backend: b})
	}
	classes := map[string]time.Duration{"standard": 90 * day, "short": day, "release": -1}
	delete(classes, o.forget)
	var err error
	h.store, err = cas.New(cas.Options{
		Registry: &seamRegistry{reg, o.seam},
		Backends: list,
		Policy: cas.Policy{
			Default: o.backends[0], DefaultClass: "standard", Rules: o.rules, Classes: classes,
		},
		BufferedBytes: o.buffered,
		Collection:    o.waits,
		Now:           o.now,
		Sleep:         o.sleeper(),
		Log:           slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const day = 24 * time.Hour

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

// remove takes a blob's object away behind the store's back.
func (h *house) remove(id string, content []byte) {
	h.t.Helper()
	if err := h.disks[id].Delete(h.t.Context(), identity(content).SHA256.Key()); err != nil {
		h.t.Fatal(err)
	}
}

// replace puts other bytes in a blob's place behind the store's back.
func (h *house) replace(id string, content, other []byte) {
	h.t.Helper()
	h.remove(id, content)
	u, err := h.disks[id].Begin(h.t.Context(), backends.Hint{Size: -1})
	if err == nil {
		_, err = u.Write(other)
	}
	if err == nil {
		err = u.Commit(h.t.Context(), identity(content).SHA256.Key())
	}
	if err != nil {
		h.t.Fatal(err)
	}
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

// files counts everything that a backend holds, what is on its way included.
func (h *house) files(id string) int {
	h.t.Helper()
	return len(h.disks[id].Files(h.t))
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
			content, err := contentOf(disk, info.Key)
			if err != nil || identity(content).SHA256.Key() != info.Key {
				h.t.Errorf("%s on %s has other bytes: %v", info.Key, id, err)
			}
		}
		if n := h.files(id); n != objects {
			h.t.Errorf("%s: %d files for %d objects", id, n, objects)
		}
	}
}

func contentOf(b backends.Backend, key string) ([]byte, error) {
	r, err := b.Open(context.Background(), key, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

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

// before returns the position of the record before the one with some data.
func (h *house) before(d registry.Data) (last uint64) {
	h.t.Helper()
	for r, err := range h.reg.Since(h.t.Context(), 0) {
		if err != nil {
			h.t.Fatal(err)
		}
		if r.Data == d {
			return r.Position - 1
		}
	}
	h.t.Fatalf("no event says %+v", d)
	return 0
}
