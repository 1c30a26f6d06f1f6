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

type tagKey struct{ repository, name string }

func (m *Model) tagSet(at time.Time, d TagSet) error {
	if _, exists := m.packages[manifestKey(d.Repository, d.Manifest)]; !exists {
		return conflict(d, "no manifest %s in the repository", d.Manifest)
	}
	k := tagKey{d.Repository, d.Tag}
	if was, exists := m.tags[k]; d.New && exists && was.Manifest != d.Manifest {
		return conflict(d, "it names %s", was.Manifest)
	}
	m.tags[k] = Tag{Name: d.Tag, Manifest: d.Manifest, Named: d.Named, SetAt: at}
	return nil
}

func (m *Model) tagRemoved(d TagRemoved) error {
	k := tagKey{d.Repository, d.Tag}
	if _, exists := m.tags[k]; !exists {
		return conflict(d, "no such tag")
	}
	delete(m.tags, k)
	return nil
}

// BlobIn answers as [Packages] does.
func (m *Model) BlobIn(repository string, d digest.Digest, now time.Time) (Blob, error) {
	primary := m.primary[d]
	_, notUsed := m.UsedIn(repository, primary)
	lease := m.rows[primary].leases[holder{repository: repository}]
	if notUsed != nil && !lease.Until.After(now) {
		return Blob{}, fmt.Errorf("blob %s in %s: %w", d, repository, fs.ErrNotExist)
	}
	return m.Blob(primary)
}

// UsedIn answers as [Packages] does, with the package whose version sorts first.
func (m *Model) UsedIn(repository string, blob digest.Digest) (PackageKey, error) {
	for _, p := range m.manifests(repository) {
		if p.uses(blob) {
			return p.PackageKey, nil
		}
	}
	return PackageKey{}, fmt.Errorf("packages of %s with %s: %w", repository, blob, fs.ErrNotExist)
}

// manifests returns the packages of a repository by version.
func (m *Model) manifests(repository string) []pack {
	var all []pack
	for _, p := range m.packages {
		if p.in(repository) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b pack) int { return cmp.Compare(a.Version, b.Version) })
	return all
}

// ManifestByTag answers as [Packages] does.
func (m *Model) ManifestByTag(repository, tag string) (Tag, Package, Blob, error) {
	t, exists := m.tags[tagKey{repository, tag}]
	if !exists {
		return Tag{}, Package{}, Blob{}, fmt.Errorf("tag %s:%s: %w", repository, tag, fs.ErrNotExist)
	}
	p, b, err := m.ManifestByDigest(repository, t.Manifest)
	return t, p, b, err
}

// ManifestByDigest answers as [Packages] does.
func (m *Model) ManifestByDigest(repository string, d digest.Digest) (Package, Blob, error) {
	b, err := m.Blob(d)
	if err != nil {
		return Package{}, Blob{}, err
	}
	p, err := m.Package(manifestKey(repository, b.SHA256))
	if err != nil {
		return Package{}, Blob{}, err
	}
	return p, b, nil
}

// Tags answers as [Packages] does.
func (m *Model) Tags(repository, after string) []Tag {
	var tags []Tag
	for k, t := range m.tags {
		if k.repository == repository && t.Name > after {
			tags = append(tags, t)
		}
	}
	slices.SortFunc(tags, func(a, b Tag) int { return cmp.Compare(a.Name, b.Name) })
	return tags
}

// Repositories answers as [Packages] does.
func (m *Model) Repositories(after string) []string {
	names := map[string]bool{}
	for _, p := range m.packages {
		if p.in(p.Name) && p.Name > after {
			names[p.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// HasRepository answers as [Packages] does.
func (m *Model) HasRepository(repository string, now time.Time) bool {
	if len(m.manifests(repository)) > 0 {
		return true
	}
	for _, r := range m.rows {
		if r.leases[holder{repository: repository}].Until.After(now) {
			return true
		}
	}
	return false
}

// Referrers answers as [Packages] does.
func (m *Model) Referrers(repository string, subjects []string, artifactType, after string) []Referrer {
	var all []Referrer
	for _, p := range m.manifests(repository) {
		if p.OCI.Subject == "" || !slices.Contains(subjects, p.OCI.Subject) || p.Version <= after {
			continue
		}
		if artifactType == "" || p.OCI.ArtifactType == artifactType {
			all = append(all, Referrer{p.Package, m.rows[p.Manifest].blob.Size})
		}
	}
	return all
}
