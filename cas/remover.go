package cas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// Objects are removed by one process at a time: the one that has the turn of this
// name, for a batch.
//
//	location_removing → Delete → location_removed
//
// A removal ends when its delete was answered and no other delete of the same key,
// sent by whomever, can land late. Within a turn each object is deleted once, so a
// removal that was begun in the turn ends with its answer. One that was found was left
// by a turn before: where a delete of that turn was not answered, or where the turn broke
// off, it ends when the backend has been quiet for RemovalWait. Until when it is not
// quiet is kept with the turn.
const turnRemovals = "removals"

// removalsAtOnce bounds the deletes under way on one backend.
const removalsAtOnce = 8

// enoughFailures is how many deletes fail on a backend before the rest of a run
// leaves it alone.
const enoughFailures = 3

// remover removes objects while it has the turn.
type remover struct {
	*Store
	turn   *Turn
	quiet  map[string]time.Time // by backend, until when a delete of a turn before may land
	report *CollectReport
	away   map[string]bool // backends that are left alone in this run
	mu     sync.Mutex      // guards what is above
}

// asRemover waits for the turn to remove and does something with it.
func (s *Store) asRemover(ctx context.Context, report *CollectReport, away map[string]bool, do func(context.Context, *remover) error) error {
	return s.WaitTurn(ctx, turnRemovals, nil, func(ctx context.Context, t *Turn) error {
		r := &remover{Store: s, turn: t, quiet: map[string]time.Time{}, report: report, away: away}
		if state := t.State(); state != nil {
			if err := json.Unmarshal(state, &r.quiet); err != nil {
				return fmt.Errorf("the state of %s is none: %w", turnRemovals, err)
			}
		}
		maps.DeleteFunc(r.quiet, func(_ string, until time.Time) bool { return !until.After(s.now()) })
		if t.Broke() {
			for _, b := range s.list {
				r.unanswered(b.ID)
			}
		}
		err := do(ctx, r)
		state, failed := json.Marshal(r.quiet)
		t.keep(state) // written when the turn ends; where that fails it broke off
		return errors.Join(err, failed)
	})
}

// unanswered notes that a delete may land on a backend until RemovalWait has passed.
func (r *remover) unanswered(backendID string) {
	r.quiet[backendID] = r.now().Add(r.collection.RemovalWait).UTC()
}

// isQuiet reports whether no delete of a turn before can land on a backend.
func (r *remover) isQuiet(backendID string) bool { return !r.quiet[backendID].After(r.now()) }

// begin begins removals, and returns those that the registry has let begin.
func (r *remover) begin(ctx context.Context, list []registry.LocationRemoving) (begun []registry.Removal, err error) {
	groups := make([][]registry.Event, len(list))
	for i, d := range list {
		groups[i] = []registry.Event{event(actorGateway, d)}
	}
	fit, err := r.appendEach(ctx, groups)
	for i, d := range list {
		if fit[i] {
			begun = append(begun, registry.Removal{Blob: d.Blob, BackendID: d.BackendID, Cause: d.Cause})
		}
	}
	return begun, registryError("begin removals", err)
}

// delete deletes objects and returns the removals whose delete was answered. The
// others stay under way, for a later run.
func (r *remover) delete(ctx context.Context, list []registry.Removal) (gone []registry.Removal, err error) {
	by := map[string]chan registry.Removal{}
	var all sync.WaitGroup
	for _, one := range list {
		queue := by[one.BackendID]
		if queue == nil {
			queue = make(chan registry.Removal, len(list))
			by[one.BackendID] = queue
		}
		queue <- one
	}
	for _, queue := range by {
		close(queue)
		for range min(removalsAtOnce, len(queue)) {
			all.Go(func() {
				for one := range queue {
					if r.deleteOne(ctx, one) {
						r.mu.Lock()
						gone = append(gone, one)
						r.mu.Unlock()
					}
				}
			})
		}
	}
	all.Wait()
	r.report.Waiting += int64(len(list) - len(gone))
	r.report.Removed += int64(len(gone))
	return gone, errors.Join(ctx.Err(), r.turn.Check())
}

// deleteOne deletes an object and reports whether that was answered. Where it was
// not, it may still land.
func (r *remover) deleteOne(ctx context.Context, one registry.Removal) bool {
	if r.leftAlone(one.BackendID) || ctx.Err() != nil || r.turn.Check() != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, r.collection.RemovalWait/5)
	defer cancel()
	err := r.backend(one.BackendID).Delete(ctx, one.Blob.Key())
	if err == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unanswered(one.BackendID)
	r.counts.failed.Add(1)
	r.report.failed(one.BackendID)
	if r.report.Failed[one.BackendID] >= enoughFailures {
		r.away[one.BackendID] = true
	}
	r.log.WarnContext(ctx, "an object could not be removed; a later run tries again",
		"blob", one.Blob.String(), "backend_id", one.BackendID, "error", err)
	return false
}

// leftAlone reports whether a backend is not to be asked in this run.
func (r *remover) leftAlone(backendID string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away[backendID] || r.backend(backendID) == nil
}

// end records that removals have ended, and then what else is given. It returns which of
// the latter fit.
func (r *remover) end(ctx context.Context, gone []registry.Removal, then []registry.Data) (fit []bool, err error) {
	if err := r.turn.Check(); err != nil {
		return nil, err
	}
	groups := make([][]registry.Event, 0, len(gone)+len(then))
	for _, one := range gone {
		groups = append(groups, []registry.Event{event(actorGateway, registry.LocationRemoved{Blob: one.Blob, BackendID: one.BackendID})})
	}
	for _, d := range then {
		groups = append(groups, []registry.Event{event(actorGateway, d)})
	}
	fit, err = r.appendEach(ctx, groups)
	for i, one := range gone {
		if fit[i] && one.Cause == registry.Orphan {
			r.report.Orphans++
			r.counts.orphans.Add(1)
		}
	}
	return fit[len(gone):], registryError("end removals", err)
}

// finish goes on with the removals that turns before have left on a backend.
func (r *remover) finish(ctx context.Context, backendID string) error {
	for after := (digest.Digest{}); ; {
		list, err := r.reg.Removals(ctx, backendID, after, r.collection.Batch)
		if err != nil || len(list) == 0 {
			return registryError("list removals from "+backendID, err)
		}
		after = list[len(list)-1].Blob
		if r.leftAlone(backendID) || !r.isQuiet(backendID) {
			r.report.Waiting += int64(len(list))
			continue
		}
		gone, err := r.delete(ctx, list)
		if err != nil {
			return err
		}
		if _, err := r.end(ctx, gone, nil); err != nil {
			return err
		}
	}
}
