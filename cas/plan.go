package cas

import (
	"context"

	"artifactstore/cas/digest"
)

// Plan is what would move for every blob to be where the routing wants it, and
// nowhere else.
type Plan struct {
	Blobs    int64    `json:"blobs"` // that something keeps
	Backends []PlanOn `json:"backends"`
	Lost     int64    `json:"lost"` // blobs of these that no backend has: there is nothing to move
}

// PlanOn is what would move to a backend and away from it.
type PlanOn struct {
	BackendID    string `json:"backend_id"`
	Copies       int64  `json:"copies"` // to be made there
	CopyBytes    int64  `json:"copy_bytes"`
	Leaving      int64  `json:"leaving"` // locations there that no route wants
	LeavingBytes int64  `json:"leaving_bytes"`
}

// Done reports whether everything is where it is wanted.
func (p *Plan) Done() bool {
	for _, on := range p.Backends {
		if on.Copies > 0 || on.Leaving > 0 {
			return false
		}
	}
	return true
}

// Plan compares where each blob is with where the routing wants it, and changes
// nothing. progress, which may be nil, is told from time to time how far it is, from
// 0 to 1.
func (s *Store) Plan(ctx context.Context, progress func(done float64)) (Plan, error) {
	p := Plan{Backends: make([]PlanOn, len(s.list))}
	on := map[string]*PlanOn{}
	for i, b := range s.list {
		p.Backends[i].BackendID = b.ID
		on[b.ID] = &p.Backends[i]
	}
	seen := 0
	for b, err := range s.reg.Blobs(ctx, digest.Digest{}) {
		if err != nil {
			return p, registryError("walk blobs", err)
		}
		w, err := s.wanted(ctx, b)
		if err != nil {
			return p, err
		}
		if len(w.routed) > 0 {
			p.Blobs++
			if readable(b) == "" {
				p.Lost++
			}
		}
		for _, id := range missing(b, w.routed) {
			on[id].Copies++
			on[id].CopyBytes += b.Size
		}
		for _, id := range s.leaving(b, w) {
			on[id].Leaving++
			on[id].LeavingBytes += b.Size
		}
		if seen++; progress != nil && seen%countStep == 0 {
			progress(share(b.SHA256))
		}
	}
	return p, ctx.Err()
}
