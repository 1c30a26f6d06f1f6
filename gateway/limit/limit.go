// Package limit bounds what one principal may have under way at once, and how many
// connections a gateway has. What is over a bound is refused with [Exceeded], which
// says when to try again; connections over theirs wait, and those of one address are
// closed.
//
// All of it is counted by this gateway alone. Where several serve one store, a
// principal may have as many on each.
package limit

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"artifactstore/gateway/auth"
	"artifactstore/gateway/origin"
)

// Exceeded means that a principal has as many of something as it may.
type Exceeded struct {
	What  string // "uploads" or "sessions"
	Most  int
	Retry time.Duration // after which another attempt makes sense
}

// Error says what there are too many of.
func (e *Exceeded) Error() string {
	return fmt.Sprintf("%d %s are under way already, which is as many as one principal may have", e.Most, e.What)
}

// Who is whose share a request counts to: its principal's; and, of those who do not
// say who they are, each address's, of IPv6 each /64, which is what one subscriber
// has.
func Who(ctx context.Context) string {
	if p := auth.From(ctx); p.Authenticated {
		return p.Name
	}
	a := origin.From(ctx).Client
	if !a.IsValid() {
		return "@"
	}
	return "@" + share(a).String() // no name of a principal begins so
}

// share is the address that an address counts to: itself, and of IPv6 its /64, of
// which one subscriber has them all.
func share(a netip.Addr) netip.Addr {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(a, bits).Masked().Addr()
}
