package cas

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Policy says where bytes go and how long they stay, by producer and retention
// class.
type Policy struct {
	Default string   // id of the backend that takes what no rule matches
	Copies  []string // ids of the backends that get a copy of it
	Rules   []Rule   // the first match wins
	// Classes are the retention classes and how long each keeps; a negative
	// duration is for ever.
	Classes      map[string]time.Duration
	DefaultClass string
}

// Rule sends a retention class and the producers that match a glob to a backend.
// An empty field matches everything. The glob is one of [path.Match].
type Rule struct {
	RetentionClass string
	Producer       string
	BackendID      string
	Copies         []string // ids of the backends that get a copy, in the background
}

func (r Rule) matches(class, producer string) bool {
	if r.RetentionClass != "" && r.RetentionClass != class {
		return false
	}
	if r.Producer == "" {
		return true
	}
	ok, _ := path.Match(r.Producer, producer)
	return ok
}

// Route returns the id of the backend for a class and a producer, and the index
// of the rule that says so, -1 for the default.
func (p *Policy) Route(class, producer string) (backendID string, rule int) {
	for i, r := range p.Rules {
		if r.matches(class, producer) {
			return r.BackendID, i
		}
	}
	return p.Default, -1
}

// Desired returns the ids of the backends on which content of a class and a
// producer is to be: the one that [Policy.Route] returns, and then its copies.
func (p *Policy) Desired(class, producer string) []string {
	id, rule := p.Route(class, producer)
	if rule < 0 {
		return append([]string{id}, p.Copies...)
	}
	return append([]string{id}, p.Rules[rule].Copies...)
}

// names reports whether any route names a backend.
func (p *Policy) names(id string) bool {
	return p.Default == id || slices.Contains(p.Copies, id) ||
		slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.BackendID == id || slices.Contains(r.Copies, id) })
}

// promising returns the desired backends of each route that has copies.
func (p *Policy) promising() (routes [][]string) {
	for _, r := range append(slices.Clone(p.Rules), Rule{BackendID: p.Default, Copies: p.Copies}) {
		if len(r.Copies) > 0 {
			routes = append(routes, append([]string{r.BackendID}, r.Copies...))
		}
	}
	return routes
}

// class returns the class to use where one was asked for, or the default where
// none was, and the end of a lease of that class.
func (p *Policy) class(asked string, now time.Time) (class string, until time.Time, err error) {
	if asked == "" {
		asked = p.DefaultClass
	}
	keep, ok := p.Classes[asked]
	if !ok {
		known := strings.Join(slices.Sorted(maps.Keys(p.Classes)), ", ")
		return "", time.Time{}, fmt.Errorf("%w: %q: want one of %s", ErrClassUnknown, asked, known)
	}
	if keep < 0 {
		return asked, Forever, nil
	}
	return asked, now.Add(keep).UTC().Truncate(time.Microsecond), nil
}

// check refuses a policy that names what is not configured.
func (p *Policy) check(list []Backend) error {
	known := func(id string) bool {
		return slices.ContainsFunc(list, func(b Backend) bool { return b.ID == id })
	}
	copies := func(id string, copies []string) error {
		for i, c := range copies {
			if !known(c) || c == id || slices.Contains(copies[:i], c) {
				return fmt.Errorf("copies: %q is no backend, or one that has it already", c)
			}
		}
		return nil
	}
	if !known(p.Default) {
		return fmt.Errorf("routing default: no backend %q", p.Default)
	}
	if err := copies(p.Default, p.Copies); err != nil {
		return fmt.Errorf("routing default: %w", err)
	}
	for i, r := range p.Rules {
		if !known(r.BackendID) {
			return fmt.Errorf("routing rule %d: no backend %q", i+1, r.BackendID)
		}
		if err := copies(r.BackendID, r.Copies); err != nil {
			return fmt.Errorf("routing rule %d: %w", i+1, err)
		}
		if _, err := path.Match(r.Producer, ""); err != nil {
			return fmt.Errorf("routing rule %d: producer %q: %w", i+1, r.Producer, err)
		}
	}
	if _, ok := p.Classes[p.DefaultClass]; !ok {
		return fmt.Errorf("default class: %w: %q", ErrClassUnknown, p.DefaultClass)
	}
	return nil
}
