package config

import (
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// read lays a node of the file over the value at a path. What the file does not
// say keeps its value, but lists and maps are replaced whole. Every mistake is
// reported, and reading goes on.
func (m *mistakes) read(v reflect.Value, node ast.Node, path string) {
	at := placeOf(node)
	m.places[path] = at
	if node == nil || node.Type() == ast.NullType {
		m.shape(at, path, "has no value; write one, or leave the key out")
		return
	}
	_, several := node.(*ast.SequenceNode)
	switch {
	case several && v.Type() == reflect.TypeFor[Modes](): // one word, or a list
		m.readList(v, node, path)
	case isScalar(v.Type()):
		m.readScalar(v, node, path)
	case v.Kind() == reflect.Struct:
		m.readSection(v, node, path)
	case v.Kind() == reflect.Slice:
		m.readList(v, node, path)
	case v.Kind() == reflect.Map:
		m.readMap(v, node, path)
	}
}

func (m *mistakes) readScalar(v reflect.Value, node ast.Node, path string) {
	text, ok := scalar(node)
	if !ok {
		m.shape(placeOf(node), path, "want one value here")
		return
	}
	if v.Type() == reflect.TypeFor[Reference]() || path == "registry.url" {
		m.secret[placeOf(node).line] = true
	}
	if err := set(v, text); err != nil {
		m.add(path, "%v", err)
	}
}

func (m *mistakes) readSection(v reflect.Value, node ast.Node, path string) {
	var known []string
	byKey := map[string]reflect.Value{}
	for key, field := range fields(v) {
		known = append(known, key)
		byKey[key] = field
	}
	var unknown []*ast.MappingValueNode
	for key, entry := range m.entries(node, path) {
		if field, ok := byKey[key]; ok {
			m.read(field, entry.Value, join(path, key))
		} else {
			unknown = append(unknown, entry)
		}
	}
	if m.unsupported(v, path) {
		return
	}
	for _, entry := range unknown {
		key, _ := scalar(entry.Key)
		m.shape(placeOf(entry.Key), join(path, key), "no such key; want %s", strings.Join(known, ", "))
	}
}

// unsupported reports the choices of a section that this version does not
// support.
func (m *mistakes) unsupported(section reflect.Value, path string) (found bool) {
	for key, field := range fields(section) {
		if c, ok := field.Interface().(choice); ok && !field.IsZero() {
			if err := c.supported(); err != nil {
				m.add(join(path, key), "%v", err)
				found = true
			}
		}
	}
	return found
}

func (m *mistakes) readList(v reflect.Value, node ast.Node, path string) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		m.shape(placeOf(node), path, "want a list here")
		return
	}
	v.SetZero()
	if v.Type() == reflect.TypeFor[Modes]() && len(list.Values) == 0 {
		m.shape(placeOf(node), path, "is empty; write how clients say who they are, or none")
	}
	if len(list.Values) > 0 {
		v.Set(reflect.MakeSlice(v.Type(), len(list.Values), len(list.Values)))
	}
	for i, element := range list.Values {
		m.read(v.Index(i), element, index(path, i))
	}
}

func (m *mistakes) readMap(v reflect.Value, node ast.Node, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	for name, entry := range m.entries(node, path) {
		value := reflect.New(v.Type().Elem()).Elem()
		m.read(value, entry.Value, join(path, name))
		v.SetMapIndex(reflect.ValueOf(name), value)
	}
}
