package cas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"artifactstore/backends"
	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/cas/manifest"
	shapes "artifactstore/deploy/house"
	"artifactstore/gateway/oci"
	"artifactstore/registry"
)

// lost returns the same backends beside an empty registry: the database is gone.
func (p *place) lost(t *testing.T) *place { return &place{p.at, p.at.Registry(t), p.backends} }

// restored returns the same backends beside a registry that ends at a position: a
// backup was restored.
func (h *house) restored(at uint64) *place {
	h.t.Helper()
	p := h.place.lost(h.t)
	reg := p.registry(h.t)
	for r, err := range h.reg.Since(h.t.Context(), 0) {
		if err == nil && r.Position <= at {
			_, err = reg.Append(h.t.Context(), r.Event)
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
	return p
}

func rebuildOptions(ids ...string) cas.RebuildOptions {
	return cas.RebuildOptions{Backends: ids, Repository: "found/here", ManifestBytes: 1 << 20, ParseOCI: oci.StoredManifest}
}

func (h *house) rebuild(change ...func(*cas.RebuildOptions)) (cas.Rebuilt, error) {
	o := rebuildOptions(h.ids...)
	for _, c := range change {
		c(&o)
	}
	return h.store.Rebuild(h.t.Context(), o)
}

func (h *house) mustRebuild(change ...func(*cas.RebuildOptions)) cas.Rebuilt {
	h.t.Helper()
	so, err := h.rebuild(change...)
	if err != nil {
		h.t.Fatalf("rebuild: %v: %+v", err, so)
	}
	return so
}

func missingToo(o *cas.RebuildOptions) { o.Missing = true }

// sealed makes a sealed package.
func (h *house) sealed(k cas.PackageKey, class string, labels map[string]string, files map[string][]byte) digest.Digest {
	h.t.Helper()
	ctx := h.t.Context()
	if _, _, err := h.store.CreatePackage(ctx, k, cas.PackageOptions{Principal: "ann", RetentionClass: class, Labels: labels}); err != nil {
		h.t.Fatal(err)
	}
	for path, content := range files {
		if _, err := h.store.PutFile(ctx, k, path, bytes.NewReader(content), inClass("")); err != nil {
			h.t.Fatal(err)
		}
	}
	d, err := h.store.Seal(ctx, k, "ann")
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

// image is an OCI manifest as a client writes it.
func descriptor(media string, content []byte) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, media, identity(content).SHA256, len(content))
}

// pushOCI pushes what a client would to repository team/app, and the blobs with it.
func (h *house) pushOCI(body string, blobs ...[]byte) []byte {
	h.t.Helper()
	o := cas.PutOptions{Principal: "ci", Repository: "team/app", Producer: "team", Size: -1}
	for _, b := range blobs {
		if _, err := h.store.Put(h.t.Context(), bytes.NewReader(b), o); err != nil {
			h.t.Fatal(err)
		}
	}
	m, err := oci.StoredManifest([]byte(body))
	if err == nil {
		_, err = h.store.PushManifest(h.t.Context(), m, o)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return []byte(body)
}

// pushImages pushes two images, an index of them, which it returns, and something that
// refers to that.
func (h *house) pushImages() digest.Digest {
	var children []string
	for i := range 2 {
		config, layer := fmt.Appendf(nil, `{"n":%d}`, i), random(uint64(900+i), 5000)
		media := `"mediaType":"` + imageType + `",`
		if i == 1 {
			media = "" // OCI lets it be left out
		}
		body := h.pushOCI(fmt.Sprintf(`{"schemaVersion":2,%s"config":%s,"layers":[%s]}`, media,
			descriptor("application/vnd.oci.image.config.v1+json", config), descriptor("a/layer", layer)), config, layer)
		children = append(children, descriptor(imageType, body))
	}
	index := h.pushOCI(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, indexType, strings.Join(children, ",")))
	h.pushOCI(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"a/signature","config":%s,"layers":[],"subject":%s,"annotations":{"by":"ann"}}`,
		imageType, descriptor("application/vnd.oci.empty.v1+json", []byte("{}")), descriptor(indexType, index)), []byte("{}"))
	return identity(index).SHA256
}

// listing is what a store shows: each blob with its bytes' digest, each sealed package with
// all that it has, each OCI manifest wherever it is.
func (h *house) listing() (all []string) {
	h.t.Helper()
	ctx := h.t.Context()
	for b, err := range h.reg.Blobs(ctx, digest.Digest{}) {
		if err != nil {
			h.t.Fatal(err)
		}
		content, err := h.read(b.SHA256)
		if err != nil || identity(content) != b.Identity {
			h.t.Errorf("%s: %d bytes, %v", b.SHA256, len(content), err)
		}
		all = append(all, fmt.Sprint("blob ", b.Identity))
	}
	var after cas.PackageKey
	for {
		page, next, err := h.store.ListPackages(ctx, cas.PackageFilter{}, after, 100)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, p := range page {
			if p.State == registry.Sealed {
				all = append(all, h.shown(p))
			}
		}
		if after = next; after == (cas.PackageKey{}) {
			slices.Sort(all)
			return all
		}
	}
}

func (h *house) shown(p cas.Package) string {
	h.t.Helper()
	text := fmt.Sprint("package ", p.Manifest, p.Format, p.RetentionClass, p.Labels)
	if p.OCI == nil {
		text += p.PackageKey.String()
	} else {
		text += fmt.Sprint(*p.OCI)
	}
	for f, err := range h.store.Files(h.t.Context(), p.PackageKey, "") {
		if err != nil {
			h.t.Fatal(err)
		}
		text += fmt.Sprint(f.Path, f.Identity)
	}
	return text
}

// fillStore fills a store and returns how many packages and manifests of repositories it has,
// and the manifest that another refers to.
func (h *house) fillStore() (packages, manifests int64, index digest.Digest) {
	h.fill(20)
	h.mustPut(nil)
	h.mustPut(random(99, 700_000))
	h.mustPut([]byte("{ not a manifest"))
	h.mustPut([]byte{0xa1, 0x61, 'a', 0x01})
	h.sealed(app, "release", map[string]string{"commit": "12ab"}, map[string][]byte{"bin/app": random(1000, 9000), "doc": {}, "same": random(1000, 9000)})
	h.sealed(cas.PackageKey{Producer: "ci", Name: "empty", Version: "1"}, "", nil, nil)
	if _, err := h.store.PutFile(h.t.Context(), cas.PackageKey{Producer: "ci", Name: "open", Version: "1"}, "a", strings.NewReader("open"), inClass("")); err != nil {
		h.t.Fatal(err)
	}
	return 2, 4, h.pushImages()
}

// With the database lost, what a store shows is there again from its backends
// alone, byte for byte, and found by the same names.
func TestRebuild(t *testing.T) { everyHouse(t, rebuilds) }

func rebuilds(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	packages, manifests, index := h.fillStore()
	want := h.listing()
	totals, err := h.store.Totals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.reg.Close()

	h = openIn(t, h.place.lost(t), options{at: at})
	so := h.mustRebuild()
	if so.Adopted != totals.Blobs || so.Bytes != totals.BlobBytes || so.Packages != packages || so.Manifests != manifests ||
		so.Objects != so.Adopted || so.Wrong+so.Unmade+so.Strangers+so.Present != 0 {
		t.Errorf("rebuilt %+v, want %+v", so, totals)
	}
	if diff := cmp.Diff(want, h.listing()); diff != "" {
		t.Errorf("the listing is another:\n%s", diff)
	}
	h.audit()
	h.leasedByRebuild()
	referrers := 0
	for r, err := range h.store.Referrers(t.Context(), "found/here", index, "a/signature", "") {
		if referrers++; err != nil || r.OCI.Annotations["by"] != "ann" {
			t.Errorf("referrer %+v: %v", r, err)
		}
	}
	if referrers != 1 {
		t.Errorf("%d referrers of the index, want 1", referrers)
	}

	last := h.position()
	if _, err := h.rebuild(); !errors.Is(err, cas.ErrRegistryUsed) {
		t.Errorf("a registry in use: %v", err)
	}
	if so := h.mustRebuild(missingToo); so.Known != so.Objects || so.Packages+so.Manifests+so.Adopted != 0 || h.position() != last {
		t.Errorf("nothing is missing: %+v", so)
	}
}

// leasedByRebuild fails unless every blob has a lease that keeps it as long as the
// default class.
func (h *house) leasedByRebuild() {
	h.t.Helper()
	for b, err := range h.reg.Blobs(h.t.Context(), digest.Digest{}) {
		leases, lost := h.reg.LeasesOf(h.t.Context(), b.SHA256, 10)
		if err != nil || lost != nil || len(leases) != 1 {
			h.t.Fatalf("%s: %+v, %v %v", b.SHA256, leases, err, lost)
		}
		l := leases[0]
		if left := time.Until(l.Until); l.Actor != "rebuild" || l.RetentionClass != "standard" || left < 89*day || left > 90*day {
			h.t.Errorf("%s: %+v", b.SHA256, l)
		}
	}
}

// What is named by its SHA-512 is found by it again where that is wanted.
func TestRebuildSHA512(t *testing.T) {
	h := open(t, options{})
	layer := random(5, 5000)
	h.mustPut(layer, func(o *cas.PutOptions) {
		o.Repository, o.Want = "team/app", []digest.Digest{of(digest.SHA512, layer)}
	})
	h.pushOCI(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":"a/b","digest":%q,"size":5000}]}`, indexType, of(digest.SHA512, layer)))
	want := h.listing()
	without := openIn(t, h.place.lost(t), options{})
	if so := without.mustRebuild(); so.Unmade != 1 || !slices.Equal(so.UnmadeList[0].Missing, []digest.Digest{of(digest.SHA512, layer)}) {
		t.Errorf("without SHA-512: %+v", so)
	}
	with := openIn(t, h.place.lost(t), options{})
	with.mustRebuild(func(o *cas.RebuildOptions) { o.SHA512 = true })
	if diff := cmp.Diff(want, with.listing()); diff != "" {
		t.Error(diff)
	}
}

// Wrong bytes and other keys are reported, and nothing is served that is not what it
// is called; what is made of it all is whole.
func TestRebuildLeavesOutWhatIsWrong(t *testing.T) { inHouses(t, shapes.Ends(), leavesOut) }

func leavesOut(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	contents := h.fill(6)
	file := random(77, 3000)
	sealed := h.sealed(app, "", nil, map[string][]byte{"good": contents[5], "bad": file})
	flipped := bytes.Clone(file)
	flipped[1000] ^= 1
	h.replace("a", file, flipped)
	h.replace("a", contents[0], contents[1]) // another blob's bytes
	h.replace("a", contents[2], nil)
	h.strange("a", "sha256/zz/other", []byte("x"))
	h.strange("a", "zother", []byte("y"))

	h = openIn(t, h.place.lost(t), options{at: at})
	so := h.mustRebuild()
	if so.Wrong != 3 || len(so.WrongList) != 3 || so.Adopted != so.Objects-3 || so.Packages != 0 {
		t.Errorf("%+v", so)
	}
	if diff := cmp.Diff([]string{"sha256/zz/other", "zother"}, so.StrangeList); diff != "" {
		t.Error(diff)
	}
	want := []cas.Unmade{{Manifest: sealed, Package: "ci/app/1.0", Reason: "it names what no backend has", Missing: []digest.Digest{identity(file).SHA256}}}
	if diff := cmp.Diff(want, so.UnmadeList, cmp.Comparer(func(a, b digest.Digest) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	for _, content := range [][]byte{file, contents[0], contents[2], flipped} {
		if _, err := h.store.Open(t.Context(), identity(content).SHA256); !errors.Is(err, cas.ErrBlobUnknown) {
			t.Errorf("what is wrong: %v", err)
		}
	}
	h.mustRead(contents[1])

	for _, content := range [][]byte{file, contents[0], contents[2]} {
		h.mustPut(content) // as its owner would, from where it came
	}
	if so := h.mustRebuild(missingToo); so.Packages != 1 || so.Unmade != 0 {
		t.Errorf("after the file was pushed: %+v", so)
	}
	got, err := h.store.OpenFile(t.Context(), app, "bad")
	if err != nil {
		t.Fatal(err)
	}
	got.Close()
	if report, err := h.reg.Check(t.Context(), nil); err != nil || len(report.Problems) > 0 {
		t.Error(report, err)
	}
}

// A rebuild each of whose calls fails or is the last of its process is gone on with
// by the next, and ends as one that nothing disturbed.
func TestEachStepOfRebuild(t *testing.T) { inHouses(t, shapes.Ends(), eachStepOfRebuild) }

func eachStepOfRebuild(t *testing.T, at shapes.House) {
	far := at.Name != shapes.All()[0].Name
	first := open(t, options{at: at})
	first.fill(3)
	first.sealed(app, "release", nil, map[string][]byte{"x": random(1000, 900)})
	first.pushImages()
	want := first.listing()
	one := func(o *cas.RebuildOptions) { o.Concurrency = 1 }
	healthy := noFault()
	openIn(t, first.place.lost(t), options{at: at, seam: healthy, sleep: noSleep}).mustRebuild(one)
	for i, step := range healthy.made() {
		for _, how := range []how{fails, failsAfter, dies, diesAfter} {
			if far && (how != diesAfter || step != "append") || !shows(step, how) || step == "open" && (how == failsAfter || how == diesAfter) {
				continue
			}
			t.Run(fmt.Sprintf("%d %s %s", i, step, how), func(t *testing.T) {
				t.Parallel()
				h := openIn(t, first.place.lost(t), options{at: at, seam: &seam{at: i, how: how}, sleep: noSleep})
				if so, err := h.rebuild(one); err != nil && !errors.Is(err, errFault) || so.Wrong+so.Unmade > 0 {
					t.Errorf("the cause is lost, or blamed on an object: %v: %+v", err, so)
				}
				h.reg.Close()
				h = openIn(t, h.place, options{at: at})
				h.mustRebuild(missingToo)
				if diff := cmp.Diff(want, h.listing()); diff != "" {
					t.Error(diff)
				}
				h.audit()
			})
		}
	}
}

// One that was interrupted is gone on with without asking for it, and reads no object
// again that is recorded.
func TestRebuildGoesOn(t *testing.T) { inHouses(t, shapes.Ends(), rebuildGoesOn) }

func rebuildGoesOn(t *testing.T, at shapes.House) {
	h := open(t, options{at: at})
	var recorded []string
	h.fill(150)
	manifest := h.sealed(app, "", nil, map[string][]byte{"x": random(1000, 900)})
	want := h.listing()
	p := h.place.lost(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	counted := &reads{n: map[string]int{}, before: func(_ context.Context, total int) {
		if total == 100 {
			cancel()
		}
	}}
	o := options{at: at, wrap: func(_ string, b backends.Backend) backends.Backend { return &opens{b, counted, nil} }}
	h = openIn(t, p, o)
	if so, err := h.store.Rebuild(ctx, rebuildOptions("a")); !errors.Is(err, context.Canceled) || so.Adopted != 64 {
		t.Fatalf("interrupted: %v: %+v", err, so)
	}
	once := maps.Clone(counted.n)
	for b, err := range h.reg.Blobs(t.Context(), digest.Digest{}) {
		if err != nil {
			t.Fatal(err)
		}
		if b.SHA256 == manifest { // read as an object, and as a manifest
			delete(once, b.SHA256.Key())
		}
		recorded = append(recorded, b.SHA256.Key())
	}
	h.reg.Close()
	h = openIn(t, p, o)
	so := h.mustRebuild()
	if so.Known != 64 || so.Adopted != so.Objects-64 || so.Packages != 1 {
		t.Errorf("gone on with: %+v", so)
	}
	for _, key := range recorded {
		if once[key] > 0 && counted.n[key] > once[key] {
			t.Errorf("%s was read again", key)
		}
	}
	if diff := cmp.Diff(want, h.listing()); diff != "" {
		t.Error(diff)
	}
	if _, err := h.rebuild(); !errors.Is(err, cas.ErrRegistryUsed) {
		t.Errorf("it is done: %v", err)
	}
}

// opens is a backend whose opened objects are counted.
type opens struct {
	backends.Backend
	*reads
	opened func() // is told when one is open; may be nil
}

func (o *opens) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	o.count(ctx, key)
	r, err := o.Backend.Open(ctx, key, off, n)
	if err == nil && o.opened != nil {
		o.opened()
	}
	return r, err
}

// Of two manifests of one name the one that was written later counts, whichever comes first.
func TestRebuildTakesTheNewerManifest(t *testing.T) {
	for _, newer := range []int{0, 1} {
		h := open(t, options{})
		var all []digest.Digest
		for i := range 2 {
			all = append(all, h.sealed(app, "", nil, map[string][]byte{"x": {byte(i)}}))
			if err := h.store.DeletePackage(t.Context(), app, "ann"); err != nil {
				t.Fatal(err)
			}
		}
		for i, d := range all {
			at := time.Now().Add(-time.Hour)
			if i == newer {
				at = at.Add(time.Minute)
			}
			if err := os.Chtimes(filepath.Join(h.disks["a"].Root, d.Key()), at, at); err != nil {
				t.Fatal(err)
			}
		}
		h = openIn(t, h.place.lost(t), options{})
		so := h.mustRebuild()
		p, err := h.store.Package(t.Context(), app)
		if err != nil || p.Manifest != all[newer] || so.Packages != 1 || so.Unmade != 1 || so.UnmadeList[0].Manifest != all[1-newer] {
			t.Errorf("%d: %+v %v, %+v", newer, p, err, so)
		}
		h.audit()
		last := h.position()
		if so := h.mustRebuild(missingToo); so.Packages != 0 || h.position() != last {
			t.Errorf("again: %+v", so)
		}
	}
}

// A manifest that is not so makes no package: anyone may store bytes.
func TestRebuildRefusesWhatIsNotSo(t *testing.T) {
	h := open(t, options{})
	content := random(3, 300)
	h.mustPut(content)
	id := identity(content)
	for name, m := range map[string]manifest.Manifest{
		"blake3":   {Producer: "ci", Name: "b", Version: "1", Class: "standard", Files: []manifest.File{{Path: "x", Size: 300, SHA256: id.SHA256, BLAKE3: of(digest.BLAKE3, nil)}}},
		"size":     {Producer: "ci", Name: "s", Version: "1", Class: "standard", Files: []manifest.File{{Path: "x", Size: 299, SHA256: id.SHA256, BLAKE3: id.BLAKE3}}},
		"a name":   {Producer: "c/i", Name: "n", Version: "1", Class: "standard"},
		"a colon":  {Producer: "ci", Name: "n", Version: "sha256:1", Class: "standard"},
		"no class": {Producer: "ci", Name: "n", Version: "1"},
	} {
		text, err := manifest.Encode(m)
		if err != nil {
			t.Logf("%s: %v", name, err)
			continue
		}
		h.mustPut(text)
	}
	h = openIn(t, h.place.lost(t), options{})
	so := h.mustRebuild()
	page, _, err := h.store.ListPackages(t.Context(), cas.PackageFilter{}, cas.PackageKey{}, 10)
	if so.Unmade < 2 || so.Packages != 0 || err != nil || len(page) != 0 {
		t.Errorf("%+v: %v %v", so, page, err)
	}
	h.audit()
}

// After a backup was restored, what came after it is there again, and what the
// registry knows stays as it is.
func TestRebuildAddsWhatIsMissing(t *testing.T) { inHouses(t, shapes.Ends(), addsMissing) }

func addsMissing(t *testing.T, at shapes.House) {
	h := open(t, options{at: at, backends: []string{"a", "b"}, rules: toB})
	h.fillStore()
	later := cas.PackageKey{Producer: "ci", Name: "later", Version: "1"}
	h.sealed(cas.PackageKey{Producer: "ci", Name: "held", Version: "1"}, "", nil, map[string][]byte{"x": random(300, 100)})
	if _, err := h.store.PutFile(t.Context(), later, "one", strings.NewReader("one"), inClass("")); err != nil {
		t.Fatal(err)
	}
	backup := h.position()
	h.mustPut(random(301, 5000))
	h.mustPut(random(302, 5000), toRelease)
	h.mustPut([]byte("open"), toRelease) // known on a, and now on b too
	h.sealed(later, "", nil, map[string][]byte{"two": random(303, 100)})
	config := []byte(`{"later":true}`)
	h.pushOCI(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[]}`, imageType, descriptor("a/config", config)), config)
	want := h.listing()

	h = openIn(t, h.restored(backup), options{at: at, backends: []string{"a", "b"}, rules: toB})
	if _, err := h.rebuild(); !errors.Is(err, cas.ErrRegistryUsed) {
		t.Errorf("without being told: %v", err)
	}
	so := h.mustRebuild(missingToo)
	if so.Packages != 1 || so.Manifests != 1 || so.Unmade+so.Wrong+so.Changing != 0 {
		t.Errorf("%+v", so)
	}
	if diff := cmp.Diff(want, h.listing()); diff != "" {
		t.Error(diff)
	}
	if h.location("b", []byte("open")) != registry.Stored {
		t.Error("the second copy is not recorded")
	}
	h.audit()
}

// What is being removed is not recorded; what was written after it is.
func TestRebuildBesideARemoval(t *testing.T) {
	h := open(t, options{})
	content := random(1, 400)
	h.mustPut(random(2, 300))
	h.orphan(content)
	h.beginRemoval(content)
	so := h.mustRebuild(missingToo)
	if so.Changing != 1 || so.Adopted != 0 {
		t.Errorf("%+v", so)
	}
	h.endRemoval(content)
	h.orphan(content)
	if so := h.mustRebuild(missingToo); so.Changing != 0 || so.Adopted != 1 {
		t.Errorf("written again: %+v", so)
	}
	h.audit()
}

// An object that was read and is removed before it is recorded is not recorded: the
// delete has taken it.
func TestRebuildBesideAWholeRemoval(t *testing.T) {
	p, content := newPlace(t, shapes.House{}), random(1, 400)
	first := openIn(t, p, options{})
	first.mustPut(random(2, 300))
	first.orphan(content)
	counted := &reads{n: map[string]int{}}
	counted.before = func(_ context.Context, total int) {
		if total == 1 {
			first.beginRemoval(content)
		}
	}
	h := openIn(t, p, options{wrap: func(_ string, b backends.Backend) backends.Backend {
		return &opens{b, counted, func() { first.endRemoval(content) }}
	}})
	if so := h.mustRebuild(missingToo); so.Changing != 1 || so.Adopted != 0 {
		t.Errorf("%+v", so)
	}
	if _, err := h.reg.Blob(t.Context(), identity(content).SHA256); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is gone is recorded: %v", err)
	}
	h.audit()
}
