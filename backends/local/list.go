package local

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"

	"artifactstore/backends"
)

// List implements backends.Backend. It reads one folder at a time, so it holds
// the names of the folders on the way down, not the whole list.
func (b *Backend) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Info, error] {
	return func(yield func(backends.Info, error) bool) {
		l := lister{b: b, ctx: ctx, prefix: prefix, after: after, yield: yield}
		err := b.marked()
		if err == nil {
			err = l.folder(l.start())
		}
		if err != nil && err != errStopped {
			yield(backends.Info{}, fmt.Errorf("list objects: %w", fault(err)))
		}
	}
}

type lister struct {
	b             *Backend
	ctx           context.Context
	prefix, after string
	yield         func(backends.Info, error) bool
}

// errStopped unwinds when the caller has had enough.
var errStopped = fmt.Errorf("list stopped")

// start returns the deepest folder that holds all keys with the prefix: "" or a
// key with a slash at its end. A prefix that no key can have starts nowhere,
// which is a folder that does not exist.
func (l *lister) start() string {
	return l.prefix[:strings.LastIndexByte(l.prefix, '/')+1]
}

// folder lists what is below dir, which is "" or ends with a slash. In byte
// order a folder stands where its name and a slash do: "a-b", "a.b", "a/b", "a0".
func (l *lister) folder(dir string) error {
	if dir != "" && backends.CheckKey(strings.TrimSuffix(dir, "/")) != nil {
		return nil
	}
	names, err := l.names(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		if err := l.entry(dir + name); err != nil {
			return err
		}
	}
	return nil
}

// entry lists a folder or an object.
func (l *lister) entry(key string) error {
	if strings.HasSuffix(key, "/") {
		return l.folder(key)
	}
	info, err := os.Lstat(l.b.file(l.b.prefix + key))
	if isAbsent(err) {
		return nil // deleted a moment ago
	}
	if err != nil {
		return err
	}
	if !l.yield(backends.Info{Key: key, Size: info.Size(), ModTime: info.ModTime()}, nil) {
		return errStopped
	}
	return nil
}

// names returns the wanted names in a folder in order, those of folders with a
// slash at their end.
func (l *lister) names(dir string) ([]string, error) {
	entries, err := os.ReadDir(l.b.file(l.b.prefix + dir))
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if name, ok := l.name(dir, e); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// name returns an entry's name in a key where something below it is wanted.
func (l *lister) name(dir string, e fs.DirEntry) (string, bool) {
	name := e.Name()
	if l.b.prefix+dir == "" {
		if name == formatName {
			return "", false
		}
		if name == escape+formatName {
			name = formatName
		}
	}
	if backends.CheckKey(dir+name) != nil || !(e.IsDir() || e.Type().IsRegular()) {
		return "", false
	}
	if e.IsDir() {
		name += "/"
	}
	key := dir + name
	wanted := strings.HasPrefix(key, l.prefix) || e.IsDir() && strings.HasPrefix(l.prefix, key)
	later := key > l.after || e.IsDir() && strings.HasPrefix(l.after, key)
	return name, wanted && later
}
