package cas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// What a verification answers besides the errors of a store.
var (
	// ErrBackendUnknown means that no backend of this id is configured.
	ErrBackendUnknown = errors.New("backend unknown")
	// ErrVerificationUnknown means that there is no such run.
	ErrVerificationUnknown = errors.New("verification unknown")
	// ErrNothingThere pauses a run that nobody attends to where it finds one object
	// missing after the other and not a single one right: more likely the backend is
	// not the one that it should be than that all is lost. A person's run goes on.
	ErrNothingThere = errors.New("not one object is there: is this the right place?")
	// ErrVerificationStopped ends a run that somebody asked to stop.
	ErrVerificationStopped = errors.New("the verification was stopped")
)

// VerifyOptions say what a verification reads, and how fast.
type VerifyOptions struct {
	Backend string // id
	// Sample is the share of the locations that is read, above 0 and at most 1; 0
	// is 1. Which ones follows from their digests and the id of the run, so every
	// run has others. A sample does not compare the backend's list with the registry.
	Sample float64
	// OlderThan leaves out what was written, or verified since, less than this ago.
	OlderThan time.Duration
	// Repair mends what is found to be wrong, where another location has the bytes.
	Repair bool
	// Concurrency is how many objects are read at once; 0 is 2.
	Concurrency int
	// BytesPerSecond bounds the reading, all together; 0 is no bound.
	BytesPerSecond int64

	// By is who wants it: the actor of its events. "" is the gateway.
	By string
	// Attended says that a person waits for this run: where it is interrupted, no
	// gateway goes on with it.
	Attended bool
	// Fresh begins anew where a run of the same options was interrupted.
	Fresh bool
	// Progress, where not nil, is called from time to time, never twice at once.
	Progress func(Verification)
	// Until, where not zero, is when the run pauses by itself.
	Until time.Time

	wanted func(verifyState) bool // asked once this process has the turn; nil is yes
}

// Result is what a verification has found out about one location.
type Result string

// The results. The reasons of a failed location are the others.
const (
	Intact     Result = "ok"                        // read whole, and right
	Mismatch          = Result(registry.Mismatch)   // other bytes, or more
	Missing           = Result(registry.Missing)    // no object
	Truncated         = Result(registry.Truncated)  // fewer bytes
	Unreadable        = Result(registry.Unreadable) // the backend is well and cannot read this object
	Undecided  Result = "undecided"                 // the backend did not say, time after time; nothing is recorded
	Changed    Result = "changed"                   // rewritten or removed meanwhile; nothing is recorded
	Skipped    Result = "skipped"                   // not in the sample, or verified lately
)

// Results are all results, in the order in which they are shown.
var Results = []Result{Intact, Mismatch, Missing, Truncated, Unreadable, Undecided, Changed, Skipped}

// IsFailure reports whether a result speaks against the stored bytes.
func (r Result) IsFailure() bool {
	return r == Mismatch || r == Missing || r == Truncated || r == Unreadable
}

// The states of a run.
const (
	RunRequested = "requested" // nobody has begun yet
	RunRunning   = "running"   // or its process died: see UpdatedAt
	RunPaused    = "paused"    // ended before its end; who goes on reads the rest
	RunStopped   = "stopped"   // ended by request
	RunDone      = "done"      // everything was read
)

// Verification is a run over the locations of one backend.
type Verification struct {
	Run       string `json:"run"`
	BackendID string `json:"backend_id"`
	Status    string `json:"status"`
	By        string `json:"by"`
	Holder    string `json:"holder,omitempty"` // the process that has it, or had it last
	Attended  bool   `json:"attended,omitempty"`

	StartedAt  time.Time `json:"started_at"`
	UpdatedAt  time.Time `json:"updated_at"`
	FinishedAt time.Time `json:"finished_at,omitzero"`

	Sample         float64 `json:"sample,omitempty"`
	OlderThan      string  `json:"older_than,omitempty"`
	Repair         bool    `json:"repair,omitempty"`
	BytesPerSecond int64   `json:"bytes_per_second,omitempty"`
	Concurrency    int     `json:"concurrency,omitempty"`

	Locations int64            `json:"locations"` // on the backend when the run began
	Seen      int64            `json:"seen"`      // of them, so far
	Bytes     int64            `json:"bytes"`     // of the objects that were read
	Read      int64            `json:"-"`         // bytes that this process has read, of objects under way too
	Results   map[Result]int64 `json:"results"`
	Repaired  int64            `json:"repaired"`  // of the failures, by this run
	Recovered int64            `json:"recovered"` // that had failed before and are right again

	// What the backend's list and the registry do not agree in; 0 where they were
	// not compared.
	Compared  bool  `json:"compared"`
	Orphans   int64 `json:"orphans"`   // objects that no location knows, older than an upload may be
	Strangers int64 `json:"strangers"` // objects whose keys are none of the store's

	Failures []Failure `json:"failures,omitempty"` // the first of them
	Foreign  []string  `json:"foreign,omitempty"`  // keys of the first orphans and strangers
	Error    string    `json:"error,omitempty"`    // why it paused
}

// Failure is a location whose bytes are not what they should be.
type Failure struct {
	Blob     digest.Digest `json:"blob"`
	Size     int64         `json:"size"`
	Reason   Result        `json:"reason"`
	Repaired string        `json:"repaired,omitempty"` // where from, where it was
}

// mostFailures bounds the lists of a run.
const mostFailures = 100

// Failed returns how many locations the run found to be wrong.
func (v *Verification) Failed() (n int64) {
	for r, count := range v.Results {
		if r.IsFailure() {
			n += count
		}
	}
	return n
}

// Over reports whether the run has come to its end.
func (v *Verification) Over() bool { return v.Status == RunDone || v.Status == RunStopped }

// Verify reads every object of a backend that a location names and compares it
// with the blob's identity, both digests and the size, in the order of digests
// and in constant memory; then it compares the backend's list of objects with the
// registry. What it finds is appended: location_verified, location_failed, and
// location_repaired for a failed location that is right again.
//
// A failure is believed only after the registry has said again that the location
// is there and the object was read a second time. A backend that does not answer
// is asked again for minutes; then the run pauses, and nothing is recorded.
//
// Of all processes on the registry one at a time verifies a backend; otherwise
// Verify is a *TakenError. A run that was interrupted, by whatever, is gone on
// with by the next call with the same options, and no object is read again whose
// event was appended. When ctx ends the run pauses. The
// returned Verification says how far it came, also beside an error: the context's,
// ErrBackendUnknown, *TakenError, ErrTurnLost, ErrVerificationStopped, ErrBackendUnavailable,
// ErrRegistryUnavailable.
func (s *Store) Verify(ctx context.Context, o VerifyOptions) (Verification, error) {
	b := s.backend(o.Backend)
	if b == nil {
		return Verification{}, fmt.Errorf("%w: %q", ErrBackendUnknown, o.Backend)
	}
	var run Verification
	err := s.InTurn(ctx, verifyTurn(o.Backend), func(ctx context.Context, t *Turn) error {
		v, err := s.newVerifier(ctx, t, b, o)
		if err == nil {
			run, err = v.run(ctx)
		}
		return err
	})
	return run, err
}

func verifyTurn(backendID string) string { return "verify/" + backendID }

// complete fills in what is not said.
func (o *VerifyOptions) complete() {
	if o.Sample <= 0 || o.Sample > 1 {
		o.Sample = 1
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 2
	}
	if o.By == "" {
		o.By = actorGateway
	}
}
