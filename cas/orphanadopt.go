package cas

import (
	"context"
	"errors"
	"fmt"

	"artifactstore/backends"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// adopt removes what was found.
func (w *orphanWalk) adopt(ctx context.Context) error {
	if len(w.found) == 0 {
		return nil
	}
	found := w.found
	w.found = nil
	if w.turn == nil {
		for _, info := range found {
			w.tell(info)
			w.report.Orphans++
		}
		return nil
	}
	if err := w.plausible(ctx); err != nil {
		return err
	}
	list, sizes := make([]registry.LocationRemoving, len(found)), map[digest.Digest]backends.Info{}
	for i, info := range found {
		d, _ := digest.ParseKey(info.Key)
		list[i] = registry.LocationRemoving{Blob: d, BackendID: w.backendID, Cause: registry.Orphan}
		sizes[d] = info
	}
	return w.asRemover(ctx, &w.report, w.away, func(ctx context.Context, r *remover) error {
		begun, err := r.begin(ctx, list)
		if err != nil {
			return err
		}
		gone, err := r.delete(ctx, begun)
		if err != nil {
			return err
		}
		for _, one := range gone {
			w.tell(sizes[one.Blob])
		}
		_, err = r.end(ctx, gone, nil)
		return err
	})
}

func (w *orphanWalk) tell(info backends.Info) {
	if w.Found != nil {
		d, _ := digest.ParseKey(info.Key)
		w.Found(Candidate{Digest: d, Size: info.Size, Why: Orphaned, Since: info.ModTime, Backends: []string{w.backendID}})
	}
}

// Why orphans are not removed.
var (
	errNoRecord = errors.New("the registry has recorded nothing at all: is it the registry of this backend?")
	errTooMany  = errors.New("more objects without a record than with one: is it the registry of this backend? If so, collect them by hand")
)

// plausible refuses to remove the objects of what may be another store.
func (w *orphanWalk) plausible(ctx context.Context) error {
	if err := w.look(ctx); err != nil {
		return err
	}
	switch {
	case w.position.known.Load() == 0:
		return fmt.Errorf("%d orphans on %s: %w", w.orphans, w.backendID, errNoRecord)
	case !w.Anyway && w.orphans > manyOrphans && w.orphans > w.recorded:
		return fmt.Errorf("%d orphans on %s, %d objects recorded: %w", w.orphans, w.backendID, w.recorded, errTooMany)
	}
	return nil
}
