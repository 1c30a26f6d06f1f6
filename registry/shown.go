package registry

import (
	"slices"
	"time"

	"artifactstore/cas/digest"
)

// Shown is a page of what shows a blob.
type Shown struct {
	// Resources are what one must be able to read to be shown the blob, each once in
	// a page, in no order: the repository of a manifest that is the blob or names it and
	// of a lease that lasts, and "producer/name" of a package of files.
	Resources []string
	Leased    bool       // the actor has a lease of its own, which lasts
	Next      ShownAfter // where to go on; the zero one says that nothing is left
}

// ShownAfter is where a walk through what shows a blob has come to in each of the
// places that say so. The zero one begins.
type ShownAfter struct {
	Leases    string // a repository
	Manifests string // a package's name, with its position
	Manifest  int64
	Files     string // a repository
	Packages  int64  // a position
}

// Shown answers as [Retention] does, with all in one page.
func (m *Model) Shown(d digest.Digest, actor string, now time.Time) Shown {
	var s Shown
	blob, known := m.primary[d]
	if !known {
		return s
	}
	for h, l := range m.rows[blob].leases {
		switch {
		case !l.Until.After(now):
		case h.repository != "":
			s.Resources = append(s.Resources, h.repository)
		case h.actor == actor:
			s.Leased = true
		}
	}
	for _, p := range m.packages {
		uses := p.Manifest == blob
		for _, file := range p.files {
			uses = uses || file == blob
		}
		if uses {
			s.Resources = append(s.Resources, p.Resource())
		}
	}
	slices.Sort(s.Resources)
	s.Resources = slices.Compact(s.Resources)
	return s
}

// Resource is what one must be able to read to be shown what the package needs: its
// repository, or "producer/name" where it is one of files.
func (p Package) Resource() string {
	if p.Format == FormatOCI {
		return p.Name
	}
	return p.Producer + "/" + p.Name
}
