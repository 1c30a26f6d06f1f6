package config

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth is how deep brackets and dashes on one line may nest; the deepest
// file that means something needs three. It also bounds the parser's stack.
const maxDepth = 16

// refused are the parts of YAML that a configuration can do without. What is
// left says everything once, at the place where it stands.
var refused = map[token.Type]string{
	token.AnchorType:     "anchors are not supported; write the value where it is needed",
	token.AliasType:      "aliases are not supported; write the value where it is needed (or quote a text that begins with *)",
	token.MergeKeyType:   "merge keys are not supported; write the keys where they are needed",
	token.TagType:        "tags are not supported; leave it out",
	token.MappingKeyType: `"? " keys are not supported; write key: value`,
	token.DirectiveType:  "directives are not supported; leave it out",
}

// parse turns the file into its tree; nil is an empty file. Where the file is
// not YAML that can be read it says why and returns false.
func (m *mistakes) parse(source string) (root ast.Node, ok bool) {
	source = strings.TrimPrefix(source, "\ufeff")
	m.lines = strings.Split(strings.ReplaceAll(source, "\r\n", "\n"), "\n")
	if !m.isText() {
		return nil, false
	}
	tokens := lexer.Tokenize(source)
	if !m.isPlain(tokens) {
		return nil, false
	}
	// Keys written twice are found by the reader, which names them by path.
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, text := place{1, 1}, err.Error()
		if e := yaml.Error(nil); errors.As(err, &e) {
			text = e.GetMessage()
			if t := e.GetToken(); t != nil {
				at = place{t.Position.Line, t.Position.Column}
			}
		}
		m.shape(at, "", "%s", text)
		return nil, false
	}
	if len(file.Docs) == 0 {
		return nil, true
	}
	return file.Docs[0].Body, true
}

// isText refuses what is not UTF-8.
func (m *mistakes) isText() bool {
	for i, line := range m.lines {
		for column := 1; line != ""; column++ {
			r, size := utf8.DecodeRuneInString(line)
			if r == utf8.RuneError && size == 1 {
				m.shape(place{i + 1, column}, "", "the file is not UTF-8 text")
				return false
			}
			line = line[size:]
		}
	}
	return true
}

// isPlain refuses a second document, parts of YAML that are not supported, and
// deep nesting.
func (m *mistakes) isPlain(tokens token.Tokens) bool {
	flow, dashes, line := 0, 0, 0
	content, ended := false, false
	for _, t := range tokens {
		at := place{t.Position.Line, t.Position.Column}
		if t.Type == token.CommentType {
			continue
		}
		if why, no := refused[t.Type]; no {
			m.shape(at, "", "%s", why)
			return false
		}
		if ended || t.Type == token.DocumentHeaderType && content {
			m.shape(at, "", "a second document begins here; want one")
			return false
		}
		content, ended = true, t.Type == token.DocumentEndType
		if at.line != line {
			line, dashes = at.line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow = max(0, flow-1)
		case token.SequenceEntryType:
			dashes++
		}
		if max(flow, dashes) > maxDepth {
			m.shape(at, "", "nested more than %d deep", maxDepth)
			return false
		}
	}
	return true
}
