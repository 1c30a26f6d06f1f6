package cas

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"artifactstore/cas/digest"
)

// copyState is what is kept with the turn, as JSON.
type copyState struct {
	Routing  string           `json:"routing"`           // a digest of the routing that was followed
	Position uint64           `json:"position"`          // of the log, up to which it was
	Missing  map[string]int64 `json:"missing,omitempty"` // known, by backend
	Walk     *copyWalk        `json:"walk,omitempty"`    // over all blobs, under way
	Next     time.Time        `json:"next,omitzero"`     // not to walk again before
}

// copyWalk is a walk over all blobs in the order of their digests.
type copyWalk struct {
	Counting bool             `json:"counting,omitempty"` // what is missing; then another walk makes it
	After    digest.Digest    `json:"after,omitzero"`     // how far it is
	Left     map[string]int64 `json:"left,omitempty"`     // what is missing behind it
	Began    time.Time        `json:"began"`
}

// passed reports whether the walk has been at a blob.
func (w *copyWalk) passed(blob digest.Digest) bool {
	return !w.After.IsZero() && blob.Hex() <= w.After.Hex()
}

// restFactor is how much longer it is until the next walk than the last one took: a
// large store is not walked all the time because one copy cannot be made.
const restFactor = 10

// pass ends a walk.
func (st *copyState) pass(now time.Time) {
	w := st.Walk
	st.Missing = maps.Clone(w.Left)
	st.Walk = nil
	if w.Counting && len(st.Missing) > 0 {
		st.Walk = &copyWalk{Began: now}
		return
	}
	st.Next = now.Add(max(restTime, restFactor*now.Sub(w.Began)))
}

func readCopyState(text []byte) (st copyState, err error) {
	if len(text) == 0 {
		return st, nil
	}
	if err = json.Unmarshal(text, &st); err != nil {
		err = fmt.Errorf("the state of %s is none: %w", turnCopies, err)
	}
	return st, err
}

// count changes the counts.
func (f *follower) count(change func(*copyState)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Missing == nil {
		f.state.Missing = map[string]int64{}
	}
	if w := f.state.Walk; w != nil && w.Left == nil {
		w.Left = map[string]int64{}
	}
	change(&f.state)
}

func (f *follower) save(ctx context.Context) error {
	text, err := json.Marshal(f.state)
	if err != nil {
		return err
	}
	return f.turn.SetState(ctx, text)
}

// fingerprint is the same as long as every route is.
func (p *Policy) fingerprint() string {
	text, _ := json.Marshal([]any{p.Default, p.Copies, p.Rules}) // of strings alone
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Missing returns, for each configured backend, of how many blobs the copies that
// routes promise are known to be missing there, whichever gateway found out. A blob
// that has no stored location is none of them.
func (s *Store) Missing(ctx context.Context) (map[string]int64, error) {
	n, err := s.noteOf(ctx, turnCopies)
	if err != nil {
		return nil, err
	}
	st, err := readCopyState(n.State)
	if err != nil {
		return nil, err
	}
	all := map[string]int64{}
	for _, b := range s.list {
		all[b.ID] = 0
		if len(s.policy.promising()) > 0 {
			all[b.ID] = st.Missing[b.ID]
		}
	}
	return all, nil
}
