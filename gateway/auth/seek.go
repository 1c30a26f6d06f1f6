package auth

import "strings"

// NextResource returns where a list of resources in byte order that has come to one
// which the principal may not do something to goes on: at the same where others that
// it may can follow directly, else where the next pattern's begin. It is false where
// none can follow. A list so passes over what is not for its reader without reading it.
func (p Principal) NextResource(v Verb, at string) (string, bool) {
	return p.next(v, at, func(pattern string) string { return pattern })
}

// NextProducer is [Principal.NextResource] for a list of producers.
func (p Principal) NextProducer(v Verb, at string) (string, bool) {
	return p.next(v, at, func(pattern string) string {
		producer, _, _ := strings.Cut(pattern, "/")
		return producer
	})
}

func (p Principal) next(v Verb, at string, part func(pattern string) string) (next string, ok bool) {
	for _, g := range p.Grants {
		if !g.covers(v) {
			continue
		}
		begin := literal(part(g.Pattern))
		switch {
		case strings.HasPrefix(at, begin):
			return at, true
		case begin > at && (!ok || begin < next):
			next, ok = begin, true
		}
	}
	return next, ok
}

// literal returns what every match of a pattern begins with.
func literal(pattern string) string {
	if one, ok := strings.CutPrefix(pattern, alone); ok {
		return one
	}
	if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

// Before returns a text that sorts before a name, which is not empty, and after all
// other names before it.
func Before(name string) string {
	last := len(name) - 1
	return name[:last] + string(name[last]-1) + "\x7f"
}
