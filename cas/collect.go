package cas

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// Collection runs beside everything else. A run first goes on with removals that were
// left, then walks what is collectable, a batch at a time:
//
//	Collectable → location_removing … → Delete … → location_removed …, blob_collected …
//
// The registry decides at each event; what has been kept meanwhile is passed over.
// Where a run has got to is kept with its turn, so the next goes on there.
const turnCollect = "collect"

// Collect removes what nothing has needed for the grace. It waits for its turn.
// Deletes that fail are reported and left for a later run; a backend that is away does
// not keep the others from being collected. An error says why the run ended early.
func (s *Store) Collect(ctx context.Context, o CollectOptions) (report CollectReport, err error) {
	if o.DryRun {
		return s.wouldCollect(ctx, o)
	}
	err = s.WaitTurn(ctx, turnCollect, o.Waiting, func(ctx context.Context, t *Turn) error {
		report, err = s.collect(ctx, t, o)
		return err
	})
	return report, err
}

// collecting is a run under way.
type collecting struct {
	*Store
	CollectOptions
	turn   *Turn
	report CollectReport
	away   map[string]bool
}

func (s *Store) collect(ctx context.Context, t *Turn, o CollectOptions) (CollectReport, error) {
	c := &collecting{Store: s, CollectOptions: o, turn: t, away: s.lookForAway(ctx)}
	err := c.run(ctx)
	c.report.Away = slices.Sorted(maps.Keys(c.away))
	return c.report, err
}

func (c *collecting) run(ctx context.Context) error {
	err := c.asRemover(ctx, &c.report, c.away, func(ctx context.Context, r *remover) error {
		for _, b := range c.list {
			if err := r.finish(ctx, b.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	after, err := c.begun()
	if err != nil {
		return err
	}
	if err := c.walk(ctx, after, c.page); err != nil {
		return err
	}
	c.turn.keep(nil)
	return nil
}

// begun returns where a run that was not finished had got to.
func (c *collecting) begun() (after digest.Digest, err error) {
	if state := c.turn.State(); len(state) > 0 {
		err = json.Unmarshal(state, &after)
	}
	if err != nil {
		err = fmt.Errorf("the state of %s is none: %w", turnCollect, err)
	}
	return after, err
}

// walk gives what is collectable to a function, page by page. Between two it rests as
// long as the last one took, a second at most: requests have the other half.
func (s *Store) walk(ctx context.Context, after digest.Digest, do func(ctx context.Context, page []registry.Idle, next digest.Digest) error) error {
	for {
		began := time.Now()
		page, next, err := s.reg.Collectable(ctx, s.now(), s.collection.grace(), after, s.collection.Batch)
		if err != nil {
			return registryError("look for what is collectable", err)
		}
		if err := do(ctx, page, next); err != nil {
			return err
		}
		if next.IsZero() {
			return nil
		}
		after = next
		if err := s.sleep(ctx, min(time.Since(began), time.Second)); err != nil {
			return err
		}
	}
}

// page collects a page.
func (c *collecting) page(ctx context.Context, page []registry.Idle, next digest.Digest) error {
	if len(page) > 0 {
		err := c.asRemover(ctx, &c.report, c.away, func(ctx context.Context, r *remover) error { return c.remove(ctx, r, page) })
		if err != nil {
			return err
		}
		if !next.IsZero() {
			state, err := json.Marshal(next)
			if err == nil {
				err = c.turn.SetState(ctx, state)
			}
			if err != nil {
				return err
			}
		}
	}
	if c.Progress != nil {
		c.Progress(share(next), c.report)
	}
	return nil
}

// share is how far a walk is that goes on after a digest: digests are spread evenly.
func share(next digest.Digest) float64 {
	if next.IsZero() {
		return 1
	}
	sum := next.Sum()
	return float64(int(sum[0])<<8|int(sum[1])) / (1 << 16)
}

// remove removes the objects of a page, and collects the blobs that have none left.
func (c *collecting) remove(ctx context.Context, r *remover, page []registry.Idle) error {
	var list []registry.LocationRemoving
	left := map[digest.Digest]int{} // locations of a blob
	for _, b := range page {
		left[b.SHA256] = len(b.Locations)
		for _, l := range b.Locations {
			if !r.leftAlone(l.BackendID) {
				list = append(list, registry.LocationRemoving{
					Blob: b.SHA256, BackendID: l.BackendID, Cause: registry.Unneeded, GraceSeconds: c.collection.graceSeconds(),
				})
			}
		}
	}
	begun, err := r.begin(ctx, list)
	if err != nil {
		return err
	}
	gone, err := r.delete(ctx, begun)
	if err != nil {
		return err
	}
	for _, one := range gone {
		left[one.Blob]--
	}
	return c.end(ctx, r, gone, page, left)
}

func (c *collecting) end(ctx context.Context, r *remover, gone []registry.Removal, page []registry.Idle, left map[digest.Digest]int) error {
	var dead []registry.Idle
	var events []registry.Data
	for _, b := range page {
		if left[b.SHA256] > 0 {
			continue
		}
		if len(b.Locations) == 0 { // a run before may be at it
			removing, err := c.removingAnywhere(ctx, b.SHA256)
			if err != nil {
				return err
			}
			if removing {
				continue
			}
		}
		dead = append(dead, b)
		events = append(events, registry.BlobCollected{
			Blob: b.SHA256, Size: b.Size, LeasedUntil: b.LeasedUntil, IdleSince: b.Since, GraceSeconds: c.collection.graceSeconds(),
		})
	}
	fit, err := r.end(ctx, gone, events)
	for i := range fit {
		if fit[i] {
			c.collected(dead[i])
		}
	}
	return err
}

func (c *collecting) collected(b registry.Idle) {
	c.report.Blobs++
	c.report.Bytes += b.Size
	c.counts.blobs.Add(1)
	c.counts.bytes.Add(b.Size)
	if c.Found != nil {
		c.Found(candidate(b))
	}
}

func candidate(b registry.Idle) Candidate {
	c := Candidate{Digest: b.SHA256, Size: b.Size, Why: Unneeded, Since: b.Since, Backends: []string{}}
	for _, l := range b.Locations {
		c.Backends = append(c.Backends, l.BackendID)
	}
	return c
}

// removingAnywhere reports whether a removal of a blob is under way.
func (s *Store) removingAnywhere(ctx context.Context, blob digest.Digest) (bool, error) {
	for _, b := range s.list {
		if removing, err := s.removing(ctx, blob, b.ID); removing || err != nil {
			return removing, err
		}
	}
	return false, nil
}
