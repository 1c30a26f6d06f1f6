package auth

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Scope is what a client wants a token for, in the words of the distribution
// protocol: a type ("repository", "registry"), a name, and actions.
type Scope struct {
	Type, Name string
	Actions    []string
}

// Bounds of what one token may be asked for.
const (
	maxScopes    = 64
	maxScopeName = 255
	maxActions   = 16
)

var (
	scopeType = regexp.MustCompile(`^[a-z0-9]+(\([a-z0-9]+\))?$`)
	scopeName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	action    = regexp.MustCompile(`^([a-z]*|\*)$`)
)

// ParseScopes reads scopes, "type:name:action,action" each, parted by spaces. What is
// well formed and names a type or an action that does not exist here is none that a
// token is ever given for, and no error: clients ask for what other services have.
func ParseScopes(texts ...string) (all []Scope, err error) {
	for _, text := range texts {
		for one := range strings.FieldsSeq(text) {
			s, err := parseScope(one)
			if err != nil {
				return nil, err
			}
			if all = append(all, s); len(all) > maxScopes {
				return nil, fmt.Errorf("more than %d scopes; want a token for less", maxScopes)
			}
		}
	}
	return all, nil
}

func parseScope(text string) (Scope, error) {
	kind, rest, first := strings.Cut(text, ":")
	at := strings.LastIndexByte(rest, ':')
	if !first || at < 0 {
		return Scope{}, fmt.Errorf("%.80q is not a scope; want type:name:actions, such as repository:team/app:pull,push", text)
	}
	s := Scope{kind, rest[:at], strings.Split(rest[at+1:], ",")}
	switch {
	case !scopeType.MatchString(s.Type):
		return Scope{}, fmt.Errorf("%.80q is not the type of a scope; want repository or registry", s.Type)
	case len(s.Name) > maxScopeName || !scopeName.MatchString(s.Name):
		return Scope{}, fmt.Errorf("%.80q is not the name of a repository", s.Name)
	case len(s.Actions) > maxActions:
		return Scope{}, fmt.Errorf("a scope with %d actions; want %d at most", len(s.Actions), maxActions)
	case slices.ContainsFunc(s.Actions, func(a string) bool { return !action.MatchString(a) }):
		return Scope{}, fmt.Errorf("%.80q are not actions; want some of pull, push and delete, parted by commas", rest[at+1:])
	}
	return s, nil
}

// String gives what [ParseScopes] reads.
func (s Scope) String() string { return s.Type + ":" + s.Name + ":" + strings.Join(s.Actions, ",") }

// verbs are what the protocol's actions mean here: its push also moves tags.
var verbs = map[string][]Verb{
	"pull":   {Pull},
	"push":   {Push, Overwrite},
	"delete": {Delete},
	"*":      {Pull, Push, Overwrite, Delete},
}

// cut returns of what scopes ask for what the principal may do: of a repository, to
// it alone and not to what lies below. The catalogue is all that the principal may
// read.
func (p Principal) cut(scopes []Scope) (all []Grant) {
	add := func(g Grant) {
		if !slices.Contains(all, g) {
			all = append(all, g)
		}
	}
	for _, s := range scopes {
		kind, _, _ := strings.Cut(s.Type, "(")
		switch {
		case kind == "repository":
			for _, a := range s.Actions {
				for _, v := range verbs[a] {
					if p.May(v, Resource(s.Name)) {
						add(Grant{Verb: v, Pattern: alone + s.Name})
					}
				}
			}
		case kind == "registry" && s.Name == "catalog" && slices.Contains(s.Actions, "*"):
			for _, g := range p.Grants {
				if g.covers(Pull) {
					add(Grant{Verb: Pull, Pattern: g.Pattern})
				}
			}
		}
	}
	return all
}
