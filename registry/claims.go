package registry

import (
	"context"
	"time"
)

// Claims shares background work among gateways: of all processes on a database
// one at a time has a name. Claims and states are operational rows like upload
// sessions: no event makes them, and a rebuild leaves them. Time is the
// database's clock, so that gateways whose clocks differ agree.
//
// A process may be stopped for longer than its claim and go on without noticing.
// So each claim has a token, and what the work writes is guarded by it.
type Claims interface {
	// Claim takes a name for a time, which is positive, unless somebody has it: ok is
	// false while a claim of it, by whomever, has neither ended nor been released.
	// The token is larger than that of every earlier claim of the name. Of concurrent
	// calls for a free name one has it. The holder is for people to read.
	Claim(ctx context.Context, name, holder string, lasting time.Duration) (token uint64, ok bool, err error)
	// Renew makes a claim last for a time from now. It is ErrConflict when the
	// claim was released or the name has been claimed since; one that has ended
	// may be renewed while nobody else has taken it.
	Renew(ctx context.Context, name string, token uint64, lasting time.Duration) error
	// Release ends a claim. Where it is not the name's last one, it changes nothing.
	Release(ctx context.Context, name string, token uint64) error

	// State returns what was last set for a name; fs.ErrNotExist where nothing was.
	State(ctx context.Context, name string) ([]byte, error)
	// SetState keeps a value, which may be empty, for a name, whoever claims it
	// later. It is ErrConflict, and changes nothing, where Renew with this
	// token would be.
	SetState(ctx context.Context, name string, token uint64, value []byte) error
}
