package cas

import (
	"context"
	"maps"
	"slices"
	"time"

	"artifactstore/registry"
)

// Expiry ends what has been kept as long as its class says. An event names the
// revision that was looked at, so a change meanwhile wins; what does not fit is
// looked at again in the next round. An index goes before the manifests that it
// names: these are found once nothing names them, in a later batch.
const turnExpire = "expire"

// wouldExpireMost bounds what a dry run lists of a class.
const wouldExpireMost = 10_000

// ExpireOptions say how packages expire.
type ExpireOptions struct {
	DryRun bool // nothing is changed and no turn taken
	// Found, which may be nil, is told of each package that goes, or would (of a class, the
	// first 10,000).
	Found func(Package)
	// Waiting, which may be nil, is told who is at it, where somebody is.
	Waiting func(*TakenError)
}

// Expire removes the packages whose time is over and returns how many. It waits for
// its turn. Packages of a class that is not configured stay.
func (s *Store) Expire(ctx context.Context, o ExpireOptions) (expired int64, err error) {
	if o.DryRun {
		return s.eachClass(func(class string, before time.Time) (int64, error) { return s.wouldExpire(ctx, class, before, o) })
	}
	err = s.WaitTurn(ctx, turnExpire, o.Waiting, func(ctx context.Context, t *Turn) error {
		expired, err = s.expire(ctx, t, o)
		return err
	})
	return expired, err
}

func (s *Store) expire(ctx context.Context, t *Turn, o ExpireOptions) (int64, error) {
	return s.eachClass(func(class string, before time.Time) (int64, error) { return s.expireClass(ctx, t, class, before, o) })
}

// eachClass calls a function with each class that has an end, and the time before
// which its packages must have changed last, and returns the sum.
func (s *Store) eachClass(do func(class string, before time.Time) (int64, error)) (sum int64, err error) {
	for _, class := range slices.Sorted(maps.Keys(s.policy.Classes)) {
		keep := s.policy.Classes[class]
		if keep < 0 {
			continue
		}
		n, err := do(class, s.now().Add(-keep))
		sum += n
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}

func (s *Store) expireClass(ctx context.Context, t *Turn, class string, before time.Time, o ExpireOptions) (expired int64, err error) {
	for {
		began := time.Now()
		list, err := s.reg.Expirable(ctx, class, before, s.collection.Batch)
		if err != nil {
			return expired, registryError("look for what expires", err)
		}
		if err := t.Check(); err != nil {
			return expired, err
		}
		n, err := s.expireBatch(ctx, list, o)
		expired += n
		if err != nil || n == 0 { // none is left, or none that stays as it is
			return expired, err
		}
		if err := s.sleep(ctx, min(time.Since(began), time.Second)); err != nil {
			return expired, err
		}
	}
}

func (s *Store) expireBatch(ctx context.Context, list []Package, o ExpireOptions) (expired int64, err error) {
	groups := make([][]registry.Event, len(list))
	for i, p := range list {
		groups[i] = []registry.Event{event(actorGateway, registry.PackageExpired{
			Package: p.PackageKey, Revision: p.Revision, RetentionClass: p.RetentionClass,
		})}
	}
	fit, err := s.appendEach(ctx, groups)
	for i, p := range list {
		if !fit[i] {
			continue
		}
		expired++
		if o.Found != nil {
			o.Found(p)
		}
	}
	s.counts.expired.Add(expired)
	return expired, registryError("expire packages", err)
}

func (s *Store) wouldExpire(ctx context.Context, class string, before time.Time, o ExpireOptions) (int64, error) {
	list, err := s.reg.Expirable(ctx, class, before, wouldExpireMost)
	for _, p := range list {
		if o.Found != nil {
			o.Found(p)
		}
	}
	return int64(len(list)), registryError("look for what expires", err)
}
