package auth

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Grant lets its holder do something to the resources that a pattern covers.
type Grant struct {
	Verb    Verb // or Every
	Pattern string
}

// maxPattern bounds a pattern, in bytes.
const maxPattern = 255

// ParseGrant reads "verb:pattern", such as "push:ci-*".
func ParseGrant(s string) (Grant, error) {
	verb, pattern, ok := strings.Cut(s, ":")
	g := Grant{Verb(verb), pattern}
	switch {
	case !ok:
		return Grant{}, fmt.Errorf("%.80q is not a grant; want verb:pattern, such as pull:* or push:ci-*", s)
	case g.Verb != Every && !slices.Contains(Verbs(), g.Verb):
		return Grant{}, fmt.Errorf("%.80q is not a verb; want pull, push, overwrite, delete, hold, admin or *", verb)
	case len(pattern) > maxPattern || !wellFormed(pattern):
		return Grant{}, fmt.Errorf("%.80q is not a pattern of producers or repositories; want segments parted by '/', in which * stands for anything, such as team/*", pattern)
	}
	return g, nil
}

// String gives what [ParseGrant] reads.
func (g Grant) String() string { return string(g.Verb) + ":" + g.Pattern }

func (g Grant) covers(v Verb) bool { return g.Verb == v || g.Verb == Every }

// wellFormed refuses what could match nothing, so that a slip in a grant is seen.
func wellFormed(pattern string) bool {
	for segment := range strings.SplitSeq(pattern, "/") {
		if _, err := path.Match(segment, ""); err != nil || segment == "" {
			return false
		}
		if strings.ContainsFunc(segment, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return false
		}
	}
	return true
}
