package config

import (
	"maps"
	"path"
	"slices"
	"strings"
)

func (m *mistakes) checkRouting(c *Config) {
	m.checkRoute("routing.default", c.Routing.Default, c.Backends)
	m.checkCopies("routing.copies", c.Routing.Default, c.Routing.Copies, c.Backends)
	m.longer("routing.copying.every", c.Routing.Copying.Every, minEvery)
	m.atLeast("routing.copying.bytes_per_second", c.Routing.Copying.BytesPerSecond, 0)
	for i, r := range c.Routing.Rules {
		at := index("routing.rules", i)
		m.checkRoute(at+".backend", r.Backend, c.Backends)
		m.checkCopies(at+".copies", r.Backend, r.Copies, c.Backends)
		if r.RetentionClass == "" && r.Producer == "" {
			m.add(at, "has neither retention_class nor producer; what every rule lets through goes to routing.default")
		}
		if r.RetentionClass != "" {
			m.oneOf(at+".retention_class", r.RetentionClass, "class", classes(c))
		}
		if _, err := path.Match(r.Producer, ""); err != nil {
			m.add(at+".producer", `%s is not a glob: a "[" is not closed, or a "\" is last`, quote(r.Producer))
		} else if strings.Contains(r.Producer, "/") {
			m.add(at+".producer", `%s matches no producer: none has a "/" in its name`, quote(r.Producer))
		}
	}
}

// checkRoute refuses a route to no backend, unless a backend whose id is wrong
// may be the one that is meant.
func (m *mistakes) checkRoute(at, id string, list []Backend) {
	var ids []string
	for i, b := range list {
		if m.blamed[index("backends", i)+".id"] {
			return
		}
		ids = append(ids, b.ID)
	}
	switch {
	case len(list) == 0:
	case m.rank(at) == 0 && !slices.Contains(ids, id):
		m.add("backends", "%s is not written, and which of %s it is cannot be told", at, strings.Join(ids, ", "))
	default:
		m.oneOf(at, id, "backend", ids)
	}
}

// checkCopies refuses copies on no backend, and on one that has the bytes already.
func (m *mistakes) checkCopies(at, backend string, copies []string, list []Backend) {
	for i, id := range copies {
		at := index(at, i)
		switch {
		case id == backend:
			m.add(at, "the copy would be on %s, where the bytes are already", quote(id))
		case slices.Contains(copies[:i], id):
			m.add(at, "%s is there twice", quote(id))
		default:
			m.checkRoute(at, id, list)
		}
	}
}

func (m *mistakes) checkRetention(c *Config) {
	const grace, idle = "retention.upload_grace", "limits.idle"
	r := &c.Retention
	m.oneOf("retention.default", r.Default, "class", classes(c))
	for _, name := range classes(c) {
		at := join("retention.classes", name)
		if !isName(name) {
			m.add(at, `the name is not one; want 1 to 64 letters, digits, "_" and "-", a letter or a digit first`)
		}
		if r.Classes[name].Length() == 0 {
			m.add(at, "is nothing; want a time, such as 90d, or forever")
		}
	}
	if r.UploadGrace.Length() <= c.Limits.Idle.Length() && !m.blamed[idle] {
		m.add(m.upper(grace, idle),
			"upload_grace (%s) is not longer than limits.idle (%s): an upload that is still alive would count as abandoned", r.UploadGrace, c.Limits.Idle)
	}
}

// oneOf refuses a name that is none of those wanted.
func (m *mistakes) oneOf(at, name, what string, wanted []string) {
	if !slices.Contains(wanted, name) || name == "" {
		m.add(at, "there is no %s %s; want one of %s", what, quote(name), strings.Join(wanted, ", "))
	}
}

func classes(c *Config) []string {
	return slices.Sorted(maps.Keys(c.Retention.Classes))
}
