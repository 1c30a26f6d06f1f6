package registrytest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"artifactstore/registry"
)

// testRandomRetentionHistories is testRandomPackageHistories with holds, expiry,
// verification, removal and collection among the events.
func testRandomRetentionHistories(t *testing.T, db *database) {
	testHistories(t, db, func(r *run) {
		names := newPackageNames(r)
		names.extend()
		keeping := keepingEvents{names}
		others, compare := r.event, r.compare
		r.event = func(t *rapid.T) registry.Event {
			if rapid.Bool().Draw(t, "about keeping") {
				return registry.Event{Actor: "gateway", Data: keeping.event(t)}
			}
			return others(t)
		}
		r.compare = func(reg registry.Registry) {
			compare(reg)
			keeping.compare(reg.(Keeping))
		}
	})
}

// keepingEvents are events of a run about what keeps its blobs.
type keepingEvents struct{ packageNames }

var (
	holdNames = rapid.SampledFrom([]string{"case", "audit"})
	graces    = rapid.SampledFrom([]int64{0, 0, 0, long}) // no test is as slow as the last
)

func (k keepingEvents) event(t *rapid.T) registry.Data {
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) registry.Data { return k.removing(t) }),
		rapid.Custom(func(t *rapid.T) registry.Data { return removed(k.underWay(t)) }),
		rapid.Custom(func(t *rapid.T) registry.Data { return collected(k.blob(t), graces.Draw(t, "grace")) }),
		rapid.Custom(func(t *rapid.T) registry.Data { return k.recorded(t) }),
		rapid.Custom(func(t *rapid.T) registry.Data { return deleted(k.one(t, k.keys())) }),
		rapid.Custom(func(t *rapid.T) registry.Data {
			return registry.LocationRepaired{Blob: blob(k.blob(t)), BackendID: k.backend(t), Source: "push", Seen: k.seen(t)}
		}),
		rapid.Custom(func(t *rapid.T) registry.Data { return k.verified(t) }),
		rapid.Custom(func(t *rapid.T) registry.Data { return k.held(t) }),
		rapid.Custom(func(t *rapid.T) registry.Data {
			return letGo(k.one(t, k.keys()), holdNames.Draw(t, "hold"))
		}),
		rapid.Custom(func(t *rapid.T) registry.Data { return k.expired(t) }),
		rapid.Custom(func(t *rapid.T) registry.Data {
			return of(rapid.SampledFrom(k.repositories).Draw(t, "repository"), leased(k.blob(t), over))
		}),
		rapid.Custom(func(t *rapid.T) registry.Data {
			return outOf(rapid.SampledFrom(k.repositories).Draw(t, "repository"), released(k.blob(t)))
		}),
	).Draw(t, "data")
}

func (k keepingEvents) backend(t *rapid.T) string {
	return rapid.SampledFrom(k.backends).Draw(t, "backend")
}

func (k keepingEvents) removing(t *rapid.T) registry.LocationRemoving {
	n, backend := k.aim(t, registry.Stored, k.blob(t), k.backend(t))
	switch cause := rapid.SampledFrom([]registry.Cause{registry.Unneeded, registry.Unneeded, registry.Moved, registry.Orphan}).Draw(t, "cause"); cause {
	case registry.Unneeded:
		return unneeded(n, backend, graces.Draw(t, "grace"))
	case registry.Orphan: // what is aimed at is none
		return removing(k.blob(t), k.backend(t), cause)
	default:
		return removing(n, backend, cause)
	}
}

// underWay draws a removal under way where there is one.
func (k keepingEvents) underWay(t *rapid.T) (int, string) {
	for n := range runBlobs {
		for _, backend := range k.backends {
			if _, err := k.model.Removal(blob(k.first+n), backend); err == nil && rapid.Bool().Draw(t, "this one") {
				return k.first + n, backend
			}
		}
	}
	return k.blob(t), k.backend(t)
}

func (k keepingEvents) recorded(t *rapid.T) registry.LocationRecorded {
	d := recorded(k.blob(t), k.backend(t))
	d.Seen = k.seen(t)
	return d
}

// seen draws a position of late, or none.
func (k keepingEvents) seen(t *rapid.T) uint64 {
	last := k.model.Totals().Position
	if last == 0 || rapid.Bool().Draw(t, "does not say") {
		return 0
	}
	back := rapid.Uint64Range(0, min(4, last-1)).Draw(t, "positions back")
	return last - back
}

func (k keepingEvents) verified(t *rapid.T) registry.LocationVerified {
	n, backend := k.aim(t, registry.Stored, k.blob(t), k.backend(t))
	d := registry.LocationVerified{Blob: blob(n), BackendID: backend, RecordedAt: day(1)}
	b, _ := k.model.Blob(d.Blob)
	for _, l := range b.Locations {
		if l.BackendID == backend {
			d.RecordedAt = l.RecordedAt.Add(rapid.SampledFrom([]time.Duration{0, 0, 0, -time.Microsecond}).Draw(t, "off by"))
		}
	}
	return d
}

func (k keepingEvents) held(t *rapid.T) registry.PackageHeld {
	root := k.one(t, k.keys())
	others := slices.DeleteFunc(k.keys(), func(other registry.PackageKey) bool { return other == root })
	var covers []registry.PackageKey
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "covers") {
		if other := k.one(t, others); !slices.Contains(covers, other) {
			covers = append(covers, other)
		}
	}
	return held(root, holdNames.Draw(t, "hold"), covers...)
}

func (k keepingEvents) expired(t *rapid.T) registry.PackageExpired {
	key := k.one(t, k.keys())
	was, _ := k.model.Package(key)
	return expired(key, max(1, was.Revision+int64(rapid.SampledFrom([]int{0, 0, 0, -1, 1}).Draw(t, "off by"))))
}

// compare checks what a registry says of what keeps the run's blobs.
func (k keepingEvents) compare(reg Keeping) {
	c := keeper{k.T, k.ctx, reg, &k.model}
	for _, key := range k.keys() {
		c.holds(key)
	}
	at, grace := k.now(), time.Duration(rapid.SampledFrom([]int{0, 3600}).Draw(k.T, "grace"))*time.Second
	if rapid.Bool().Draw(k.T, "later") {
		at = day(rapid.IntRange(1, 5).Draw(k.T, "at"))
	}
	for n := range runBlobs {
		d := blob(k.first + n)
		c.blob(d)
		c.collectable(d, at, grace)
		for _, backend := range k.backends {
			c.backend(backend, d)
		}
	}
	for _, class := range k.classes() {
		got, err := reg.Expirable(k.ctx, class, day(1), 3)
		same(comparison{t: k.T}, "Expirable", got, err, k.model.Expirable(class, day(1), 3), nil)
	}
	f := k.filter()
	diff(k, fmt.Sprintf("%+v", f), listPackages(k, c, f, registry.PackageKey{}, rapid.SampledFrom([]int{1, 100}).Draw(k.T, "limit")),
		k.model.ListPackages(f, registry.PackageKey{}))
}

// filter draws a filter that only the run's own packages pass.
func (k keepingEvents) filter() registry.PackageFilter {
	t := k.T
	f := registry.PackageFilter{Producer: k.producer()}
	f.Format = rapid.SampledFrom([]registry.Format{"", registry.FormatOCI, registry.FormatFiles}).Draw(t, "format")
	f.State = rapid.SampledFrom([]registry.PackageState{"", registry.Open, registry.Sealed}).Draw(t, "state")
	f.RetentionClass = rapid.SampledFrom(append([]string{""}, k.classes()...)).Draw(t, "class")
	f.Labels = labels.Draw(t, "labels")
	return f
}
