package local

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Keys of hashes fan out over folders named by two hexadecimal digits each, and
// in a growing store nearly every commit meets a new one: one more mkdir, one
// more sync. So when a folder has got a few of these, a commit that needs
// another makes all 256 of them, with one sync, and the commits that follow
// need neither. A small store keeps the few folders it has.

// crowd is how many folders of a pair of digits another commit finds in their
// parent before it makes the rest.
const crowd = 16

// maxKnown bounds the memory of folders.
const maxKnown = 1 << 16

// folders remembers which folders exist and have their names on disk.
type folders struct {
	mu    sync.Mutex
	known map[string]struct{} // of allPairs(parent) too
	pairs map[string]int      // how many are known in a parent
}

// allPairs stands for every folder of two digits in a parent. No key has such a
// segment.
func allPairs(parent string) string { return filepath.Join(parent, "[0-9a-f][0-9a-f]") }

// isPair reports whether a folder is named by two hexadecimal digits.
func isPair(dir string) bool {
	name := filepath.Base(dir)
	return len(name) == 2 && isDigit(name[0]) && isDigit(name[1])
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

// makePairs makes every folder of two digits.
func makePairs(parent string) error {
	const digits = "0123456789abcdef"
	for i := range 256 {
		if err := makeFolder(filepath.Join(parent, digits[i>>4:i>>4+1]+digits[i&15:i&15+1])); err != nil {
			return err
		}
	}
	return nil
}

// makeFolder makes a folder unless it is there.
func makeFolder(dir string) error {
	err := os.Mkdir(dir, dirMode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func (f *folders) isKnown(dir string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.known[dir]; ok {
		return true
	}
	if !isPair(dir) {
		return false
	}
	_, ok := f.known[allPairs(filepath.Dir(dir))]
	return ok
}

// isCrowded reports whether a folder of two digits is likely to be followed by
// all others.
func (f *folders) isCrowded(parent string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pairs[parent] >= crowd
}

func (f *folders) remember(dirs []string) {
	if len(dirs) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil || len(f.known) > maxKnown {
		f.known, f.pairs = map[string]struct{}{}, map[string]int{}
	}
	for _, dir := range dirs {
		if _, ok := f.known[dir]; !ok && isPair(dir) {
			f.pairs[filepath.Dir(dir)]++
		}
		f.known[dir] = struct{}{}
	}
}

// forget is for a folder that somebody removed from under us.
func (f *folders) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known, f.pairs = nil, nil
}
