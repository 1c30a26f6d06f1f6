package cas

import (
	"context"
	"fmt"
	"time"

	"artifactstore/backends"
	"artifactstore/cas/digest"
)

// An orphan is an object under a blob's key that no location records: what a crash
// between commit and event leaves, or a delete that came to nothing. It leaves by the
// same door as everything else: a removal is begun, which the registry refuses
// where the location is known by then, and ended when the object is gone.
//
// The backend's list and the registry's are both in the order of digests: they are
// walked side by side, each read a part at a time.
const turnOrphans = "orphans/" // and the id of the backend

const (
	orphanStep  = 1024 // keys between two rests
	orphanSave  = 16   // such steps between two saves of how far the walk is
	mostStrange = 10   // keys that are reported
	// manyOrphans are suspicious where the registry knows fewer objects than these: it may be
	// the registry of another store.
	manyOrphans = 100
)

// OrphanOptions say how orphans are removed.
type OrphanOptions struct {
	CollectOptions
	// Anyway removes them also where they are more than what is recorded.
	Anyway bool
}

// Orphans removes from a backend the objects that nothing has recorded and that are
// older than the orphan age. It waits for its turn. Keys that are none of a blob are
// reported and left alone.
func (s *Store) Orphans(ctx context.Context, backendID string, o OrphanOptions) (report CollectReport, err error) {
	if s.backend(backendID) == nil {
		return report, fmt.Errorf("backend %q is not configured", backendID)
	}
	if o.DryRun {
		return s.orphans(ctx, nil, backendID, o)
	}
	err = s.WaitTurn(ctx, turnOrphans+backendID, o.Waiting, func(ctx context.Context, t *Turn) error {
		report, err = s.orphans(ctx, t, backendID, o)
		return err
	})
	return report, err
}

// orphanWalk is a walk over the objects of a backend.
type orphanWalk struct {
	*Store
	OrphanOptions
	turn      *Turn // nil: nothing is changed
	backendID string
	before    time.Time // older ones go
	away      map[string]bool

	after    string // the last key that is done with
	known    *knownOn
	found    []backends.Info
	recorded int64 // objects that are, or are young
	orphans  int64
	report   CollectReport
}

func (s *Store) orphans(ctx context.Context, t *Turn, backendID string, o OrphanOptions) (CollectReport, error) {
	w := &orphanWalk{
		Store: s, OrphanOptions: o, turn: t, backendID: backendID, before: s.now().Add(-s.collection.OrphanAge), away: map[string]bool{},
	}
	if t != nil {
		w.after = string(t.State())
	}
	w.known = s.knownOn(ctx, backendID, w.after)
	defer w.known.stop()
	err := w.run(ctx)
	for id := range w.away {
		w.report.Away = append(w.report.Away, id)
	}
	return w.report, err
}

func (w *orphanWalk) run(ctx context.Context) error {
	n, began := 0, time.Now()
	for info, err := range w.backend(w.backendID).List(ctx, "", w.after) {
		if err != nil {
			return backendError("list objects", w.backendID, err)
		}
		if err := w.object(ctx, info); err != nil {
			return err
		}
		if n++; n%orphanStep != 0 {
			continue
		}
		if err := w.step(ctx, info.Key, n%(orphanStep*orphanSave) == 0); err != nil {
			return err
		}
		if err := w.sleep(ctx, min(time.Since(began), time.Second)); err != nil {
			return err
		}
		began = time.Now()
	}
	return w.step(ctx, "", true)
}

// object looks at one object of the list.
func (w *orphanWalk) object(ctx context.Context, info backends.Info) error {
	d, err := digest.ParseKey(info.Key)
	if err != nil || d.Algorithm() != digest.SHA256 {
		if len(w.report.Strange) < mostStrange {
			w.report.Strange = append(w.report.Strange, info.Key)
		}
		return nil
	}
	if !info.ModTime.Before(w.before) {
		w.recorded++ // or will be
		return nil
	}
	known, err := w.known.has(d)
	if err != nil {
		return err
	}
	if known {
		w.recorded++
		return nil
	}
	w.orphans++
	w.found = append(w.found, info)
	if len(w.found) == w.collection.Batch {
		return w.step(ctx, info.Key, true)
	}
	return nil
}

// step is done with all keys to the last one, "" for the end of the list.
func (w *orphanWalk) step(ctx context.Context, last string, save bool) error {
	if err := w.adopt(ctx); err != nil || w.turn == nil {
		return err
	}
	if err := w.turn.Check(); err != nil {
		return err
	}
	if w.Progress != nil {
		d, _ := digest.ParseKey(last)
		w.Progress(share(d), w.report)
	}
	if !save {
		return nil
	}
	return w.turn.SetState(ctx, []byte(last))
}
