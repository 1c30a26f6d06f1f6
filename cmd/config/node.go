package config

import (
	"iter"

	"github.com/goccy/go-yaml/ast"
)

// entries yields the keys of a section of the file and what they say. It
// reports, and leaves out, a key that is written again.
func (m *mistakes) entries(node ast.Node, path string) iter.Seq2[string, *ast.MappingValueNode] {
	return func(yield func(string, *ast.MappingValueNode) bool) {
		section, ok := node.(*ast.MappingNode)
		if !ok {
			m.shape(placeOf(node), path, "want keys and values here, each key: value")
			return
		}
		first := map[string]int{}
		for _, entry := range section.Values {
			key, _ := scalar(entry.Key)
			at := placeOf(entry.Key)
			if line, again := first[key]; again {
				m.shape(at, join(path, key), "is written twice, first on line %d", line)
				continue
			}
			first[key] = at.line
			if !yield(key, entry) {
				return
			}
		}
	}
}

// scalar is the text of a node that is one value, as it is written where it is
// not quoted: 0x10 is the text 0x10.
func scalar(node ast.Node) (text string, ok bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode, *ast.NullNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// placeOf is where a node begins.
func placeOf(node ast.Node) place {
	if section, ok := node.(*ast.MappingNode); ok && !section.IsFlowStyle && len(section.Values) > 0 {
		node = section.Values[0].Key
	}
	if node == nil || node.GetToken() == nil {
		return place{1, 1}
	}
	position := node.GetToken().Position
	return place{position.Line, position.Column}
}
