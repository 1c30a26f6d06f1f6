package registry

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"artifactstore/cas/digest"
)

// holdKey is a package under a hold that was put on a root.
type holdKey struct {
	held, root PackageKey
	name       string
}

func (m *Model) packageHeld(at time.Time, actor string, d PackageHeld) error {
	if _, held := m.holds[holdKey{d.Package, d.Package, d.Hold}]; held {
		return conflict(d, "it is under the hold %s", d.Hold)
	}
	for _, k := range append([]PackageKey{d.Package}, d.Covers...) {
		if _, exists := m.packages[k]; !exists {
			return conflict(d, "no package %s", k)
		}
		m.holds[holdKey{k, d.Package, d.Hold}] = Hold{Name: d.Hold, Root: d.Package, By: actor, At: at}
	}
	return nil
}

func (m *Model) packageReleased(d PackageReleased) error {
	if _, held := m.holds[holdKey{d.Package, d.Package, d.Hold}]; !held {
		return conflict(d, "it is not under the hold %s", d.Hold)
	}
	maps.DeleteFunc(m.holds, func(k holdKey, _ Hold) bool { return k.root == d.Package && k.name == d.Hold })
	return nil
}

func (m *Model) packageExpired(at time.Time, d PackageExpired) error {
	p, exists := m.packages[d.Package]
	if !exists || p.Revision != d.Revision {
		return conflict(d, "no such package at revision %d", d.Revision)
	}
	if why := m.mustStay(p); why != "" {
		return conflict(d, "%s", why)
	}
	m.remove(at, p)
	return nil
}

// mustStay says why a package cannot expire, "" where it can.
func (m *Model) mustStay(p pack) string {
	if holds := m.Holds(p.PackageKey); len(holds) > 0 {
		return "it is under the hold " + holds[0].Name
	}
	if p.Format != FormatOCI {
		return ""
	}
	for _, outer := range m.manifests(p.Name) {
		if outer.PackageKey != p.PackageKey && slices.Contains(slices.Collect(maps.Values(outer.files)), p.Manifest) {
			return fmt.Sprintf("%s names it", outer.PackageKey)
		}
	}
	return ""
}

// Holds answers as [Retention] does.
func (m *Model) Holds(k PackageKey) []Hold {
	var holds []Hold
	for key, h := range m.holds {
		if key.held == k {
			holds = append(holds, h)
		}
	}
	slices.SortFunc(holds, func(a, b Hold) int { return cmp.Or(a.Root.Compare(b.Root), cmp.Compare(a.Name, b.Name)) })
	return holds
}

// Expirable answers as [Retention] does.
func (m *Model) Expirable(class string, before time.Time, limit int) []Package {
	var all []Package
	for _, p := range m.packages {
		if p.RetentionClass == class && p.ChangedAt.Before(before) && m.mustStay(p) == "" {
			all = append(all, p.Package)
		}
	}
	slices.SortFunc(all, func(a, b Package) int {
		return cmp.Or(a.ChangedAt.Compare(b.ChangedAt), a.Compare(b.PackageKey))
	})
	return all[:min(limit, len(all))]
}

// ListPackages answers as [Retention] does, all at once.
func (m *Model) ListPackages(f PackageFilter, after PackageKey) []Package {
	var all []Package
	for _, p := range m.packages {
		if p.Compare(after) > 0 && f.Matches(p.Package) {
			all = append(all, p.Package)
		}
	}
	slices.SortFunc(all, func(a, b Package) int { return a.Compare(b.PackageKey) })
	return all
}

// References answers as [Retention] does, all at once.
func (m *Model) References(blob digest.Digest) []Reference {
	var all []Reference
	for k, p := range m.packages {
		var holds []string
		for _, h := range m.Holds(k) {
			holds = append(holds, h.Name)
		}
		slices.Sort(holds)
		holds = slices.Compact(holds)
		if p.Manifest == blob {
			all = append(all, Reference{Package: p.Package, Holds: holds})
		}
		for path, b := range p.files {
			if b == blob {
				all = append(all, Reference{Package: p.Package, Path: path, Holds: holds})
			}
		}
	}
	slices.SortFunc(all, func(a, b Reference) int {
		return cmp.Or(a.PackageKey.Compare(b.PackageKey), cmp.Compare(a.Path, b.Path))
	})
	return all
}
