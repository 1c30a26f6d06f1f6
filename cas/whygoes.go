package cas

import (
	"fmt"
	"strings"
	"time"
)

// judge says when the blob would go at the earliest if nothing changed: a package
// expires by its class, which ends its references; what nothing keeps goes after the
// grace, when a collection comes by. A manifest that an index names outlives its own
// class, and of more references than are here some may last longer: hence "at the earliest".
func (e *Evidence) judge(now time.Time, grace time.Duration) {
	e.Grace = grace.String()
	if why := e.forGood(); why != "" {
		e.Goes = "It does not go as things are: " + why + "."
		return
	}
	end, because := e.IdleSince, e.idleBecause(now)
	for _, k := range e.Packages {
		if k.ExpiresAt.After(end) {
			end, because = *k.ExpiresAt, "the package "+k.Package+" expires then"
		}
	}
	if e.References > 0 && !end.After(now) { // it is idle once they are gone, which is from now on
		end, because = now, "all packages here that refer to it have been kept as long as their classes say"
	}
	if more := e.References - int64(len(e.Packages)); more > 0 {
		because += fmt.Sprintf(", and %d more that are not shown may keep it longer", more)
	}
	goes := end.Add(grace)
	e.GoesAt = &goes
	if !goes.After(now) {
		e.Goes = fmt.Sprintf("It goes with the next collection: nothing has kept it since %s, longer than the grace of %s.", clock(end), e.Grace)
		return
	}
	e.Goes = fmt.Sprintf("It goes at %s at the earliest: %s (%s), and the grace of %s follows.", clock(goes), because, clock(end), e.Grace)
}

// forGood says what keeps the blob without an end, "" where nothing does.
func (e *Evidence) forGood() string {
	for _, k := range e.Packages {
		if len(k.Holds) > 0 {
			return fmt.Sprintf("the package %s is under the hold %s", k.Package, strings.Join(k.Holds, ", "))
		}
	}
	for _, k := range e.Packages {
		if k.ExpiresAt == nil {
			return fmt.Sprintf("the package %s is of the class %s, which has no end", k.Package, k.RetentionClass)
		}
	}
	if len(e.Leases) > 0 && !e.Leases[0].Until.Before(Forever) {
		return fmt.Sprintf("the lease of %s has no end", e.Leases[0].holder())
	}
	return ""
}

// idleBecause says why the blob is idle from when it is.
func (e *Evidence) idleBecause(now time.Time) string {
	switch {
	case len(e.Leases) > 0 && e.Leases[0].Until.Equal(e.IdleSince) && e.IdleSince.After(now):
		return "the lease of " + e.Leases[0].holder() + " ends then"
	case len(e.Leases) > 0 && e.Leases[0].Until.Equal(e.IdleSince):
		return "its last lease ended"
	case e.IdleSince.Equal(e.StoredAt):
		return "it was stored, and nothing has kept it"
	}
	return "the last that kept it was given up"
}

func (l Leasing) holder() string {
	if l.Repository != "" {
		return "repository " + l.Repository
	}
	return "principal " + l.Principal
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
