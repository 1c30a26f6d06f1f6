package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxMistakes bounds how many mistakes one error lists.
const maxMistakes = 20

// place is where a value stands in the file: line and column, from 1. The zero
// place is nowhere.
type place struct{ line, column int }

// mistake is one sentence about one key.
type mistake struct {
	place
	text string
}

func (m mistake) Error() string { return m.text }

// mistakes gathers what is wrong, and knows where every key got its value.
type mistakes struct {
	file      string            // as it is named to the user; "" without one
	lines     []string          // of the file
	places    map[string]place  // by path, the values that the file gives
	variables map[string]string // by path, the variables that give values
	blamed    map[string]bool   // paths about which something was said
	secret    map[int]bool      // lines on which a secret may stand
	list      []mistake
}

func newMistakes(file string) *mistakes {
	return &mistakes{
		file:      file,
		places:    map[string]place{},
		variables: map[string]string{},
		blamed:    map[string]bool{},
		secret:    map[int]bool{},
	}
}

// add says a sentence about the value at a path. It stays silent where
// something was said of that value or of one that contains it: the rest would
// follow from that.
func (m *mistakes) add(path, format string, args ...any) {
	for p := path; p != ""; p = parent(p) {
		if m.blamed[p] {
			return
		}
	}
	m.blamed[path] = true
	at, where := m.where(path)
	m.list = append(m.list, mistake{at, where + path + ": " + fmt.Sprintf(format, args...)})
}

// shape says a sentence about the form of the file at a place. It marks the
// path, if any, as blamed.
func (m *mistakes) shape(at place, path, format string, args ...any) {
	text := fmt.Sprintf("%s:%d:%d: ", m.file, at.line, at.column)
	if path != "" {
		m.blamed[path] = true
		text += path + ": "
	}
	m.list = append(m.list, mistake{at, text + fmt.Sprintf(format, args...)})
}

// where returns the place of the value at a path, or of the nearest that
// contains it, and the same as the beginning of a sentence.
func (m *mistakes) where(path string) (place, string) {
	if name, ok := m.variables[path]; ok {
		return place{}, name + ": "
	}
	for p := path; p != ""; p = parent(p) {
		if at, ok := m.places[p]; ok {
			return at, fmt.Sprintf("%s:%d:%d: ", m.file, at.line, at.column)
		}
	}
	if m.file == "" {
		return place{}, ""
	}
	return place{}, m.file + ": "
}

// rank orders the layers that gave the value at a path: 0 the default, 1 the
// file, 2 a variable.
func (m *mistakes) rank(path string) int {
	if _, ok := m.variables[path]; ok {
		return 2
	}
	if _, ok := m.places[path]; ok {
		return 1
	}
	return 0
}

// err joins the mistakes in the order of the file, those without a place last.
// Each that has a place shows its line, with a caret.
func (m *mistakes) err() error {
	slices.SortStableFunc(m.list, func(a, b mistake) int {
		if (a.line == 0) != (b.line == 0) {
			return cmp.Compare(b.line, a.line)
		}
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	var all []error
	for _, one := range m.list[:min(len(m.list), maxMistakes)] {
		one.text += m.excerpt(one.place)
		all = append(all, one)
	}
	if more := len(m.list) - maxMistakes; more > 0 {
		all = append(all, fmt.Errorf("and %d more mistakes", more))
	}
	return errors.Join(all...)
}

// parent is the path of what contains the value at a path, "" at the top.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}
