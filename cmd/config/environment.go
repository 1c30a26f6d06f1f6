package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

const prefix = "ARTIFACTSTORE_"

// elsewhere are the variables that are not keys: the command line reads them.
// Those beginning with ARTIFACTSTORE_TEST_ belong to the project's tests.
var elsewhere = []string{prefix + "CONFIG", prefix + "SERVER", prefix + "TOKEN", prefix + "CREDENTIALS", prefix + "CA_FILE"}

// override lays the environment over a configuration. A variable that names no
// key is a mistake: most likely it is a key misspelt.
func (m *mistakes) override(c *Config, env []string) {
	keys := map[string][]leaf{}
	for l := range leaves(reflect.ValueOf(c).Elem(), "") {
		keys[variable(l.path)] = append(keys[variable(l.path)], l)
	}
	given := variables(env)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch named := keys[name]; len(named) {
		case 0:
			m.list = append(m.list, mistake{text: name + ": names no key" + serviceLink(name)})
		case 1:
			path := named[0].path
			m.variables[path] = name
			if err := named[0].set(given[name]); err != nil {
				m.add(path, "%v", err)
			}
		default:
			m.list = append(m.list, mistake{text: name + ": could be " + named[0].path + " or " + named[1].path})
		}
	}
}

// variables are those in env that are meant to be keys.
func variables(env []string) map[string]string {
	given := map[string]string{}
	for _, entry := range env {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, prefix+"TEST_") && !slices.Contains(elsewhere, name) {
			given[name] = value
		}
	}
	return given
}

// variable is the name of the environment variable for a path.
func variable(path string) string {
	return prefix + strings.Map(func(r rune) rune {
		switch {
		case r == ']':
			return -1
		case isAlphanumeric(r):
			return r
		}
		return '_'
	}, strings.ToUpper(path))
}

// serviceLink explains the variables that a container gets unasked where a
// service of its namespace is called artifactstore.
func serviceLink(name string) string {
	if strings.Contains(name+"_", "_PORT_") || strings.Contains(name, "_SERVICE_") {
		return " (if it stems from a Kubernetes service, set enableServiceLinks: false)"
	}
	return ""
}
