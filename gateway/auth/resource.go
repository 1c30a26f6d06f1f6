package auth

import (
	"path"
	"strings"
)

// Resource is what somebody does something to: a producer, a package as
// producer/name, or a repository. It is made of a parsed request, never of a path as
// it was sent: one thing has one resource, however it was spelled.
type Resource string

// Everything is all there is, and what belongs to no producer: events, backends,
// metrics. Only the pattern "*" covers it.
const Everything Resource = ""

// Package is a package, in all its versions.
func Package(producer, name string) Resource { return Resource(producer + "/" + name) }

// alone before a resource is a pattern of it without what lies below. No name begins
// with it.
const alone = "="

// matches reports whether a pattern covers the resource: whether it matches it, or
// what it lies below, segment by segment.
func (on Resource) matches(pattern string) bool {
	if pattern == "*" {
		return true
	}
	if one, ok := strings.CutPrefix(pattern, alone); ok {
		return string(on) == one && one != ""
	}
	rest := string(on)
	for want := range strings.SplitSeq(pattern, "/") {
		if rest == "" {
			return false
		}
		var segment string
		segment, rest, _ = strings.Cut(rest, "/")
		if ok, err := path.Match(want, segment); err != nil || !ok {
			return false
		}
	}
	return true
}
