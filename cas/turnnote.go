package cas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// note is what is kept of a name beside its claim, in JSON.
type note struct {
	Holder string    `json:"holder"`
	Began  time.Time `json:"began"`
	Ended  time.Time `json:"ended,omitzero"` // zero while it runs, and where it broke off
	Done   time.Time `json:"done,omitzero"`  // when it last ended well
	Due    time.Time `json:"due,omitzero"`   // when it is to run again
	State  []byte    `json:"state,omitempty"`
}

// noteOf reads what is kept of a name; nothing is a zero note.
func (s *Store) noteOf(ctx context.Context, name string) (n note, err error) {
	text, err := s.reg.State(ctx, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return n, nil
	case err != nil:
		return n, registryError("look up the turn of "+name, err)
	}
	if err := json.Unmarshal(text, &n); err != nil {
		return n, fmt.Errorf("the note of %s is none: %w", name, err)
	}
	return n, nil
}

// left is the time until work is due again.
func (n note) left(every time.Duration, now time.Time) time.Duration {
	if n.Began.IsZero() || n.Ended.IsZero() {
		return 0
	}
	due := n.Began.Add(every)
	if !n.Due.IsZero() && n.Due.Before(due) {
		due = n.Due
	}
	return due.Sub(now)
}
