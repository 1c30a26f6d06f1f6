package gateway_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"artifactstore/cas"
	"artifactstore/cas/digest"
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
	seed  string   // what their token is made of, "" for the name
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

// grants writes what a persona may do the way a token has it.
func (p persona) grants() (all []string) {
	for _, verb := range p.verbs {
		all = append(all, verb+":"+p.scope)
	}
	return all
}

// tokenOf is the text of a token.
func tokenOf(seed string) string {
	sum := sha256.Sum256([]byte(seed))
	return "ast_" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// hashOf is what the registry knows of it.
func hashOf(seed string) digest.Digest {
	sum := sha256.Sum256([]byte(tokenOf(seed)))
	return digest.New(digest.SHA256, sum[:])
}

// register makes the tokens of personas known in the registry; one is revoked, one has
// expired, one is not there.
func (x *table) register(p persona) {
	x.t.Helper()
	if !p.named || p.name == "unknown" || len(p.verbs) == 0 {
		return
	}
	made := cas.Token{ID: p.name, Principal: p.name, Hash: hashOf(p.name), Grants: p.grants()}
	if p.name == "expired" {
		made.ExpiresAt = time.Now().Add(-time.Second)
	}
	x.create(made)
	if p.name == "revoked" {
		if err := x.store.RevokeToken(x.t.Context(), p.name, "test"); err != nil {
			x.t.Fatal(err)
		}
	}
}

func (x *table) create(made cas.Token) {
	x.t.Helper()
	if _, err := x.store.CreateToken(x.t.Context(), made, "test"); err != nil {
		x.t.Fatal(err)
	}
}

// enter makes somebody with grants known.
func (x *table) enter(name string, grants ...string) persona {
	x.t.Helper()
	x.entered++
	seed := fmt.Sprint(name, "-", x.entered)
	x.create(cas.Token{ID: seed, Principal: name, Grants: grants, Hash: hashOf(seed)})
	return persona{name: name, seed: seed, named: true}
}
