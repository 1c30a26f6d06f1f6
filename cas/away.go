package cas

import (
	"slices"
	"sync"
	"time"

	"artifactstore/registry"
)

// awayTime is how long readers ask a backend last that did not answer one of them: what
// is away says so after seconds, with which each reader of what others hold, too,
// would begin. Who begins after
// that time finds out whether it is back.
const awayTime = 30 * time.Second

// away are the backends that did not answer a reader lately: ids, and until when
// they are asked last.
type away struct{ until sync.Map }

func (a *away) failed(id string, now time.Time) { a.until.Store(id, now.Add(awayTime)) }

func (a *away) worked(id string) { a.until.Delete(id) }

func (a *away) has(id string, now time.Time) bool {
	until, ok := a.until.Load(id)
	return ok && now.Before(until.(time.Time))
}

// last returns the locations in the order in which to read them: as they are, but
// those on backends that are away behind the others.
func (a *away) last(list []registry.Location, now time.Time) []registry.Location {
	isAway := func(l registry.Location) bool { return a.has(l.BackendID, now) }
	if len(list) < 2 || !slices.ContainsFunc(list, isAway) {
		return list
	}
	sorted := slices.DeleteFunc(slices.Clone(list), isAway)
	for _, l := range list {
		if isAway(l) {
			sorted = append(sorted, l)
		}
	}
	return sorted
}
