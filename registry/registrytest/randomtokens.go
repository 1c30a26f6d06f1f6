package registrytest

import (
	"fmt"

	"pgregory.net/rapid"

	"artifactstore/registry"
)

// runTokens is how many tokens a run has names for.
const runTokens = 3

// tokenNames are the tokens of a run, few, so that events often meet.
type tokenNames struct{ *run }

// extend adds tokens to the run's events and comparisons.
func (n tokenNames) extend() {
	others, compare := n.run.event, n.run.compare
	n.run.event = func(t *rapid.T) registry.Event {
		if rapid.IntRange(0, 3).Draw(t, "about tokens") > 0 {
			return others(t)
		}
		return registry.Event{Actor: rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "actor"), Data: n.event(t)}
	}
	n.run.compare = func(reg registry.Registry) {
		compare(reg)
		n.compare(reg)
	}
}

// prefix begins the ids of the run, which sort behind those of all runs before it.
func (n tokenNames) prefix() string { return fmt.Sprintf("run%06d-", n.number) }

func (n tokenNames) id(i int) string { return n.prefix() + fmt.Sprint(i) }

func (n tokenNames) event(t *rapid.T) registry.Data {
	id := n.id(rapid.IntRange(0, runTokens-1).Draw(t, "token"))
	if rapid.Bool().Draw(t, "revoke") {
		return revoked(id)
	}
	d := token(id, n.number*runTokens+rapid.IntRange(0, runTokens-1).Draw(t, "hash"))
	if rapid.Bool().Draw(t, "expires") {
		d.ExpiresAt = day(rapid.IntRange(1, 5).Draw(t, "at"))
	}
	return d
}

func (n tokenNames) compare(reg registry.Registry) {
	a := admission{n.T, n.ctx, reg, &n.model}
	for i := range runTokens {
		a.token(n.id(i))
		a.hash(tokenHash(n.number*runTokens + i))
	}
	for _, limit := range []int{1, runTokens} {
		got, err := reg.Tokens(n.ctx, n.prefix(), limit)
		same(comparison{t: n.T}, "Tokens", got, err, n.model.Tokens(n.prefix(), limit), nil)
	}
}
