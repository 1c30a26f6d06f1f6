package cas

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"artifactstore/registry"
)

// Background work is shared by all gateways of a store. Whoever has the turn for a
// name does the work of that name; the registry's claims see to it that one has it
// at a time. With the claim a note is kept that outlives it: who had it last, how
// that ended, when it is due again, and what the work itself wants to remember.

// The time that a claim lasts without being renewed, and the time between two
// renewals: a gateway that dies is replaced after the first.
const (
	turnLasting = 30 * time.Second
	turnRenewal = 10 * time.Second
	turnRetry   = time.Second // after a renewal that was not answered
)

// ErrTurnLost means that another process may have the turn by now. It is the cause
// that the context of the work ends with.
var ErrTurnLost = errors.New("the turn was lost to another process")

// TakenError says that another has the turn.
type TakenError struct {
	Name  string
	By    string    // for people; "" where it is not known yet
	Since time.Time // zero where it is not known yet
}

// Error says who has it.
func (e *TakenError) Error() string {
	if e.By == "" {
		return e.Name + ": another process is at it"
	}
	return fmt.Sprintf("%s: %s is at it since %s", e.Name, e.By, e.Since.Format(time.RFC3339))
}

// Turn is the right to do the work of a name, held while the work runs.
type Turn struct {
	store *Store
	name  string
	token uint64
	note  note
	broke bool
	until atomic.Pointer[time.Time] // the end of the claim, by this process's monotonic clock
}

// InTurn does a work when nobody else is at the work of that name; where somebody is
// it returns a *TakenError at once. The context that the work gets ends
// when the turn is lost. What the work returns is returned.
func (s *Store) InTurn(ctx context.Context, name string, do func(context.Context, *Turn) error) error {
	return s.inTurn(ctx, name, func(note) bool { return true }, 0, do)
}

// WaitTurn is InTurn that waits until nobody else is at it. waiting, which may be
// nil, is told once whom it waits for.
func (s *Store) WaitTurn(ctx context.Context, name string, waiting func(*TakenError), do func(context.Context, *Turn) error) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		var taken *TakenError
		err := s.InTurn(ctx, name, do)
		if !errors.As(err, &taken) || taken.Name != name {
			return err
		}
		if waiting != nil && taken.By != "" {
			waiting(taken)
			waiting = nil
		}
		if err := s.sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// inTurn is InTurn for a work that is only done where its note, read under the
// claim, says that it should be. Every is the time after which it is due again, 0
// to leave that as it is.
func (s *Store) inTurn(ctx context.Context, name string, wanted func(note) bool, every time.Duration, do func(context.Context, *Turn) error) error {
	until := time.Now().Add(turnLasting)
	token, ok, err := s.reg.Claim(ctx, name, s.holder, turnLasting)
	if err != nil {
		return registryError("claim "+name, err)
	}
	if !ok {
		n, _ := s.noteOf(ctx, name) // who it is: worth nothing but a word
		return &TakenError{Name: name, By: n.Holder, Since: n.Began}
	}
	t := &Turn{store: s, name: name, token: token}
	t.until.Store(&until)
	defer t.release(ctx)
	if t.note, err = s.noteOf(ctx, name); err != nil || !wanted(t.note) {
		return err
	}
	t.broke = !t.note.Began.IsZero() && t.note.Ended.IsZero()
	t.note.Holder, t.note.Began, t.note.Ended = s.holder, s.now().UTC(), time.Time{}
	if err := t.write(ctx); err != nil {
		return err
	}
	work, cancel := context.WithCancelCause(ctx)
	renewing := make(chan struct{})
	go func() { defer close(renewing); t.renew(work, cancel) }()
	err = do(work, t)
	if cause := context.Cause(work); errors.Is(cause, ErrTurnLost) && err != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	cancel(nil)
	<-renewing
	return errors.Join(err, t.end(ctx, every, err))
}

// Broke reports whether the turn before this one broke off: its process died, or
// lost the turn, and what it had begun may still go on.
func (t *Turn) Broke() bool { return t.broke }

// Check returns ErrTurnLost when another may have the turn by now. A process that was
// stopped for long and goes on finds out before its context does: it asks before
// each effect that must not come late.
func (t *Turn) Check() error {
	if time.Now().After(*t.until.Load()) {
		return fmt.Errorf("%s: %w", t.name, ErrTurnLost)
	}
	return nil
}

// State returns what the work last kept, whoever did it; nil for nothing.
func (t *Turn) State() []byte { return t.note.State }

// SetState keeps a value for the turns to come. It is ErrTurnLost, and keeps
// nothing, where another has had the turn since.
func (t *Turn) SetState(ctx context.Context, state []byte) error {
	t.note.State = state
	return t.write(ctx)
}

// keep is SetState for a value that is written when the turn ends.
func (t *Turn) keep(state []byte) { t.note.State = state }

func (t *Turn) write(ctx context.Context) error {
	text, err := json.Marshal(t.note)
	if err != nil {
		return err
	}
	return t.answered("write the note of", t.store.reg.SetState(ctx, t.name, t.token, text))
}

func (t *Turn) answered(verb string, err error) error {
	if errors.Is(err, registry.ErrConflict) {
		return fmt.Errorf("%s %s: %w", verb, t.name, ErrTurnLost)
	}
	return registryError(verb+" "+t.name, err)
}

// endTime bounds how long the end of a turn may take to be written.
const endTime = 10 * time.Second

// end notes how the turn ended. One that was interrupted is due at once.
func (t *Turn) end(ctx context.Context, every time.Duration, err error) error {
	now := t.store.now().UTC()
	t.note.Ended = now
	switch {
	case ctx.Err() != nil && err != nil:
		t.note.Due = now
	case every > 0:
		t.note.Due = t.note.Began.Add(every)
	}
	if err == nil {
		t.note.Done = now
	}
	if errors.Is(err, ErrTurnLost) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	return t.write(ctx)
}

// release lets others have the turn at once. Where that fails they have it when the
// claim ends.
func (t *Turn) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	if err := t.store.reg.Release(ctx, t.name, t.token); err != nil {
		t.store.log.WarnContext(ctx, "a turn could not be given back; it ends by itself", "task", t.name, "error", err)
	}
}

// newHolder names this process for people, and apart from every other.
func newHolder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var b [4]byte
	rand.Read(b[:])
	return fmt.Sprintf("%s:%d:%s", host, os.Getpid(), hex.EncodeToString(b[:]))
}
