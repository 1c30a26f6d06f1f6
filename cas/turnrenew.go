package cas

import (
	"context"
	"errors"
	"time"

	"artifactstore/registry"
)

// renew keeps the claim until the context ends, and ends it with ErrTurnLost when
// another has the turn, or may have it: its own clock says so, not the registry,
// which may be away.
func (t *Turn) renew(ctx context.Context, cancel context.CancelCauseFunc) {
	for pause := turnRenewal; sleep(ctx, pause) == nil; {
		switch err := t.renewOnce(ctx); {
		case errors.Is(err, registry.ErrConflict), t.Check() != nil:
			cancel(ErrTurnLost)
			return
		case err != nil:
			pause = turnRetry
		default:
			pause = turnRenewal
		}
	}
}

func (t *Turn) renewOnce(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, *t.until.Load())
	defer cancel()
	until := time.Now().Add(turnLasting)
	err := t.store.reg.Renew(ctx, t.name, t.token, turnLasting)
	if err == nil {
		t.until.Store(&until)
	}
	return err
}
