package gateway_test

import (
	"fmt"
	"strings"
)

// spelling is a path that means, or could be taken to mean, what another does.
type spelling struct {
	name string
	path string
	// same: it is the same resource, and every answer is the canonical one's.
	// Otherwise it is nothing that is served, unless foreign: then it is a
	// resource of another name.
	same, foreign bool
}

// spellings returns all that are tried of a path, in which a client chose some
// segments.
func spellings(path string, chosen []string) (all []spelling) {
	escaped, upper := path, path
	for _, s := range chosen {
		escaped = strings.Replace(escaped, "/"+s, fmt.Sprintf("/%%%02X%s", s[0], s[1:]), 1)
		upper = strings.Replace(upper, "/"+s, "/"+strings.ToUpper(s), 1)
	}
	add := func(s spelling) {
		if s.path != path {
			all = append(all, s)
		}
	}
	add(spelling{name: "a chosen segment escaped", path: escaped, same: true})
	add(spelling{name: "a chosen segment in capitals", path: upper, foreign: true})
	add(spelling{name: "capitals", path: strings.ToUpper(path)})
	add(spelling{name: "trailing slash", path: path + "/"})
	add(spelling{name: "trailing dot", path: path + "/."})
	add(spelling{name: "trailing dots", path: path + "/x/.."})
	add(spelling{name: "trailing escape", path: path + "%2f"})
	add(spelling{name: "all escaped", path: escapeAll(path)})
	for i := range path {
		if path[i] != '/' {
			continue
		}
		before, after := path[:i], path[i:]
		add(spelling{name: "doubled slash", path: before + "/" + after})
		add(spelling{name: "dot", path: before + "/." + after})
		add(spelling{name: "dots", path: before + "/x/.." + after})
		add(spelling{name: "escaped dot", path: before + "/%2e" + after})
		add(spelling{name: "escaped dots", path: before + "/x/%2E%2e" + after})
		if i > 0 && after != "/" {
			add(spelling{name: "escaped slash", path: before + "%2F" + after[1:]})
			add(spelling{name: "backslash", path: before + "%5C" + after[1:]})
		}
	}
	return all
}

func escapeAll(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if c == '/' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}
