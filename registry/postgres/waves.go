package postgres

import (
	"slices"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
)

// fact is an event as the views take it.
type fact struct {
	at    *time.Time // nil: the time of the head
	actor string
	data  registry.Data
}

// A wave is events that may be applied kind by kind, each kind of the first seven by
// one statement, in the order of the fields, with the outcome that one by one
// they would have had: on any blob they come in that order anyway, and no two
// rows of a statement are the same. An event that does not fit into its blobs'
// wave begins the next one of those blobs. The other events, of packages, tags,
// removals and tokens, stay in their own order, and each is a statement. What a collected blob
// was called besides is not known here, so that a blob stored after it waits for the
// next wave.
type wave struct {
	stored   stored
	recorded recorded
	failed   failed
	repaired repaired
	verified verified
	leased   leased
	released released
	singles  []single
}

// single is an event that has a statement of its own, the n-th of all, from 1.
type single struct {
	n int64
	fact
}

// sorter sorts events into waves.
type sorter struct {
	waves   []wave
	blobs   map[digest.Digest]place
	singles int // wave of the last single
	storing int // first wave that may store what is stored next
}

// waves sorts events, the n-th counted from 1, into waves.
func waves(facts []fact) []wave {
	s := sorter{blobs: map[digest.Digest]place{}}
	for i, f := range facts {
		n := int64(i + 1)
		if named, ok := namedBlobs(f.data); ok {
			w := s.singleWave(named)
			w.singles = append(w.singles, single{n, f})
			if _, ok := f.data.(registry.BlobCollected); ok {
				s.storing = s.singles + 1
			}
			continue
		}
		blob, backend, rank := classify(f.data)
		p := s.blobs[blob].next(rank, backend)
		if rank == rankStored && p.wave < s.storing {
			p.wave = s.storing
		}
		s.blobs[blob] = p
		s.wave(p.wave).add(n, f)
	}
	return s.waves
}

func (s *sorter) wave(i int) *wave {
	for i >= len(s.waves) {
		s.waves = append(s.waves, wave{})
	}
	return &s.waves[i]
}

// singleWave returns the wave of a single that names blobs: none of them may
// change in it any more.
func (s *sorter) singleWave(named []digest.Digest) *wave {
	for _, blob := range named {
		s.singles = max(s.singles, s.blobs[blob].wave)
	}
	for _, blob := range named {
		s.blobs[blob] = place{wave: s.singles, rank: rankSingle}
	}
	return s.wave(s.singles)
}

// place is where the last event of a blob was put.
type place struct {
	wave     int
	rank     rank
	backends []string // of the events of this rank
}

// rank is the order of the kinds within a wave.
type rank int

const (
	rankNone rank = iota
	rankStored
	rankRecorded
	rankFailed
	rankRepaired
	rankVerified
	rankLeased
	rankReleased
	rankSingle
)

// next returns the place of a blob's next event.
func (p place) next(r rank, backend string) place {
	switch {
	case r > p.rank:
		return place{p.wave, r, []string{backend}}
	case r == p.rank && r != rankStored && (r >= rankLeased || !slices.Contains(p.backends, backend)):
		return place{p.wave, r, append(p.backends, backend)}
	}
	return place{p.wave + 1, r, []string{backend}}
}

func classify(d registry.Data) (blob digest.Digest, backend string, r rank) {
	switch d := d.(type) {
	case registry.BlobStored:
		return d.SHA256, "", rankStored
	case registry.LocationRecorded:
		return d.Blob, d.BackendID, rankRecorded
	case registry.LocationFailed:
		return d.Blob, d.BackendID, rankFailed
	case registry.LocationRepaired:
		return d.Blob, d.BackendID, rankRepaired
	case registry.LocationVerified:
		return d.Blob, d.BackendID, rankVerified
	case registry.BlobLeased:
		return d.Blob, "", rankLeased
	case registry.BlobReleased:
		return d.Blob, "", rankReleased
	}
	panic("postgres: no view for " + d.Type()) // newCall lets no such event in
}

func (w *wave) add(n int64, f fact) {
	switch d := f.data.(type) {
	case registry.BlobStored:
		w.stored.add(f.at, d)
	case registry.LocationRecorded:
		w.recorded.add(n, f.at, d)
	case registry.LocationFailed:
		w.failed.add(d)
	case registry.LocationRepaired:
		w.repaired.add(f.at, d)
	case registry.LocationVerified:
		w.verified.add(f.at, d)
	case registry.BlobLeased:
		w.leased.add(f.actor, d)
	case registry.BlobReleased:
		w.released.add(f.at, f.actor, d)
	}
}

// queueViews queues what events mean for the views. Their positions follow base,
// or with nil end at the head, which has been advanced before them.
func queueViews(b *pgx.Batch, base *int64, facts []fact) {
	for _, w := range waves(facts) {
		w.stored.queue(b)
		w.recorded.queue(b, base, len(facts))
		w.failed.queue(b)
		w.repaired.queue(b)
		w.verified.queue(b)
		w.leased.queue(b)
		w.released.queue(b)
		for _, s := range w.singles {
			s.queue(b, base, len(facts))
		}
	}
}
