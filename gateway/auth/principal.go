package auth

import "context"

// Principal is who asks, and what they may do.
type Principal struct {
	// Name stands in events and leases, and is the producer of what is pushed
	// without one. It has the form of a producer.
	Name   string
	Grants []Grant
	// Authenticated is false for who gave no credentials.
	Authenticated bool
	// Scoped says that the grants are those of a signed token (see [Issuer]): what it
	// was asked for, and not all that its holder may do.
	Scoped bool
}

// Anonymous is the principal of a request that says nothing of its sender, where
// nobody is asked who they are: it may do everything.
var Anonymous = Principal{Name: "anonymous", Grants: []Grant{{Verb: Every, Pattern: "*"}}}

// May reports whether the principal may do something to a resource. It is pure, and
// the only place where that is decided: what no grant covers is denied.
func (p Principal) May(v Verb, on Resource) bool {
	for _, g := range p.Grants {
		if g.covers(v) && on.matches(g.Pattern) {
			return true
		}
	}
	return false
}

// MaySomewhere reports whether there is any resource to which the principal may do
// something: whether a list of those to which it may is worth making.
func (p Principal) MaySomewhere(v Verb) bool {
	for _, g := range p.Grants {
		if g.covers(v) {
			return true
		}
	}
	return false
}

// asking is a request's principal, and whether what it may do has been decided.
type asking struct {
	Principal
	decided bool
}

type key struct{}

// With returns a context that carries p, of whose request nothing is decided yet.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, key{}, &asking{Principal: p})
}

// From returns the principal of a request's context, [Anonymous] without one.
func From(ctx context.Context) Principal {
	if a, ok := ctx.Value(key{}).(*asking); ok {
		return a.Principal
	}
	return Anonymous
}

// Require decides whether the principal of a request may do something to a
// resource: nil, or a [*Refused]. Every handler calls it, [RequireSomewhere] or
// [Public] before it does anything.
func Require(ctx context.Context, v Verb, on Resource) error {
	p := decide(ctx)
	if p.May(v, on) {
		return nil
	}
	return &Refused{Verb: v, Resource: on, Unauthenticated: !p.Authenticated, Scoped: p.Scoped}
}

// RequireSomewhere decides whether the principal may do something to any resource
// at all. The handler then leaves out those to which it may not.
func RequireSomewhere(ctx context.Context, v Verb) error {
	p := decide(ctx)
	if p.MaySomewhere(v) {
		return nil
	}
	return &Refused{Verb: v, Unauthenticated: !p.Authenticated, Scoped: p.Scoped}
}

// RequireName decides whether a request says who sends it, or need not, since who says
// nothing may do everything. Clients learn by it whether to log in: they would send
// no credentials where anonymous requests may do something, and then are refused
// what these may not.
func RequireName(ctx context.Context) error {
	p := decide(ctx)
	if p.Authenticated || p.Scoped || p.May(Every, Everything) {
		return nil
	}
	return &Refused{Unauthenticated: true}
}

// Public decides that everybody may do what a request asks for.
func Public(ctx context.Context) { decide(ctx) }

// Decided reports whether a request's handler has asked what its principal may do:
// a success is not sent before.
func Decided(ctx context.Context) bool {
	a, ok := ctx.Value(key{}).(*asking)
	return ok && a.decided
}

func decide(ctx context.Context) Principal {
	a, ok := ctx.Value(key{}).(*asking)
	if !ok {
		return Anonymous
	}
	a.decided = true
	return a.Principal
}
