package config

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// maxExcerpt is the longest line, in bytes, that is worth showing.
const maxExcerpt = 160

// sensitive matches a line on which a secret may stand: in its place, where a
// reference is wanted, or under a name that somebody guessed.
var sensitive = regexp.MustCompile(`(?i)secret|passw|token|credential|access_?key|_ref\b|://`)

// excerpt shows a line of the file with a caret under a column, unless it could
// show a secret.
func (m *mistakes) excerpt(at place) string {
	if at.line < 1 || at.line > len(m.lines) || at.column < 1 {
		return ""
	}
	line := m.lines[at.line-1]
	if m.secret[at.line] || sensitive.MatchString(line) || len(line) > maxExcerpt || strings.ContainsFunc(line, unprintable) {
		return ""
	}
	// Tabs stay tabs, so that the caret stands under its column.
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string([]rune(line + " ")[:min(at.column-1, len([]rune(line)))]))
	head := fmt.Sprintf(">%3d | ", at.line)
	return "\n" + head + line + "\n" + strings.Repeat(" ", len(head)) + pad + "^"
}

func unprintable(r rune) bool {
	return r != '\t' && !unicode.IsPrint(r)
}

// quote shows a text, cut where it is long.
func quote(text string) string {
	if r := []rune(text); len(r) > 80 {
		return fmt.Sprintf("%q…", string(r[:80]))
	}
	return fmt.Sprintf("%q", text)
}
