package registry

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"artifactstore/cas/digest"
)

// pack is a package with its files. A pack in a model is never changed in
// place: a clone of the model shares it.
type pack struct {
	Package
	files map[string]digest.Digest // by path
}

// uses reports whether a package has a blob as a file or as its manifest.
func (p pack) uses(blob digest.Digest) bool { return p.references(blob) > 0 }

// references returns how often a package names a blob.
func (p pack) references(blob digest.Digest) (n int64) {
	if p.Manifest == blob {
		n++
	}
	for _, b := range p.files {
		if b == blob {
			n++
		}
	}
	return n
}

// in reports whether a package is one of a repository.
func (p pack) in(repository string) bool {
	return p.Format == FormatOCI && p.Name == repository
}

func (m *Model) packageCreated(at time.Time, d PackageCreated) error {
	if _, exists := m.packages[d.Package]; exists {
		return conflict(d, "the package exists")
	}
	p := pack{Package{
		PackageKey: d.Package, Format: d.Format, State: Open, RetentionClass: d.RetentionClass,
		Labels: d.Labels, OCI: d.OCI, CreatedAt: at,
	}, map[string]digest.Digest{}}
	for _, f := range d.Files {
		if !m.stored(f.Blob) {
			return conflict(d, "%s: %s has no stored location", f.Path, f.Blob)
		}
		p.files[f.Path] = f.Blob
	}
	if d.Format == FormatOCI {
		if !m.stored(d.Manifest) {
			return conflict(d, "the manifest %s has no stored location", d.Manifest)
		}
		p.State, p.Manifest = Sealed, d.Manifest
	}
	m.changed(at, p)
	return nil
}

func (m *Model) packageFileAdded(at time.Time, d PackageFileAdded) error {
	p, err := m.open(d, d.Package)
	if err != nil {
		return err
	}
	if !m.stored(d.Blob) {
		return conflict(d, "%s has no stored location", d.Blob)
	}
	if was, exists := p.files[d.Path]; d.New && exists && was != d.Blob {
		return conflict(d, "another file is at %s", d.Path)
	}
	before := p
	p.files = maps.Clone(p.files)
	p.files[d.Path] = d.Blob
	m.changed(at, p)
	m.drop(at, before)
	return nil
}

func (m *Model) packageFileRemoved(at time.Time, d PackageFileRemoved) error {
	p, err := m.open(d, d.Package)
	if err != nil {
		return err
	}
	if _, ok := p.files[d.Path]; !ok {
		return conflict(d, "no file %s", d.Path)
	}
	before := p
	p.files = maps.Clone(p.files)
	delete(p.files, d.Path)
	m.changed(at, p)
	m.drop(at, before)
	return nil
}

func (m *Model) packageSealed(at time.Time, d PackageSealed) error {
	p, err := m.open(d, d.Package)
	if err != nil {
		return err
	}
	if p.Revision != d.Revision {
		return conflict(d, "the package is at revision %d, not at %d", p.Revision, d.Revision)
	}
	if !m.stored(d.Manifest) {
		return conflict(d, "the manifest %s has no stored location", d.Manifest)
	}
	p.State, p.Manifest = Sealed, d.Manifest
	m.changed(at, p)
	return nil
}

func (m *Model) packageRenewed(at time.Time, d PackageRenewed) error {
	p, exists := m.packages[d.Package]
	if !exists {
		return conflict(d, "no such package")
	}
	if d.Was != "" && d.Was != p.RetentionClass {
		return conflict(d, "the package is of class %s, not %s", p.RetentionClass, d.Was)
	}
	p.RetentionClass = d.RetentionClass
	m.changed(at, p)
	return nil
}

func (m *Model) packageDeleted(at time.Time, d PackageDeleted) error {
	p, exists := m.packages[d.Package]
	if !exists {
		return conflict(d, "no such package")
	}
	if holds := m.Holds(d.Package); len(holds) > 0 {
		return conflict(d, "it is under the hold %s", holds[0].Name)
	}
	m.remove(at, p)
	return nil
}

// remove takes a package away, with the tags that name it.
func (m *Model) remove(at time.Time, p pack) {
	delete(m.packages, p.PackageKey)
	m.drop(at, p)
	maps.DeleteFunc(m.tags, func(k tagKey, t Tag) bool {
		return p.in(k.repository) && t.Manifest == p.Manifest
	})
}

// open returns a package that must be there and open.
func (m *Model) open(d Data, k PackageKey) (pack, error) {
	p, exists := m.packages[k]
	if !exists || p.State != Open {
		return pack{}, conflict(d, "no open package")
	}
	return p, nil
}

// changed keeps a package that an event has changed, or made.
func (m *Model) changed(at time.Time, p pack) {
	p.Revision++
	p.ChangedAt = at
	m.packages[p.PackageKey] = p
}

// stored reports whether a blob has a stored location.
func (m *Model) stored(blob digest.Digest) bool {
	return slices.ContainsFunc(m.rows[blob].blob.Locations, func(l Location) bool { return l.State == Stored })
}

// references counts what every blob is named by.
func (m *Model) references() map[digest.Digest]int64 {
	n := map[digest.Digest]int64{}
	for _, p := range m.packages {
		for _, blob := range p.files {
			n[blob]++
		}
		if !p.Manifest.IsZero() {
			n[p.Manifest]++
		}
	}
	return n
}

// Package answers as [Packages] does.
func (m *Model) Package(k PackageKey) (Package, error) {
	p, exists := m.packages[k]
	if !exists {
		return Package{}, fmt.Errorf("package %s: %w", k, fs.ErrNotExist)
	}
	return p.Package, nil
}

// Files answers as [Packages] does.
func (m *Model) Files(k PackageKey, after string) []PackageFile {
	var files []PackageFile
	references := m.references()
	for path, blob := range m.packages[k].files {
		if path > after {
			files = append(files, PackageFile{path, m.rows[blob].answer(references)})
		}
	}
	slices.SortFunc(files, func(a, b PackageFile) int { return cmp.Compare(a.Path, b.Path) })
	return files
}
