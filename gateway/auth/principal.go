// Package auth says who asks. Every request carries a [Principal]; today there
// is only the anonymous one, so that what a principal may do becomes a policy
// later and not a rewrite.
package auth

import "context"

// Principal is who asks.
type Principal struct {
	// Name stands in events and leases, and is the producer of what is pushed
	// without one. It has the form of a producer.
	Name string
}

// Anonymous is the principal of a request that says nothing of its sender.
var Anonymous = Principal{Name: "anonymous"}

// Administers reports whether the principal may do what is left to
// administrators: to have a package kept for less time. While there is no
// authorization, whoever reaches the gateway may do everything.
func (Principal) Administers() bool { return true }

type key struct{}

// With returns a context that carries p.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, key{}, p)
}

// From returns the principal of a request's context, [Anonymous] without one.
func From(ctx context.Context) Principal {
	if p, ok := ctx.Value(key{}).(Principal); ok {
		return p
	}
	return Anonymous
}
