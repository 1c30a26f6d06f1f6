package gateway_test

import (
	"context"
	"testing"

	"artifactstore/gateway/auth"
)

// persona is somebody who asks, and what the table's own oracle knows of them: it
// reads no grant.
type persona struct {
	name  string
	verbs []string // what they may do
	scope string   // to what: "*" or a producer; "" to nothing
	gate  string   // what anonymous may do at the gateway they use; "" nothing
	named bool     // their requests carry a credential
	bad   bool     // which is not good
}

// has reports whether the persona may do something to what a tenant has; tenant "" is
// all there is.
func (p persona) has(verb, tenant string) bool {
	return p.somewhere(verb) && (p.scope == "*" || tenant != "" && p.scope == tenant)
}

// somewhere reports whether there is anything to which the persona may do something.
func (p persona) somewhere(verb string) bool {
	for _, v := range p.verbs {
		if v == verb {
			return p.scope != "" && !p.bad
		}
	}
	return false
}

// refused is the status of what the persona may not do.
func (p persona) refused() int {
	if p.bad || !p.named {
		return 401
	}
	return 403
}

var everyVerb = []string{"pull", "push", "overwrite", "delete", "hold", "admin"}

// personas are all who ask for each row.
func personas() []persona {
	all := []persona{
		{name: "anonymous"},
		{name: "anonymous-reader", verbs: []string{"pull"}, scope: "team", gate: "pull:team"},
		{name: "nothing", named: true},
		{name: "owner", named: true, verbs: everyVerb, scope: "*"},
		{name: "tenant", named: true, verbs: everyVerb, scope: "team"},
		{name: "other", named: true, verbs: everyVerb, scope: "other"},
		{name: "mover", named: true, verbs: []string{"push", "overwrite"}, scope: "team"},
		{name: "revoked", named: true, verbs: everyVerb, scope: "*", bad: true},
		{name: "expired", named: true, verbs: everyVerb, scope: "*", bad: true},
		{name: "unknown", named: true, bad: true},
	}
	for _, verb := range everyVerb {
		all = append(all,
			persona{name: verb + "-all", named: true, verbs: []string{verb}, scope: "*"},
			persona{name: verb + "-team", named: true, verbs: []string{verb}, scope: "team"})
	}
	return all
}

// grants writes what a persona may do the way a configuration does.
func (p persona) grants(t *testing.T) (all []auth.Grant) {
	t.Helper()
	for _, verb := range p.verbs {
		g, err := auth.ParseGrant(verb + ":" + p.scope)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
	}
	return all
}

// passwords is a way to say who one is: the bearer's token is a name.
type passwords map[string]auth.Principal

func (m passwords) Identify(_ context.Context, c auth.Credentials) (auth.Principal, bool, error) {
	if c.Bearer == "" {
		return auth.Principal{}, false, nil
	}
	p, ok := m[c.Bearer]
	if !ok {
		return p, false, auth.ErrCredentials
	}
	return p, true, nil
}

// credentials returns the way in which personas say who they are: what is bad is not
// in it.
func credentials(t *testing.T, all []persona) passwords {
	t.Helper()
	m := passwords{}
	for _, p := range all {
		if p.named && !p.bad {
			m[p.name] = auth.Principal{Name: p.name, Grants: p.grants(t)}
		}
	}
	return m
}
