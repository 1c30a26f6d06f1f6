package tree

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// local is a file of a directory.
type local struct {
	path string
	info fs.FileInfo // when it was found
}

// unchanged reports whether a file is as it was found.
func (f local) unchanged(now fs.FileInfo) bool {
	return now.Mode().IsRegular() && os.SameFile(f.info, now) && f.info.Size() == now.Size() && f.info.ModTime().Equal(now.ModTime())
}

// scanned is what a directory holds.
type scanned struct {
	files []local  // in byte order of their paths
	empty []string // directories that hold nothing
	bytes int64
}

// scan walks a directory. All that a package cannot hold is named in one
// *PathsError: a package has regular files and nothing else. With follow, a symbolic
// link to a file of the same directory counts as one.
func scan(root *os.Root, follow bool) (s scanned, err error) {
	bad := &PathsError{What: "what a package cannot hold; nothing was sent"}
	children := map[string]int{} // of directories
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == "." {
			return nil
		}
		children[parent(path)]++
		if d.IsDir() {
			children[path] += 0
			return nil
		}
		info, why, err := entry(root, path, d, follow)
		if err != nil {
			return err
		}
		if unfit := checkPath(path); unfit != "" {
			why = unfit
		}
		if why != "" {
			bad.add(path, "%s", why)
			return nil
		}
		s.files = append(s.files, local{path, info})
		s.bytes += info.Size()
		return nil
	})
	if err != nil {
		return s, fmt.Errorf("walk %s: %w", root.Name(), err)
	}
	return s.finish(children), bad.orNil()
}

// entry looks at what is at a path, and says why it cannot be a file of a package.
func entry(root *os.Root, path string, d fs.DirEntry, follow bool) (info fs.FileInfo, why string, err error) {
	switch {
	case isPart(d.Name()):
		why = "it is what a killed pull has left: pull again, or remove it"
	case d.Type().IsRegular():
		info, err = d.Info()
	case d.Type()&fs.ModeSymlink == 0:
		why = "it is " + kind(d.Type())
	case !follow:
		why = "it is a symbolic link"
	default:
		if info, err = root.Stat(path); err != nil {
			return nil, fmt.Sprintf("the symbolic link leads nowhere inside the directory: %v", err), nil
		}
		if !info.Mode().IsRegular() {
			why = "the symbolic link leads to " + kind(info.Mode().Type())
		}
	}
	return info, why, err
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "no regular file"
}

func parent(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[:i]
		}
	}
	return "."
}

// finish puts the files in the order of manifests, which is not that of a walk:
// "a-b" comes before "a/b".
func (s scanned) finish(children map[string]int) scanned {
	slices.SortFunc(s.files, func(a, b local) int { return strings.Compare(a.path, b.path) })
	for path, n := range children {
		if n == 0 && path != "." {
			s.empty = append(s.empty, path)
		}
	}
	slices.Sort(s.empty)
	return s
}
