package cas

import (
	"time"

	"artifactstore/cas/digest"
)

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
