package cas

import (
	"context"
	"slices"

	"artifactstore/registry"
)

// wanted is where a blob is to be, over all that keeps it.
type wanted struct {
	routed   []string // by any route: where a plan moves it
	promised []string // of these, by routes with copies: the background sees to it
	partial  bool     // it has more keepers than were looked at
}

// keepersLooked bounds how many keepers of a blob are looked at. One that has more
// is given the copies of all routes: rather a copy too many than one too few.
const keepersLooked = 1000

// wanted returns where a blob is to be; nowhere where nothing keeps it.
func (s *Store) wanted(ctx context.Context, b registry.Blob) (w wanted, err error) {
	if b.References > 0 {
		list, err := s.reg.References(ctx, b.SHA256, keepersLooked)
		if err != nil {
			return w, registryError("look up references of "+b.SHA256.String(), err)
		}
		for _, r := range list {
			w.add(s.policy.Desired(r.RetentionClass, r.Producer))
		}
		w.partial = len(list) == keepersLooked
	}
	if now := s.now(); b.LeasedUntil.After(now) {
		list, err := s.reg.LeasesOf(ctx, b.SHA256, keepersLooked)
		if err != nil {
			return w, registryError("look up leases of "+b.SHA256.String(), err)
		}
		for _, l := range list {
			if l.Until.After(now) {
				w.add(s.policy.Desired(l.RetentionClass, l.Producer))
			}
		}
		w.partial = w.partial || len(list) == keepersLooked
	}
	if w.partial {
		for _, desired := range s.policy.promising() {
			w.add(desired)
		}
	}
	return w, nil
}

func (w *wanted) add(desired []string) {
	w.routed = union(w.routed, desired)
	if len(desired) > 1 {
		w.promised = union(w.promised, desired)
	}
}

func union(ids, more []string) []string {
	for _, id := range more {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// missing returns on which of the desired backends a blob is not stored; none where
// there is nothing that it could be copied from.
func missing(b registry.Blob, desired []string) (ids []string) {
	if readable(b) == "" {
		return nil
	}
	for _, id := range desired {
		if stateOn(b, id) != registry.Stored {
			ids = append(ids, id)
		}
	}
	return ids
}

// leaving returns the backends of a blob's locations that no keeper wants it on; none
// where nothing keeps it, and none that it may be wanted on by a keeper that was not
// looked at.
func (s *Store) leaving(b registry.Blob, w wanted) (ids []string) {
	if len(w.routed) == 0 || readable(b) == "" {
		return nil
	}
	for _, l := range b.Locations {
		if slices.Contains(w.routed, l.BackendID) || s.backend(l.BackendID) == nil || w.partial && s.policy.names(l.BackendID) {
			continue
		}
		ids = append(ids, l.BackendID)
	}
	return ids
}
