package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"artifactstore/backends/s3/s3test"
	"artifactstore/cas/digest"
	"artifactstore/registry"
	"artifactstore/registry/postgres"
	"artifactstore/registry/postgres/pgtest"
	"artifactstore/registry/sqlite"
)

const (
	collectTime = 20 * time.Second
	writers     = 6
	settleTime  = 90 * time.Second // for what is over to be gone, on a machine with much else to do
)

// hurried are delays as short as they may be: what nothing needs goes two seconds
// later, looked for every second, and so do objects without a record.
var hurried = []string{
	"ARTIFACTSTORE_LIMITS_IDLE=1500ms",
	"ARTIFACTSTORE_RETENTION_UPLOAD_GRACE=3s",
	"ARTIFACTSTORE_RETENTION_CLASSES_EPHEMERAL=3s",
	"ARTIFACTSTORE_RETENTION_COLLECTION_EVERY=1s",
	"ARTIFACTSTORE_RETENTION_COLLECTION_GRACE=2s",
	"ARTIFACTSTORE_RETENTION_COLLECTION_ORPHANS_EVERY=2s",
	"ARTIFACTSTORE_RETENTION_COLLECTION_ORPHAN_AGE=4s",
	"ARTIFACTSTORE_RETENTION_COLLECTION_REMOVAL_WAIT=5s",
}

// place is where a store is, looked at behind its back.
type place struct {
	*shape
	registry func(t *testing.T) registry.Registry
	objects  func(t *testing.T) []string // keys, sorted
}

// TestCollectionUnderWrites lets many writers push and delete overlapping packages
// of a few contents on two gateways, while packages expire, collection runs every
// second and objects without a record are looked for. Each writer has packages of
// its own, of which it knows what must be in them: every read of them is right, while
// it goes on and afterwards. In the end the backend holds exactly what the registry
// says, and nothing that nobody needs.
func TestCollectionUnderWrites(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute, and PostgreSQL and RGW, which -short does not start")
	}
	for name, at := range map[string]func(t *testing.T) place{"sqlite+local": onDisk, "postgres+rgw": onServers} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			collectUnderWrites(t, at(t))
		})
	}
}

func collectUnderWrites(t *testing.T, at place) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	a, b := &gateway{env: hurried}, &gateway{env: hurried}
	for _, g := range []*gateway{a, b} {
		err := g.start(at.shape)
		t.Cleanup(func() { g.process.kill() })
		if err != nil {
			t.Fatal(err)
		}
	}
	l := newLoad(t, a, b)
	ctx, cancel := context.WithTimeout(t.Context(), collectTime)
	defer cancel()
	var all sync.WaitGroup
	var list []*writer
	for i := range writers {
		w := &writer{load: l, name: fmt.Sprintf("w%d", i), random: rand.New(rand.NewPCG(seed, uint64(i)))}
		list = append(list, w)
		all.Go(func() { w.run(ctx) })
	}
	all.Wait()
	t.Logf("%v", l.outcomes)
	at.settled(t)
	for _, w := range list {
		w.audit()
	}
	at.audit(t, l)
}

// pool are the contents that all writers share; a few are longer than what is
// buffered whole.
func pool(n uint64) content {
	size := 100 + int(n)*37
	if n%8 == 0 {
		size = 300<<10 + int(n)
	}
	return content{seed: 1000 + n, size: size}
}

const poolSize = 40

// writer is a client with packages of its own, and what must be in them.
type writer struct {
	*load
	name   string
	random *rand.Rand
	own    []*ownPackage
	made   int
}

type ownPackage struct {
	path   string
	files  map[string]content
	sealed bool
}

func (w *writer) any() string { return w.load.any(w.random) }

func (w *writer) run(ctx context.Context) {
	for ctx.Err() == nil {
		one := pool(w.random.Uint64N(poolSize))
		switch w.random.IntN(14) {
		case 0, 1, 2, 3:
			w.put(one)
		case 4:
			w.attach(one)
		case 5:
			w.removeFile()
		case 6:
			w.seal()
		case 7:
			w.removePackage()
		case 8, 9:
			w.shared(one)
		case 10:
			w.raw(one)
		case 11:
			w.session(one)
		default:
			w.lookBack()
		}
	}
}

// surely makes a request until it is known what has become of it.
func (w *writer) surely(method, path string, body []byte, fields ...string) answer {
	for end := time.Now().Add(settleTime); ; {
		a := w.do(context.Background(), method, w.any()+path, bytes.NewReader(body), fields...)
		if a.status != 0 && a.status != 503 && a.status != 408 {
			return a
		}
		if time.Now().After(end) {
			w.t.Errorf("%s %s: %d for %s: %s", method, path, a.status, settleTime, a.body)
			return a
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (w *writer) expect(a answer, what string, want ...int) bool {
	if !slices.Contains(want, a.status) {
		w.t.Errorf("%s: %s: %d: %s", w.name, what, a.status, a.body)
		return false
	}
	w.count(what)
	return true
}

// open returns one of the writer's packages that is not sealed, a new one where it has
// none.
func (w *writer) open() *ownPackage {
	for _, p := range w.own {
		if !p.sealed {
			return p
		}
	}
	w.made++
	p := &ownPackage{path: fmt.Sprintf("/v1/packages/%s/app/%d", w.name, w.made), files: map[string]content{}}
	w.own = append(w.own, p)
	return p
}

func (w *writer) put(one content) {
	p, name := w.open(), fmt.Sprint(w.random.IntN(6))
	a := w.surely(http.MethodPut, p.path+"/files/"+name+"?retention_class=release", one.bytes())
	if w.expect(a, "put", 200, 201) {
		p.files[name] = one
	}
}

func (w *writer) attach(one content) {
	p, name := w.open(), fmt.Sprint(w.random.IntN(6))
	text := fmt.Sprintf(`{"digest":%q}`, digestOf(one.bytes()))
	a := w.surely(http.MethodPut, p.path+"/files/"+name+"?retention_class=release", []byte(text), "Content-Type", "application/vnd.artifactstore.blob-reference+json")
	if a.status == 404 { // nobody has it, or it has just gone
		w.count("attach of what is gone")
	} else if w.expect(a, "attach", 200, 201) {
		p.files[name] = one
	}
}

func (w *writer) removeFile() {
	p := w.open()
	for name := range p.files {
		if w.expect(w.surely(http.MethodDelete, p.path+"/files/"+name, nil), "remove file", 204, 404) {
			delete(p.files, name)
		}
		return
	}
}

func (w *writer) seal() {
	if p := w.open(); len(p.files) > 0 {
		p.sealed = w.expect(w.surely(http.MethodPost, p.path+"/seal", nil), "seal", 200)
	}
}

// removePackage ends the writer's oldest package where it has some.
func (w *writer) removePackage() {
	if len(w.own) < 4 {
		return
	}
	if w.expect(w.surely(http.MethodDelete, w.own[0].path, nil), "delete", 204, 404) {
		w.own = w.own[1:]
	}
}

// shared changes a package that all writers change, and that expires.
func (w *writer) shared(one content) {
	path := fmt.Sprintf("/v1/packages/all/app/%d", w.random.IntN(60))
	switch w.random.IntN(6) {
	case 0:
		w.expect(w.surely(http.MethodDelete, path, nil), "delete shared", 204, 404)
	case 1:
		w.expect(w.surely(http.MethodPost, path+"/seal", nil), "seal shared", 200, 404)
	default:
		a := w.surely(http.MethodPut, path+"/files/"+w.name+"?retention_class=ephemeral", one.bytes())
		w.expect(a, "put shared", 200, 201, 409)
	}
}

// raw keeps a blob for a moment.
func (w *writer) raw(one content) {
	if w.expect(w.surely(http.MethodPost, "/v1/blobs?retention_class=ephemeral", one.bytes()), "raw", 200, 201) && w.random.IntN(2) == 0 {
		w.expect(w.surely(http.MethodDelete, "/v1/blobs/"+digestOf(one.bytes()), nil), "release", 204, 404, 409)
	}
}

// session pushes a blob in two requests into a repository, which keeps it for the
// upload grace.
func (w *writer) session(one content) {
	body := one.bytes()
	a := w.surely(http.MethodPost, "/v2/"+w.name+"/blobs/uploads/", nil)
	if !w.expect(a, "session", 202) {
		return
	}
	at := a.session()
	a = w.do(context.Background(), http.MethodPatch, w.any()+at, bytes.NewReader(body), "Content-Type", "application/octet-stream")
	if a.status != 202 {
		w.unexpected(a, "chunk", 404, 408, 416)
		return
	}
	a = w.do(context.Background(), http.MethodPut, w.any()+at+"?digest="+digestOf(body), nil)
	if a.status == 201 {
		w.count("session closed")
	} else {
		w.unexpected(a, "end of a session", 404, 408, 416)
	}
}

// lookBack reads a file of the writer's own.
func (w *writer) lookBack() {
	if len(w.own) == 0 {
		return
	}
	p := w.own[w.random.IntN(len(w.own))]
	for name, one := range p.files {
		w.read(p.path+"/files/"+name, one)
		return
	}
}

func (w *writer) read(path string, one content) {
	a := w.surely(http.MethodGet, path, nil)
	if a.status != 200 || !bytes.Equal(a.body, one.bytes()) {
		w.t.Errorf("%s: get %s: %d with %d bytes, want %d of %s", w.name, path, a.status, len(a.body), one.size, digestOf(one.bytes()))
		return
	}
	w.count("read")
}

// audit reads everything that must be in the writer's packages, and nothing else is.
func (w *writer) audit() {
	for _, p := range w.own {
		if len(p.files) == 0 {
			continue
		}
		var shown struct {
			State string
			Files []struct{ Path string }
		}
		a := w.surely(http.MethodGet, p.path, nil)
		if a.status != 200 || json.Unmarshal(a.body, &shown) != nil || len(shown.Files) != len(p.files) || p.sealed != (shown.State == "sealed") {
			w.t.Errorf("%s: %d: %s, want %d files, sealed %v", p.path, a.status, a.body, len(p.files), p.sealed)
		}
		for name, one := range p.files {
			w.read(p.path+"/files/"+name, one)
		}
	}
}

// settled waits until what is over has gone: nothing is collectable, no removal is
// under way, and the backend holds exactly what is recorded.
func (at place) settled(t *testing.T) {
	r := at.registry(t)
	var why string
	for end := time.Now().Add(settleTime); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
		if why = at.difference(t, r); why == "" {
			return
		}
	}
	t.Errorf("after %s: %s", settleTime, why)
}

// difference says what is not as it should be in the end, "" for nothing.
func (at place) difference(t *testing.T, r registry.Registry) string {
	var recorded []string
	for b, err := range r.Blobs(t.Context(), digest.Digest{}) {
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case len(b.Locations) != 1 || b.Locations[0].State != registry.Stored:
			return fmt.Sprintf("%s is at %+v", b.SHA256, b.Locations)
		case b.References == 0 && !b.LeasedUntil.After(time.Now()):
			return fmt.Sprintf("%s is needed by nothing", b.SHA256)
		}
		recorded = append(recorded, b.SHA256.Key())
	}
	totals, err := r.Totals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for l, n := range totals.Locations {
		if l.State != registry.Stored && n != 0 {
			return fmt.Sprintf("%d locations %s", n, l.State)
		}
	}
	if objects := at.objects(t); !slices.Equal(objects, recorded) {
		return fmt.Sprintf("the backend holds %d objects, %d are recorded: %q, %q", len(objects), len(recorded), objects, recorded)
	}
	return ""
}

// audit reads what the registry says is needed, and looks at what has happened.
func (at place) audit(t *testing.T, l *load) {
	r := at.registry(t)
	said := map[string]int{}
	for rec, err := range r.Since(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		said[rec.Data.Type()]++
	}
	t.Logf("%v", said)
	for _, of := range []string{registry.TypeBlobCollected, registry.TypeLocationRemoved, registry.TypePackageExpired, registry.TypePackageDeleted} {
		if said[of] < 5 {
			t.Errorf("%s happened %d times: the test shows little", of, said[of])
		}
	}
	if n := said[registry.TypeLocationFailed]; n > 0 {
		t.Errorf("%d locations failed", n)
	}
	for b, err := range r.Blobs(t.Context(), digest.Digest{}) {
		if err != nil {
			t.Fatal(err)
		}
		l.auditBlob(l.any(rand.New(rand.NewPCG(1, 2))), b.SHA256.String())
	}
	if out, err := at.command("registry", "check").CombinedOutput(); err != nil {
		t.Errorf("registry check: %v\n%s", err, out)
	}
}

func onServers(t *testing.T) place {
	server, url := s3test.RGW(t), pgtest.New(t)
	s := newShape(t, server, url)
	return place{s, func(t *testing.T) registry.Registry {
		r, err := postgres.Open(t.Context(), postgres.Options{URL: url})
		return opened(t, r, err)
	}, func(t *testing.T) []string {
		return slices.DeleteFunc(server.Everything(t, s.prefix), func(name string) bool { return !strings.HasPrefix(name, "sha256/") })
	}}
}

func onDisk(t *testing.T) place {
	s := &shape{dir: t.TempDir()}
	s.program = filepath.Join(s.dir, "artifactstore")
	if out, err := exec.Command("go", "build", "-o", s.program, "artifactstore/cmd/artifactstore").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	config := "listen: 127.0.0.1:0\nregistry: {url: \"sqlite:./registry.db\"}\nbackends: [{id: local, type: local, root: ./blobs}]\n"
	if err := os.WriteFile(filepath.Join(s.dir, "artifactstore.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return place{s, func(t *testing.T) registry.Registry {
		r, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(s.dir, "registry.db")})
		return opened(t, r, err)
	}, func(t *testing.T) (keys []string) {
		root := filepath.Join(s.dir, "blobs")
		filepath.WalkDir(filepath.Join(root, "sha256"), func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				rel, _ := filepath.Rel(root, name)
				keys = append(keys, filepath.ToSlash(rel))
			}
			return nil // what has gone meanwhile is gone
		})
		return keys
	}}
}

func opened(t *testing.T, r registry.Registry, err error) registry.Registry {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}
