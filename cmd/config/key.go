package config

import (
	"encoding"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fields yields the keys of a section and their values, in order.
func fields(section reflect.Value) iter.Seq2[string, reflect.Value] {
	return func(yield func(string, reflect.Value) bool) {
		for i := range section.NumField() {
			if !yield(section.Type().Field(i).Tag.Get("yaml"), section.Field(i)) {
				return
			}
		}
	}
}

// leaf is a key that takes one value.
type leaf struct {
	path string
	set  func(text string) error
}

// leaves yields every key of a configuration that takes one value. A leaf of a
// map is set in the map.
func leaves(v reflect.Value, path string) iter.Seq[leaf] {
	return func(yield func(leaf) bool) { walk(v, path, yield) }
}

func walk(v reflect.Value, path string, yield func(leaf) bool) bool {
	if isScalar(v.Type()) {
		return yield(leaf{path, func(text string) error { return set(v, text) }})
	}
	switch v.Kind() {
	case reflect.Struct:
		for key, field := range fields(v) {
			if !walk(field, join(path, key), yield) {
				return false
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if !walk(v.Index(i), index(path, i), yield) {
				return false
			}
		}
	case reflect.Map:
		for _, name := range names(v) {
			put := func(text string) error {
				value := reflect.New(v.Type().Elem()).Elem()
				err := set(value, text)
				v.SetMapIndex(reflect.ValueOf(name), value)
				return err
			}
			if !yield(leaf{join(path, name), put}) {
				return false
			}
		}
	}
	return true
}

// names are the keys of a map, in order.
func names(v reflect.Value) (sorted []string) {
	for _, name := range v.MapKeys() {
		sorted = append(sorted, name.String())
	}
	slices.Sort(sorted)
	return sorted
}

func isScalar(t reflect.Type) bool {
	return t.Kind() == reflect.String || t.Kind() == reflect.Int64 || t.Kind() == reflect.Bool ||
		reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// set gives a key that takes one value the value that a text says.
func set(v reflect.Value, text string) error {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if v.Kind() == reflect.Bool {
		if text != "true" && text != "false" {
			return fmt.Errorf("%s is neither true nor false", quote(text))
		}
		v.SetBool(text == "true")
		return nil
	}
	if v.Kind() == reflect.Int64 {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != text {
			return fmt.Errorf("%s is not a whole number; want digits alone, such as 4194304", quote(text))
		}
		v.SetInt(n)
		return nil
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unprintable) || strings.Contains(text, "\t") {
		return errors.New("has a character that cannot be shown; want printable text")
	}
	v.SetString(text)
	return nil
}

// join is the path of a key in a section, index that of an element of a list.
func join(path, key string) string {
	if !isName(key) {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// isName says whether a text can stand in a path, a label or a variable: 1 to
// 64 letters, digits, "_" and "-", a letter or a digit first.
func isName(s string) bool {
	inner := func(r rune) bool { return r == '_' || r == '-' || isAlphanumeric(r) }
	return len(s) >= 1 && len(s) <= 64 && isAlphanumeric(rune(s[0])) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !inner(r) })
}

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
}
