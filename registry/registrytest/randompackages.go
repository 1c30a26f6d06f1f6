package registrytest

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// testRandomPackageHistories is testRandomHistories with packages among the events.
func testRandomPackageHistories(t *testing.T, db *database) {
	testHistories(t, db, func(r *run) { newPackageNames(r).extend() })
}

// packageNames are the names that a run uses, few, so that events often meet.
type packageNames struct {
	*run
	repositories []string
}

func newPackageNames(r *run) packageNames {
	return packageNames{r, []string{fmt.Sprintf("run%06d/a", r.number), fmt.Sprintf("run%06d/a-b", r.number)}}
}

// extend adds packages to the run's events and comparisons.
func (p packageNames) extend() {
	storage, compare := p.run.event, p.run.compare
	p.run.event = func(t *rapid.T) registry.Event {
		if rapid.IntRange(0, 2).Draw(t, "kind") == 0 {
			return storage(t)
		}
		return registry.Event{Actor: "ann", Data: p.event(t)}
	}
	p.run.compare = func(reg registry.Registry) {
		compare(reg)
		p.compare(reg)
	}
}

func (p packageNames) producer() string { return fmt.Sprintf("run%06d", p.number) }

// classes returns the run's own retention classes.
func (p packageNames) classes() []string { return []string{p.producer(), p.producer() + "-release"} }

// files returns the keys of the run's packages of files.
func (p packageNames) files() []registry.PackageKey {
	return []registry.PackageKey{{Producer: p.producer(), Name: "a", Version: "1"}, {Producer: p.producer(), Name: "a", Version: "2"}}
}

// manifests returns the keys of the manifests that there can be.
func (p packageNames) manifests() []registry.PackageKey {
	var keys []registry.PackageKey
	for _, name := range p.repositories {
		for n := range runBlobs {
			keys = append(keys, manifestKey(name, p.first+n))
		}
	}
	return keys
}

func (p packageNames) keys() []registry.PackageKey { return append(p.files(), p.manifests()...) }

var (
	paths  = rapid.SampledFrom([]string{"a", "a/b", "B"})
	tags   = rapid.SampledFrom([]string{"latest", "V1"})
	types  = rapid.SampledFrom([]string{"", "a/sig", "a/sbom"})
	labels = rapid.SampledFrom([]map[string]string{nil, nil, {"os": "linux"}, {"os": "mac", "n": ""}, {"n": ""}})
)

func (p packageNames) event(t *rapid.T) registry.Data {
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) registry.Data { return p.manifest(t) }),
		rapid.Custom(func(t *rapid.T) registry.Data {
			d := tagged(rapid.SampledFrom(p.repositories).Draw(t, "repository"), tags.Draw(t, "tag"), p.blob(t))
			d.New = rapid.Bool().Draw(t, "new")
			return d
		}),
		rapid.Custom(func(t *rapid.T) registry.Data { return p.filled(t) }),
		rapid.Custom(func(t *rapid.T) registry.Data {
			return registry.PackageFileAdded{Package: p.one(t, p.files()), Path: paths.Draw(t, "path"), Blob: blob(p.blob(t)), New: rapid.Bool().Draw(t, "new")}
		}),
		rapid.Custom(func(t *rapid.T) registry.Data {
			return registry.PackageFileRemoved{Package: p.one(t, p.files()), Path: paths.Draw(t, "path")}
		}),
		rapid.Custom(func(t *rapid.T) registry.Data { return p.sealed(t) }),
		rapid.Custom(func(t *rapid.T) registry.Data {
			return registry.PackageRenewed{
				Package: p.one(t, p.keys()), RetentionClass: rapid.SampledFrom(p.classes()).Draw(t, "class"),
				Was: rapid.SampledFrom(append(p.classes(), "")).Draw(t, "was"),
			}
		}),
		rapid.Custom(func(t *rapid.T) registry.Data { return deleted(p.one(t, p.keys())) }),
		rapid.Custom(func(t *rapid.T) registry.Data {
			return untagged(rapid.SampledFrom(p.repositories).Draw(t, "repository"), tags.Draw(t, "tag"))
		}),
		rapid.Custom(func(t *rapid.T) registry.Data {
			return of(rapid.SampledFrom(p.repositories).Draw(t, "repository"), leased(p.blob(t), day(rapid.IntRange(1, 5).Draw(t, "until"))))
		}),
	).Draw(t, "data")
}

func (p packageNames) blob(t *rapid.T) int {
	return p.first + rapid.IntRange(0, runBlobs-1).Draw(t, "blob")
}

// one draws a key, more often of a package that is there.
func (p packageNames) one(t *rapid.T, keys []registry.PackageKey) registry.PackageKey {
	there := slices.DeleteFunc(slices.Clone(keys), func(k registry.PackageKey) bool {
		_, err := p.model.Package(k)
		return err != nil
	})
	if len(there) > 0 && rapid.SampledFrom([]bool{true, true, false}).Draw(t, "of one that is there") {
		keys = there
	}
	return rapid.SampledFrom(keys).Draw(t, "package")
}

func (p packageNames) manifest(t *rapid.T) registry.PackageCreated {
	others := rapid.SliceOfNDistinct(rapid.IntRange(p.first, p.first+runBlobs-1), 0, 2, rapid.ID).Draw(t, "names")
	d := manifest(rapid.SampledFrom(p.repositories).Draw(t, "repository"), p.blob(t), others...)
	d.RetentionClass, d.Labels = rapid.SampledFrom(p.classes()).Draw(t, "class"), labels.Draw(t, "labels")
	return saying(d, func(o *registry.OCI) {
		o.ArtifactType = types.Draw(t, "type")
		if rapid.Bool().Draw(t, "has a subject") {
			o.Subject = rapid.SampledFrom(p.spellings(p.blob(t))).Draw(t, "subject")
		}
	})
}

// spellings are the digests of a blob as texts.
func (p packageNames) spellings(n int) []string {
	d := withSHA512(stored(n))
	return []string{d.SHA256.String(), d.BLAKE3.String(), d.SHA512.String()}
}

func (p packageNames) filled(t *rapid.T) registry.PackageCreated {
	d := registry.PackageCreated{Package: rapid.SampledFrom(p.files()).Draw(t, "package"), Format: registry.FormatFiles}
	d.RetentionClass, d.Labels = rapid.SampledFrom(p.classes()).Draw(t, "class"), labels.Draw(t, "labels")
	some := rapid.SliceOfNDistinct(paths, 0, 2, rapid.ID).Draw(t, "paths")
	slices.Sort(some)
	for _, path := range some {
		d.Files = append(d.Files, file(path, p.blob(t)))
	}
	return d
}

func (p packageNames) sealed(t *rapid.T) registry.PackageSealed {
	k := p.one(t, p.files())
	was, _ := p.model.Package(k)
	revision := was.Revision + int64(rapid.SampledFrom([]int{0, 0, 0, -1, 1}).Draw(t, "off by"))
	return registry.PackageSealed{Package: k, Manifest: blob(p.blob(t)), Revision: max(1, revision)}
}

// compare checks what a registry says of the run's packages.
func (p packageNames) compare(reg registry.Registry) {
	c := comparison{p.T, p.ctx, reg, &p.model}
	for _, k := range p.keys() {
		c.pack(k)
	}
	now := day(rapid.IntRange(1, 5).Draw(p.T, "now"))
	for _, name := range p.repositories {
		c.repository(name, now)
		for n := range runBlobs {
			d := withSHA512(stored(p.first + n))
			c.usedIn(name, d.SHA256)
			c.blobIn(name, rapid.SampledFrom([]digest.Digest{d.SHA256, d.BLAKE3, d.SHA512}).Draw(p.T, "digest"), now)
		}
		c.referrers(name, p.spellings(p.blob(p.T)), types.Draw(p.T, "type"))
	}
	p.catalog(reg)
}

// catalog compares the run's part of the catalog.
func (p packageNames) catalog(reg registry.Registry) {
	var got []string
	for name, err := range reg.Repositories(p.ctx, p.producer()) {
		if err != nil {
			p.Fatalf("Repositories: %v", err)
		}
		if !slices.Contains(p.repositories, name) {
			break
		}
		got = append(got, name)
	}
	diff(p, "Repositories", got, p.model.Repositories(""))
}
