package cas

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
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

// CollectOptions say how a collection is done.
type CollectOptions struct {
	DryRun bool // nothing is changed and no turn taken; Found is told what would go
	// Found, which may be nil, is told of each blob that goes, or would.
	Found func(Candidate)
	// Progress, which may be nil, is told from time to time how far the run is, from 0 to 1.
	Progress func(done float64, so CollectReport)
	// Waiting, which may be nil, is told who is at it, where somebody is.
	Waiting func(*TakenError)
}

// Candidate is a blob that goes.
type Candidate struct {
	Digest   digest.Digest `json:"digest"`
	Size     int64         `json:"size"` // bytes; -1 where it is not known, of an orphan whose removal is under way
	Why      Why           `json:"why"`
	Since    time.Time     `json:"since"` // since when it has been so
	Backends []string      `json:"backend_ids"`
}

// Why is why a blob goes.
type Why string

// The reasons to go.
const (
	Unneeded Why = "unneeded" // nothing refers to it and no lease keeps it, for the grace
	Removing Why = "removing" // its removal is under way
	Orphaned Why = "orphan"   // an object that nothing has recorded, for the orphan age
)

// CollectReport is what a run did.
type CollectReport struct {
	Blobs   int64            `json:"blobs"`   // collected; with DryRun, that would be
	Bytes   int64            `json:"bytes"`   // of these
	Removed int64            `json:"removed"` // objects deleted
	Orphans int64            `json:"orphans"` // of these, or with DryRun that would be, that nothing had recorded
	Waiting int64            `json:"waiting"` // removals that a later run goes on with
	Failed  map[string]int64 `json:"failed,omitempty"`
	Away    []string         `json:"away,omitempty"`    // backends that were left alone: they do not work
	Strange []string         `json:"strange,omitempty"` // keys that are none of the store's, the first few; they are left alone
}

func (r *CollectReport) failed(backendID string) {
	if r.Failed == nil {
		r.Failed = map[string]int64{}
	}
	r.Failed[backendID]++
}

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

// lookTime bounds the look at the backends before a run, all at once.
const lookTime = 10 * time.Second

// lookForAway returns the backends that do not work now: no removal is begun there.
func (s *Store) lookForAway(ctx context.Context) map[string]bool {
	looking, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	errs := make([]error, len(s.list))
	var all sync.WaitGroup
	for i, b := range s.list {
		all.Go(func() { errs[i] = b.Health(looking) })
	}
	all.Wait()
	away := map[string]bool{}
	for i, b := range s.list {
		if errs[i] != nil && ctx.Err() == nil {
			away[b.ID] = true
			s.log.WarnContext(ctx, "nothing is removed from a backend that does not work", "backend_id", b.ID, "error", errs[i])
		}
	}
	return away
}

// wouldCollect tells what Collect would.
func (s *Store) wouldCollect(ctx context.Context, o CollectOptions) (report CollectReport, err error) {
	found := func(c Candidate) {
		if o.Found != nil {
			o.Found(c)
		}
	}
	for _, b := range s.list {
		for after := (digest.Digest{}); ; {
			list, err := s.reg.Removals(ctx, b.ID, after, s.collection.Batch)
			if err != nil {
				return report, registryError("list removals from "+b.ID, err)
			}
			if len(list) == 0 {
				break
			}
			for _, r := range list {
				report.Waiting++
				found(s.removal(ctx, r))
			}
			after = list[len(list)-1].Blob
		}
	}
	err = s.walk(ctx, digest.Digest{}, func(_ context.Context, page []registry.Idle, _ digest.Digest) error {
		for _, b := range page {
			report.Blobs++
			report.Bytes += b.Size
			found(candidate(b))
		}
		return nil
	})
	return report, err
}

// removal describes a removal under way.
func (s *Store) removal(ctx context.Context, r registry.Removal) Candidate {
	c := Candidate{Digest: r.Blob, Size: -1, Why: Removing, Since: r.Since, Backends: []string{r.BackendID}}
	if b, err := s.reg.Blob(ctx, r.Blob); err == nil {
		c.Size = b.Size
	}
	return c
}
