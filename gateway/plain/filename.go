package plain

import "strings"

// baseName returns the last segment of a file's path.
func baseName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// disposition returns a Content-Disposition field (RFC 6266) under which a client
// saves bytes by a name, and never shows them. A name that is not plain is given
// twice: for old clients with the rest of it replaced, and whole (RFC 8187).
func disposition(name string) string {
	safe := strings.Map(func(c rune) rune {
		if c < 0x80 && plainChar(byte(c)) {
			return c
		}
		return '_'
	}, name)
	field := `attachment; filename="` + safe + `"`
	if safe != name {
		field += "; filename*=UTF-8''" + extValue(name)
	}
	return field
}

// plainChar reports whether a byte means itself in every client's reading of a
// quoted filename. A percent does not: some decode it.
func plainChar(c byte) bool { return alphanumeric(c) || strings.IndexByte("._+-@,=()[]~ ", c) >= 0 }

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// extValue escapes all that is no attr-char of RFC 8187, section 3.2.1.
func extValue(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if alphanumeric(c) || strings.IndexByte("!#$&+-.^_`|~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}
