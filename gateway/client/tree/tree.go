// Package tree moves a directory of files to a gateway as a package, and a package
// into a directory.
//
// [Push] in its order: walk the directory and refuse what no package can hold →
// look at what the package has → send what differs → walk again, to see that
// nothing changed meanwhile → seal → compare the manifest with the files.
//
// [Pull] in its order: fetch the manifest and check it → compare what is in the
// directory already → fetch what is missing, each file under a temporary name that
// it loses only when its bytes have both digests of the manifest.
//
// Each can be repeated after it failed or was killed, and does then what is left.
package tree

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Progress is told how far a transfer is, by many goroutines at once.
type Progress interface {
	// Start says how much there is to do, once.
	Start(files int, bytes int64)
	// Bytes adds to what is done; a negative number takes back what a broken
	// connection had done.
	Bytes(n int64)
	// File says that one more file is done.
	File()
}

// Count is a number of files and of their bytes.
type Count struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

func (c *Count) add(bytes int64) {
	c.Files++
	c.Bytes += bytes
}

// Reason is why a file cannot go where it should.
type Reason struct {
	Path string
	Why  string
}

// PathsError names all files for which something cannot be done.
type PathsError struct {
	What string // what cannot be done, and what was done of the rest
	List []Reason
}

// Error names every file on a line of its own.
func (e *PathsError) Error() string {
	var b strings.Builder
	b.WriteString(e.What)
	for _, r := range e.List {
		fmt.Fprintf(&b, "\n  %q: %s", r.Path, r.Why)
	}
	return b.String()
}

func (e *PathsError) add(path, format string, args ...any) {
	e.List = append(e.List, Reason{path, fmt.Sprintf(format, args...)})
}

// orNil is nil where no file was named.
func (e *PathsError) orNil() error {
	if len(e.List) == 0 {
		return nil
	}
	return e
}

// maxPath is how many bytes a path may have, maxFiles how many files a package.
const (
	maxPath  = 1024
	maxFiles = 1 << 20
)

// checkPath says why a path cannot be one of a package, "" where it can: the rules
// are the gateway's (the paths of a package), so that what it would refuse is known
// before anything is sent, and what no gateway would store is never written.
func checkPath(path string) string {
	switch {
	case len(path) > maxPath:
		return fmt.Sprintf("a path has %d bytes at most", maxPath)
	case !utf8.ValidString(path):
		return "a path is UTF-8"
	case strings.ContainsFunc(path, unicode.IsControl):
		return "a path has no control character"
	case strings.Contains(path, `\`):
		return `a path has no \: it separates elsewhere`
	}
	for s := range strings.SplitSeq(path, "/") {
		if s == "" || s == "." || s == ".." {
			return "a part of a path is neither empty nor a dot or two"
		}
	}
	return ""
}

// buffer is how many bytes are read at once, and the most that are kept of a file.
const buffer = 256 << 10

// silent is told and does nothing.
type silent struct{}

func (silent) Start(int, int64) {}
func (silent) Bytes(int64)      {}
func (silent) File()            {}
