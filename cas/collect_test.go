package cas_test

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/backends/backendtest"
	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// atOnce is a collection without a grace, for a registry whose clock is the real one.
var atOnce = cas.Collection{Grace: -1, Batch: 4}

// clock is a time that passes when it is told to.
type clock struct{ ahead time.Duration }

func (c *clock) now() time.Time       { return time.Now().Add(c.ahead) }
func (c *clock) pass(d time.Duration) { c.ahead += d }
func noSleep(time.Duration)           {}
func (h *house) collect() cas.CollectReport {
	h.t.Helper()
	report, err := h.store.Collect(h.t.Context(), cas.CollectOptions{})
	if err != nil {
		h.t.Fatalf("collect: %v", err)
	}
	return report
}

func (h *house) orphans(id string) cas.CollectReport {
	h.t.Helper()
	report, err := h.store.Orphans(h.t.Context(), id, cas.OrphanOptions{})
	if err != nil {
		h.t.Fatalf("orphans: %v", err)
	}
	return report
}

func (h *house) letGo(content []byte) {
	h.t.Helper()
	if err := h.store.Release(h.t.Context(), identity(content).SHA256, "ann"); err != nil {
		h.t.Fatal(err)
	}
}

// exact fails unless each backend holds the objects that the registry has recorded
// there, and no other.
func (h *house) exact() {
	h.t.Helper()
	h.audit()
	want := map[string][]string{}
	for b, err := range h.reg.Blobs(h.t.Context(), digest.Digest{}) {
		if err != nil {
			h.t.Fatal(err)
		}
		if len(b.Locations) == 0 {
			h.t.Errorf("%s has no location", b.SHA256)
		}
		for _, l := range b.Locations {
			want[l.BackendID] = append(want[l.BackendID], b.SHA256.Key())
		}
	}
	for id, disk := range h.disks {
		var got []string
		for info, err := range disk.List(h.t.Context(), "", "") {
			if err != nil {
				h.t.Fatal(err)
			}
			got = append(got, info.Key)
		}
		if !slices.Equal(got, want[id]) {
			h.t.Errorf("%s holds %v, recorded are %v", id, got, want[id])
		}
		if list, err := h.reg.Removals(h.t.Context(), id, digest.Digest{}, 10); err != nil || len(list) > 0 {
			h.t.Errorf("removals from %s: %v, %v", id, list, err)
		}
	}
}

// events returns the data of one type, in order.
func events[D registry.Data](h *house) (all []D) {
	h.t.Helper()
	for r, err := range h.reg.Since(h.t.Context(), 0) {
		if err != nil {
			h.t.Fatal(err)
		}
		if d, ok := r.Data.(D); ok {
			all = append(all, d)
		}
	}
	return all
}

// What nothing needs goes, with its evidence in the log; what is needed stays.
func TestCollect(t *testing.T) { everyHouse(t, collects) }

func collects(t *testing.T, at shapes.House) {
	h := open(t, options{at: at, waits: atOnce})
	kept, file := random(1, 5000), random(2, 6000)
	h.mustPut(kept)
	h.mustPutFile("x", file)
	var gone [][]byte
	bytes := int64(0)
	for i := range 11 {
		content := random(uint64(100+i), 1000+i)
		gone = append(gone, content)
		bytes += int64(len(content))
		h.mustPut(content)
		h.letGo(content)
	}
	var dry []cas.Candidate
	report, err := h.store.Collect(t.Context(), cas.CollectOptions{DryRun: true, Found: func(c cas.Candidate) { dry = append(dry, c) }})
	if err != nil || report.Blobs != 11 || report.Bytes != bytes || len(dry) != 11 || dry[0].Why != cas.Unneeded || dry[0].Since.IsZero() {
		t.Errorf("dry run: %+v, %v, %v", report, dry, err)
	}
	if n := h.files("a"); n != 13 {
		t.Errorf("a dry run leaves %d objects", n)
	}
	if report := h.collect(); report.Blobs != 11 || report.Bytes != bytes || report.Removed != 11 || report.Waiting != 0 {
		t.Errorf("%+v", report)
	}
	if c := h.store.Counts(); c.Blobs != 11 || c.Bytes != bytes {
		t.Errorf("%+v", c)
	}
	h.exact()
	h.mustRead(kept)
	h.hasFile("x", file)
	said := events[registry.BlobCollected](h)
	if len(said) != 11 || said[0].Size == 0 || said[0].IdleSince.IsZero() {
		t.Errorf("%d events: %+v", len(said), said)
	}
	for _, content := range gone {
		if _, err := h.read(identity(content).SHA256); !errors.Is(err, cas.ErrBlobUnknown) {
			t.Errorf("read what was collected: %v", err)
		}
	}
	if report := h.collect(); report.Blobs != 0 || report.Removed != 0 {
		t.Errorf("again: %+v", report)
	}
	h.mustPut(gone[0]) // its name is free again
	h.mustRead(gone[0])
	h.exact()
}

// A blob stays for the whole grace after it was let go.
func TestCollectWaitsForTheGrace(t *testing.T) {
	h := open(t, options{waits: cas.Collection{Grace: time.Hour}})
	content := random(1, 100)
	h.mustPut(content)
	h.letGo(content)
	if report := h.collect(); report.Blobs != 0 || report.Removed != 0 {
		t.Errorf("%+v", report)
	}
	h.mustPut(content) // not sent in vain
	h.mustRead(content)
	if n := len(events[registry.LocationRecorded](h)); n != 1 {
		t.Errorf("recorded %d times", n)
	}
}

// A clock of the gateway that is ahead collects nothing early: the registry's decides.
func TestCollectByTheRegistrysClock(t *testing.T) {
	c := &clock{ahead: 2 * time.Hour}
	h := open(t, options{waits: cas.Collection{Grace: time.Hour}, now: c.now})
	content := random(1, 100)
	h.mustPut(content)
	h.letGo(content)
	if report := h.collect(); report.Blobs != 0 || report.Removed != 0 {
		t.Errorf("%+v", report)
	}
	h.exact()
}

// A backend that does not delete is left alone after some tries, its removals are
// gone on with later, and the others are collected meanwhile.
func TestCollectWithOneBackendFailing(t *testing.T) {
	var faulty *backendtest.Faulty
	c := &clock{}
	h := open(t, options{
		now: c.now, sleep: noSleep, backends: []string{"a", "b"}, waits: atOnce, rules: []cas.Rule{{RetentionClass: "release", BackendID: "b"}},
		wrap: func(id string, b backends.Backend) backends.Backend {
			if id == "b" {
				faulty = backendtest.NewFaulty(b)
				return faulty
			}
			return b
		},
	})
	var both [][]byte
	for i := range 40 {
		content := random(uint64(i), 500+i)
		both = append(both, content)
		h.mustPut(content, func(o *cas.PutOptions) {
			if i%2 == 0 {
				o.RetentionClass = "release"
			}
		})
		h.letGo(content)
	}
	faulty.Set(backendtest.Fault{Op: backendtest.Delete, Kind: backendtest.LoseReply})
	report := h.collect()
	if report.Blobs != 20 || report.Failed["b"] < 3 || report.Failed["b"] > 10 || len(report.Failed) != 1 || report.Waiting == 0 || !slices.Equal(report.Away, []string{"b"}) {
		t.Errorf("%+v", report)
	}
	faulty.Set(backendtest.Fault{Op: backendtest.Health})
	if report := h.collect(); report.Blobs != 0 || report.Failed != nil || report.Waiting == 0 {
		t.Errorf("away: %+v", report)
	}
	faulty.Clear()

	// It works again, but what was sent before may land late.
	waiting := h.collect()
	if waiting.Waiting == 0 {
		t.Errorf("not quiet: %+v", waiting)
	}
	removing, err := h.reg.Removals(t.Context(), "b", digest.Digest{}, 1)
	if err != nil || len(removing) == 0 {
		t.Fatalf("removals %v, %v", removing, err)
	}
	again := slices.IndexFunc(both, func(content []byte) bool { return identity(content).SHA256 == removing[0].Blob })
	_, err = h.put(both[again], func(o *cas.PutOptions) { o.RetentionClass = "release" })
	wantError(t, err, cas.ErrRemoving)
	c.pass(6 * time.Minute)
	h.collect()
	h.exact()
	for _, content := range both {
		if _, err := h.reg.Blob(t.Context(), identity(content).SHA256); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("not collected: %v", err)
		}
	}
}

// A full backend is the first to be collected.
func TestCollectFromFullBackend(t *testing.T) {
	var faulty *backendtest.Faulty
	h := open(t, options{waits: atOnce, wrap: func(_ string, b backends.Backend) backends.Backend {
		faulty = backendtest.NewFaulty(b)
		return faulty
	}})
	content := random(1, 100)
	h.mustPut(content)
	h.letGo(content)
	faulty.Set(backendtest.Fault{Op: backendtest.Health, Err: backends.ErrFull})
	if report := h.collect(); report.Blobs != 1 || len(report.Away) != 0 {
		t.Errorf("%+v", report)
	}
	h.exact()
}

// Packages expire by their class, but not what is held, changed, or named by an index
// that stays; indexes go before what they name.
func TestExpire(t *testing.T) { everyHouse(t, expires) }

func expires(t *testing.T, at shapes.House) {
	c := &clock{}
	h := open(t, options{at: at, now: c.now, sleep: noSleep, waits: atOnce})
	ctx := t.Context()
	key := func(version string) cas.PackageKey {
		return cas.PackageKey{Producer: "ci", Name: "app", Version: version}
	}
	create := func(version, class string) {
		t.Helper()
		if _, _, err := h.store.CreatePackage(ctx, key(version), cas.PackageOptions{Principal: "ann", RetentionClass: class}); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		create(v, "short")
	}
	create("standard", "standard")
	create("release", "release")
	if _, err := h.store.HoldPackage(ctx, key("3"), "case", "ann"); err != nil {
		t.Fatal(err)
	}
	child := h.mustPush("app", "child", nil, "short")
	h.mustPush("app", "index", []cas.Reference{{Digest: child.SHA256, Size: child.Size, IsManifest: true}}, "short")
	if n, err := h.store.Expire(ctx, cas.ExpireOptions{}); n != 0 || err != nil {
		t.Errorf("expired early: %d, %v", n, err)
	}
	c.pass(2 * day)
	var would []string
	n, err := h.store.Expire(ctx, cas.ExpireOptions{DryRun: true, Found: func(p cas.Package) { would = append(would, p.Version) }})
	if n != 7 || err != nil || len(would) != 7 { // the index hides its child
		t.Errorf("would expire %d: %v, %v", n, would, err)
	}
	var order []string
	n, err = h.store.Expire(ctx, cas.ExpireOptions{Found: func(p cas.Package) { order = append(order, p.Version) }})
	if n != 8 || err != nil || order[len(order)-1] != child.SHA256.String() {
		t.Errorf("expired %d, %v: %v", n, order, err)
	}
	for v, want := range map[string]error{"1": cas.ErrPackageUnknown, "7": cas.ErrPackageUnknown, "3": nil, "standard": nil, "release": nil} {
		if _, err := h.store.Package(ctx, key(v)); !errors.Is(err, want) {
			t.Errorf("%s: %v", v, err)
		}
	}
	if err := h.store.ReleasePackage(ctx, key("3"), "case", "ann"); err != nil {
		t.Fatal(err)
	}
	if n, err := h.store.Expire(ctx, cas.ExpireOptions{}); n != 1 || err != nil {
		t.Errorf("after the hold: %d, %v", n, err)
	}
	h.audit()
}

// mustPush pushes a manifest with some text as its body.
func (h *house) mustPush(repository, body string, refers []cas.Reference, class string) cas.Stored {
	h.t.Helper()
	m := cas.Manifest{Body: []byte(body), OCI: registry.OCI{MediaType: "a/b"}, Refers: refers}
	s, err := h.store.PushManifest(h.t.Context(), m, cas.PutOptions{Principal: "ann", Producer: repository, Repository: repository, RetentionClass: class})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// Objects without a row go when they are old, and nothing else does.
func TestOrphans(t *testing.T) { everyHouse(t, orphans) }

func orphans(t *testing.T, at shapes.House) {
	c := &clock{}
	h := open(t, options{at: at, now: c.now, sleep: noSleep, waits: atOnce})
	var kept, lost [][]byte
	for i := range 20 {
		content := random(uint64(i), 300+i)
		if i%2 == 0 {
			kept = append(kept, content)
			h.mustPut(content)
		} else {
			lost = append(lost, content)
			h.orphan(content)
		}
	}
	strange := "sha256/zz/other"
	u, err := h.disks["a"].Begin(t.Context(), backends.Hint{Size: -1})
	if err == nil {
		err = u.Commit(t.Context(), strange)
	}
	if err != nil {
		t.Fatal(err)
	}
	if report := h.orphans("a"); report.Orphans != 0 || !slices.Equal(report.Strange, []string{strange}) {
		t.Errorf("young: %+v", report)
	}
	c.pass(49 * time.Hour)
	var dry []cas.Candidate
	report, err := h.store.Orphans(t.Context(), "a", cas.OrphanOptions{CollectOptions: cas.CollectOptions{DryRun: true, Found: func(c cas.Candidate) { dry = append(dry, c) }}})
	if err != nil || report.Orphans != 10 || len(dry) != 10 || dry[0].Why != cas.Orphaned || dry[0].Size < 300 {
		t.Errorf("dry run: %+v %v %v", report, dry, err)
	}
	if report := h.orphans("a"); report.Orphans != 10 || report.Removed != 10 || len(report.Strange) != 1 {
		t.Errorf("%+v", report)
	}
	if err := h.disks["a"].Delete(t.Context(), strange); err != nil {
		t.Error("the strange object is gone")
	}
	h.exact()
	for _, content := range kept {
		h.mustRead(content)
	}
	h.mustPut(lost[0])
	h.mustRead(lost[0])
}

// What looks like the objects of another store is left alone, unless somebody says so.
func TestOrphansOfAnotherStore(t *testing.T) {
	c := &clock{ahead: 49 * time.Hour}
	h := open(t, options{now: c.now, sleep: noSleep, waits: atOnce})
	for i := range 130 {
		h.orphan(random(uint64(i), 10))
	}
	if report, err := h.store.Orphans(t.Context(), "a", cas.OrphanOptions{Anyway: true}); err == nil || report.Removed != 0 {
		t.Errorf("an empty registry: %+v, %v", report, err)
	}
	h.mustPut([]byte("x"))
	if report, err := h.store.Orphans(t.Context(), "a", cas.OrphanOptions{}); err == nil || report.Removed > 105 {
		t.Errorf("more orphans than not: %+v, %v", report, err)
	}
	report, err := h.store.Orphans(t.Context(), "a", cas.OrphanOptions{Anyway: true})
	if err != nil {
		t.Fatalf("%+v %v", report, err)
	}
	h.exact()
}

// A run that ends in the middle is gone on with where it was.
func TestOrphansGoOn(t *testing.T) {
	c := &clock{ahead: 49 * time.Hour}
	var lists []string
	h := open(t, options{now: c.now, waits: atOnce, sleep: noSleep, wrap: func(_ string, b backends.Backend) backends.Backend {
		return listed{b, &lists}
	}})
	for i := range 60 {
		h.orphan([]byte{byte(i)})
	}
	h.mustPut([]byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	var last cas.Candidate
	n := 0
	_, err := h.store.Orphans(ctx, "a", cas.OrphanOptions{Anyway: true, CollectOptions: cas.CollectOptions{Found: func(c cas.Candidate) {
		if n++; n == 30 {
			cancel()
		} else if n < 30 {
			last = c
		}
	}}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	c.pass(10 * time.Minute)
	h.collect()
	report := h.orphans("a")
	if len(lists) != 2 || lists[0] != "" || lists[1] == "" || lists[1] > last.Digest.Key() {
		t.Errorf("lists after %q; the last orphan was %s", lists, last.Digest.Key())
	}
	if report.Orphans == 0 || report.Orphans > 36 {
		t.Errorf("%+v", report)
	}
	h.exact()
}

// listed notes after which keys a backend is listed.
type listed struct {
	backends.Backend
	after *[]string
}

func (b listed) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Info, error] {
	*b.after = append(*b.after, after)
	return b.Backend.List(ctx, prefix, after)
}
