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

// place is a blob on a backend, known there or not.
type place struct {
	blob      digest.Digest
	backendID string
}

func (m *Model) locationVerified(at time.Time, d LocationVerified) error {
	if err := m.written(d, d.Blob, d.BackendID, d.RecordedAt); err != nil {
		return err
	}
	return m.change(d, d.Blob, d.BackendID, Stored, func(l *Location) { l.VerifiedAt = at })
}

func (m *Model) locationRemoving(at time.Time, d LocationRemoving) error {
	where := place{d.Blob, d.BackendID}
	if _, removing := m.removals[where]; removing {
		return conflict(d, "its removal is under way")
	}
	r := m.rows[d.Blob]
	i := slices.IndexFunc(r.blob.Locations, on(d.BackendID))
	switch {
	case d.Cause == Orphan && i >= 0:
		return conflict(d, "it is a location of the blob")
	case d.Cause != Orphan && i < 0:
		return conflict(d, "no such location")
	case d.Cause == Unneeded && !m.collectable(r, at, d.GraceSeconds):
		return conflict(d, "the blob is not collectable")
	case d.Cause == Moved && !slices.ContainsFunc(r.blob.Locations, func(l Location) bool {
		return l.BackendID != d.BackendID && l.State == Stored
	}):
		return conflict(d, "no other location is stored")
	}
	if i >= 0 {
		r.blob.Locations = slices.Delete(slices.Clone(r.blob.Locations), i, i+1)
		m.rows[d.Blob] = r
	}
	m.removals[where] = Removal{Blob: d.Blob, BackendID: d.BackendID, Cause: d.Cause, Since: at}
	return nil
}

func (m *Model) locationRemoved(d LocationRemoved) error {
	where := place{d.Blob, d.BackendID}
	if _, removing := m.removals[where]; !removing {
		return conflict(d, "no removal is under way")
	}
	delete(m.removals, where)
	m.taken[where] = m.position
	return nil
}

// notTaken refuses bytes that a removal may have taken.
func (m *Model) notTaken(d Data, where place, seen uint64) error {
	if _, removing := m.removals[where]; removing {
		return conflict(d, "a removal is under way")
	}
	if ended := m.taken[where]; seen != 0 && ended > seen {
		return conflict(d, "a removal ended at %d, after %d", ended, seen)
	}
	return nil
}

func (m *Model) blobCollected(at time.Time, d BlobCollected) error {
	r, exists := m.rows[d.Blob]
	switch {
	case !exists:
		return conflict(d, "no such blob")
	case len(r.blob.Locations) > 0:
		return conflict(d, "it has a location on %s", r.blob.Locations[0].BackendID)
	case slices.ContainsFunc(slices.Collect(maps.Keys(m.removals)), func(p place) bool { return p.blob == d.Blob }):
		return conflict(d, "a removal is under way")
	case !m.collectable(r, at, d.GraceSeconds):
		return conflict(d, "the blob is not collectable")
	}
	delete(m.rows, d.Blob)
	maps.DeleteFunc(m.primary, func(_, p digest.Digest) bool { return p == d.Blob })
	return nil
}

// collectable is the predicate of [Retention]; a grace that has passed since the
// ends of all leases says that none is left.
func (m *Model) collectable(r row, t time.Time, graceSeconds int64) bool {
	grace := time.Duration(graceSeconds) * time.Second
	return m.references()[r.blob.SHA256] == 0 && !r.idle().Add(grace).After(t)
}

// idle is since when nothing but a reference keeps a blob, or until when a lease does.
func (r row) idle() time.Time {
	since := r.blob.StoredAt
	if r.dropped.After(since) {
		since = r.dropped
	}
	for _, l := range r.leases {
		if l.Until.After(since) {
			since = l.Until
		}
	}
	return since
}

// drop notes of the blobs that a package named before an event which of them have no
// reference left.
func (m *Model) drop(at time.Time, before pack) {
	references := m.references()
	for _, blob := range append(slices.Collect(maps.Values(before.files)), before.Manifest) {
		if r, exists := m.rows[blob]; exists && references[blob] == 0 {
			r.dropped = at
			m.rows[blob] = r
		}
	}
}

// Collectable answers as [Retention] does, all at once.
func (m *Model) Collectable(t time.Time, grace time.Duration, after digest.Digest) []Idle {
	var all []Idle
	for _, b := range m.Blobs(after) {
		if r := m.rows[b.SHA256]; b.References == 0 && !r.idle().Add(grace).After(t) {
			all = append(all, Idle{b, r.idle()})
		}
	}
	return all
}

// Removal answers as [Retention] does.
func (m *Model) Removal(blob digest.Digest, backendID string) (Removal, error) {
	r, removing := m.removals[place{blob, backendID}]
	if !removing {
		return Removal{}, fmt.Errorf("removal of %s from %s: %w", blob, backendID, fs.ErrNotExist)
	}
	return r, nil
}

// Removals answers as [Retention] does.
func (m *Model) Removals(backendID string, after digest.Digest, limit int) []Removal {
	var all []Removal
	for _, r := range m.removals {
		if r.BackendID == backendID && (after.IsZero() || byHex(r.Blob, after) > 0) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Removal) int { return byHex(a.Blob, b.Blob) })
	return all[:min(limit, len(all))]
}

// RemovalsOf answers as [Retention] does.
func (m *Model) RemovalsOf(blob digest.Digest) []Removal {
	var all []Removal
	for _, r := range m.removals {
		if r.Blob == blob {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b Removal) int { return cmp.Compare(a.BackendID, b.BackendID) })
	return all
}

// IdleSince answers as [Retention] does.
func (m *Model) IdleSince(blob digest.Digest) (time.Time, error) {
	r, exists := m.rows[blob]
	if !exists {
		return time.Time{}, fmt.Errorf("idle time of %s: %w", blob, fs.ErrNotExist)
	}
	return r.idle(), nil
}

// LeasesOf answers as [Retention] does.
func (m *Model) LeasesOf(blob digest.Digest, limit int) []Lease {
	leases := slices.Collect(maps.Values(m.rows[blob].leases))
	slices.SortFunc(leases, func(a, b Lease) int {
		return cmp.Or(b.Until.Compare(a.Until), cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Actor, b.Actor))
	})
	return leases[:min(limit, len(leases))]
}
