package cas

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"artifactstore/cas/digest"
)

// verifyState is what the registry keeps of a backend's verifications beside its
// claim, as JSON: the run under way or the last one, and how far it is. The
// counts in Current are of exactly the locations up to Cursor. What was found
// behind it, because a small object overtakes a large one, stands in Ahead, or,
// where it was intact, in the location's own time of verification.
type verifyState struct {
	Current Verification     `json:"current"`
	Cursor  digest.Digest    `json:"cursor,omitzero"`
	Mark    time.Time        `json:"mark,omitzero"` // what is verified after it was verified by this run
	Ahead   []ahead          `json:"ahead,omitempty"`
	List    string           `json:"list,omitempty"` // the last key of the backend's list that was compared
	Past    []Verification   `json:"past,omitempty"` // earlier runs, newest first, without their lists
	Whole   *Verification    `json:"whole,omitempty"`
	Totals  map[Result]int64 `json:"totals,omitempty"` // over the past runs
}

// ahead is a finding behind the cursor.
type ahead struct {
	Blob     digest.Digest `json:"blob"`
	Result   Result        `json:"result"`
	Repaired string        `json:"repaired,omitempty"`
}

// mostPast is how many earlier runs can be asked for.
const mostPast = 16

func (s *Store) verifyState(ctx context.Context, backendID string) (st verifyState, err error) {
	n, err := s.noteOf(ctx, verifyTurn(backendID))
	if err != nil {
		return st, err
	}
	return readVerifyState(backendID, n.State)
}

func readVerifyState(backendID string, text []byte) (st verifyState, err error) {
	if len(text) == 0 {
		return st, nil
	}
	if err = json.Unmarshal(text, &st); err != nil {
		return st, fmt.Errorf("read verifications of %s: %w", backendID, err)
	}
	return st, nil
}

// begin makes a new run the current one.
func (st *verifyState) begin(v Verification) {
	old := *st
	*st = verifyState{Current: v, Past: old.Past, Whole: old.Whole, Totals: old.totals()}
	if old.Current.Run != "" {
		past := old.Current
		past.Failures, past.Foreign = nil, nil
		st.Past = append([]Verification{past}, st.Past...)
		st.Past = st.Past[:min(len(st.Past), mostPast)]
	}
}

// totals are the results of all runs.
func (st *verifyState) totals() map[Result]int64 {
	sum := maps.Clone(st.Totals)
	if sum == nil {
		sum = map[Result]int64{}
	}
	for r, n := range st.Current.Results {
		sum[r] += n
	}
	return sum
}

// newRun is a run of options that has not begun.
func (s *Store) newRun(o VerifyOptions) Verification {
	var id [8]byte
	rand.Read(id[:])
	v := Verification{
		Run: hex.EncodeToString(id[:]), BackendID: o.Backend, Status: RunRequested, By: o.By, Attended: o.Attended,
		StartedAt: s.now().UTC(), UpdatedAt: s.now().UTC(),
		Repair: o.Repair, BytesPerSecond: o.BytesPerSecond, Concurrency: o.Concurrency,
		Results: map[Result]int64{},
	}
	if o.Sample < 1 {
		v.Sample = o.Sample
	}
	if o.OlderThan > 0 {
		v.OlderThan = o.OlderThan.String()
	}
	return v
}

// goesOn reports whether options ask for what a run that was interrupted reads.
func (v *Verification) goesOn(o VerifyOptions) bool {
	age := ""
	if o.OlderThan > 0 {
		age = o.OlderThan.String()
	}
	sample := v.Sample
	if sample == 0 {
		sample = 1
	}
	return v.Run != "" && !v.Over() && sample == o.Sample && v.OlderThan == age && v.Repair == o.Repair
}

// options are those of a run.
func (v *Verification) options() VerifyOptions {
	age, _ := time.ParseDuration(v.OlderThan)
	return VerifyOptions{
		Backend: v.BackendID, Sample: v.Sample, OlderThan: age, Repair: v.Repair,
		Concurrency: v.Concurrency, BytesPerSecond: v.BytesPerSecond, By: v.By,
	}
}

// Verified is what is known of the verifications of a backend.
type Verified struct {
	Last   *Verification    // the run under way, or the last; nil without one
	Whole  *Verification    // the last that read everything there was; nil without one
	Totals map[Result]int64 // over all runs
	past   []Verification
}

// Verified returns what is known of the verifications of a backend, whichever
// process did them.
func (s *Store) Verified(ctx context.Context, backendID string) (Verified, error) {
	if s.backend(backendID) == nil {
		return Verified{}, fmt.Errorf("%w: %q", ErrBackendUnknown, backendID)
	}
	st, err := s.verifyState(ctx, backendID)
	if err != nil {
		return Verified{}, err
	}
	v := Verified{Whole: st.Whole, Totals: st.totals(), past: st.Past}
	if st.Current.Run != "" {
		v.Last = &st.Current
	}
	return v, nil
}

// Runs returns the last run and some before it, newest first.
func (v Verified) Runs() []Verification {
	if v.Last == nil {
		return nil
	}
	return append([]Verification{*v.Last}, v.past...)
}

// Verification returns a run of a backend, ErrVerificationUnknown where there
// was none of this id, or so many since that it is forgotten.
func (s *Store) Verification(ctx context.Context, backendID, run string) (Verification, error) {
	known, err := s.Verified(ctx, backendID)
	if err != nil {
		return Verification{}, err
	}
	runs := known.Runs()
	i := slices.IndexFunc(runs, func(v Verification) bool { return v.Run == run })
	if i < 0 {
		return Verification{}, fmt.Errorf("%w: %.40q", ErrVerificationUnknown, run)
	}
	return runs[i], nil
}

// RequestVerification makes a run for whichever process comes to it: see
// [Store.RunVerifications]. One that is under way or waits is a *TakenError.
func (s *Store) RequestVerification(ctx context.Context, o VerifyOptions) (v Verification, err error) {
	o.complete()
	if s.backend(o.Backend) == nil {
		return v, fmt.Errorf("%w: %q", ErrBackendUnknown, o.Backend)
	}
	for try := 0; ; try++ {
		if v, err = s.request(ctx, o); !errors.As(err, new(*TakenError)) || try == doorTries {
			return v, err
		}
		st, stateErr := s.verifyState(ctx, o.Backend)
		if waits := st.Current.waits(); stateErr != nil || waits || s.sleep(ctx, doorPause) != nil {
			return v, err
		}
	}
}

// Who has just ended a run, or looked whether one is due, has the turn for a
// moment more: that is no run under way.
const (
	doorTries = 100
	doorPause = 50 * time.Millisecond
)

// waits reports whether a run is under way or waits for a gateway.
func (v *Verification) waits() bool { return v.Run != "" && !v.Over() && !v.Attended }

func (s *Store) request(ctx context.Context, o VerifyOptions) (v Verification, err error) {
	err = s.changeVerification(ctx, o.Backend, func(st *verifyState) error {
		if last := st.Current; last.waits() {
			return &TakenError{Name: verifyTurn(o.Backend), By: "run " + last.Run, Since: last.StartedAt}
		}
		st.begin(s.newRun(o))
		v = st.Current
		return nil
	})
	return v, err
}

// StopVerification asks the process that has a run to end it, and ends one that
// nobody has. A run that is over stays as it is.
func (s *Store) StopVerification(ctx context.Context, backendID, run string) (v Verification, err error) {
	if v, err = s.Verification(ctx, backendID, run); err != nil || v.Over() {
		return v, err
	}
	err = s.changeVerification(ctx, backendID, func(st *verifyState) error {
		if st.Current.Run == run && !st.Current.Over() {
			st.Current.Status, st.Current.FinishedAt = RunStopped, s.now().UTC()
			v = st.Current
		}
		return nil
	})
	var taken *TakenError
	if errors.As(err, &taken) {
		err = s.askToStop(ctx, backendID, run)
	}
	return v, err
}

// changeVerification changes the state of a backend where no run is under way.
func (s *Store) changeVerification(ctx context.Context, backendID string, change func(*verifyState) error) error {
	return s.InTurn(ctx, verifyTurn(backendID), func(ctx context.Context, t *Turn) error {
		st, err := readVerifyState(backendID, t.State())
		if err == nil {
			err = change(&st)
		}
		if err != nil {
			return err
		}
		text, err := json.Marshal(st)
		if err != nil {
			return err
		}
		return t.SetState(ctx, text)
	})
}

// askToStop leaves a note where the process that has the run looks.
func (s *Store) askToStop(ctx context.Context, backendID, run string) error {
	return s.WaitTurn(ctx, stopNote(backendID), nil, func(ctx context.Context, t *Turn) error {
		return t.SetState(ctx, []byte(run))
	})
}

// askedToStop reports whether a run was.
func (s *Store) askedToStop(ctx context.Context, backendID, run string) bool {
	n, err := s.noteOf(ctx, stopNote(backendID))
	return err == nil && string(n.State) == run
}

func stopNote(backendID string) string { return verifyTurn(backendID) + "/stop" }
