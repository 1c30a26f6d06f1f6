package main

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"artifactstore/cmd/config"
)

// route is where the bytes of an upload go, how long they are kept, and why.
type route struct {
	Producer       string   `json:"producer"`
	RetentionClass string   `json:"retention_class"`
	BackendID      string   `json:"backend_id"`
	Copies         []string `json:"copies"`  // ids of the backends that get a copy in the background
	Because        string   `json:"because"` // the key of the configuration that says so
	Kept           string   `json:"kept"`
}

// producerName is the form of producers, as the gateway takes them.
var producerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)

// explain finds the route of a producer and a class as the gateway does. An
// empty producer is the anonymous one, an empty class the default.
func explain(c *config.Config, producer, class string) (*route, error) {
	r := &route{Producer: cmp.Or(producer, "anonymous"), RetentionClass: cmp.Or(class, c.Retention.Default)}
	if !producerName.MatchString(r.Producer) {
		return nil, usagef("%q is not a producer: want %s", producer, producerName)
	}
	keep, ok := c.Retention.Classes[r.RetentionClass]
	if !ok {
		known := slices.Sorted(maps.Keys(c.Retention.Classes))
		return nil, usagef("there is no retention class %q: want one of %s", class, strings.Join(known, ", "))
	}
	r.Kept = keep.String()
	p := policy(c)
	id, rule := p.Route(r.RetentionClass, r.Producer)
	r.BackendID, r.Because = id, "routing.default"
	r.Copies = p.Desired(r.RetentionClass, r.Producer)[1:]
	if rule >= 0 {
		r.Because = fmt.Sprintf("routing.rules[%d]", rule)
	}
	return r, nil
}

// String is the route in a sentence.
func (r *route) String() string {
	kept := "for " + r.Kept
	if r.Kept == "forever" {
		kept = r.Kept
	}
	copies := ""
	if len(r.Copies) > 0 {
		copies = ", copied to " + strings.Join(r.Copies, " and ")
	}
	return fmt.Sprintf("producer %s, retention class %s: to backend %s (%s)%s, kept %s", r.Producer, r.RetentionClass, r.BackendID, r.Because, copies, kept)
}
