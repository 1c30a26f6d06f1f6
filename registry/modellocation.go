package registry

import (
	"slices"
	"time"

	"artifactstore/cas/digest"
)

func (m *Model) locationRecorded(at time.Time, d LocationRecorded) error {
	r, ok := m.rows[d.Blob]
	if !ok {
		return conflict(d, "no such blob")
	}
	if slices.ContainsFunc(r.blob.Locations, on(d.BackendID)) {
		return conflict(d, "the location exists")
	}
	if err := m.notTaken(d, place{d.Blob, d.BackendID}, d.Seen); err != nil {
		return err
	}
	r.blob.Locations = append(slices.Clone(r.blob.Locations),
		Location{BackendID: d.BackendID, State: Stored, RecordedAt: at})
	m.rows[d.Blob] = r
	return nil
}

func (m *Model) locationFailed(d LocationFailed) error {
	if !d.RecordedAt.IsZero() {
		if err := m.written(d, d.Blob, d.BackendID, d.RecordedAt); err != nil {
			return err
		}
	}
	return m.change(d, d.Blob, d.BackendID, Stored, func(l *Location) {
		l.State, l.Reason = Failed, d.Reason
	})
}

// written refuses what speaks of another write of a location than its last.
func (m *Model) written(d Data, blob digest.Digest, backendID string, at time.Time) error {
	locations := m.rows[blob].blob.Locations
	i := slices.IndexFunc(locations, on(backendID))
	if i >= 0 && !locations[i].RecordedAt.Equal(at) {
		return conflict(d, "the bytes were written at %s, not at %s", locations[i].RecordedAt, at)
	}
	return nil
}

func (m *Model) locationRepaired(at time.Time, d LocationRepaired) error {
	if err := m.notTaken(d, place{d.Blob, d.BackendID}, d.Seen); err != nil {
		return err
	}
	return m.change(d, d.Blob, d.BackendID, Failed, func(l *Location) {
		*l = Location{BackendID: l.BackendID, State: Stored, RecordedAt: at}
	})
}

// change changes a location that must be in a state.
func (m *Model) change(d Data, blob digest.Digest, backendID string, from State, to func(*Location)) error {
	r, ok := m.rows[blob]
	if !ok {
		return conflict(d, "no such blob")
	}
	i := slices.IndexFunc(r.blob.Locations, on(backendID))
	if i < 0 || r.blob.Locations[i].State != from {
		return conflict(d, "no %s location on %s", from, backendID)
	}
	r.blob.Locations = slices.Clone(r.blob.Locations)
	to(&r.blob.Locations[i])
	m.rows[blob] = r
	return nil
}

func on(backendID string) func(Location) bool {
	return func(l Location) bool { return l.BackendID == backendID }
}
