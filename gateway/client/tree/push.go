package tree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"artifactstore/cas/digest"
	"artifactstore/gateway/client"
)

// PushOptions say what a directory becomes.
type PushOptions struct {
	Package        client.PackageName
	RetentionClass string            // "" is the gateway's default, or the one the package has
	Labels         map[string]string // nil is none, or those it has
	Jobs           int               // files on their way at once
	FollowSymlinks bool              // a link to a file of the directory is pushed as the file
	Prune          bool              // take out of the package what the directory has not
	KeepOpen       bool              // do not seal: other directories may follow
	Progress       Progress          // nil tells nobody
	// Note is told in a sentence what a person may want to know; nil tells nobody.
	Note func(string)
}

// Pushed is what a push did.
type Pushed struct {
	Package  client.PackageName `json:"package"`
	State    string             `json:"state"` // open or sealed
	Manifest digest.Digest      `json:"manifest_digest,omitzero"`
	Count
	Sent     Count `json:"sent"`     // their bytes went over the network
	Attached Count `json:"attached"` // the gateway had the bytes
	Kept     Count `json:"kept"`     // the package had the file
	Removed  int   `json:"removed"`  // files that the directory has not
}

// push is a directory on its way.
type push struct {
	PushOptions
	c     *client.Client
	root  *os.Root
	files []local
	ids   []digest.Identity // of the files, once they are known
	had   map[string]client.File
	once  keys

	mu   sync.Mutex
	done Pushed
}

// Push makes a package of a directory. It can be repeated: what the package has
// already is not sent again, and a sealed package that is what the directory holds is
// a success. Files that no package can hold are a *PathsError, before anything is
// sent; so are files that change meanwhile, before the package is sealed.
func Push(ctx context.Context, c *client.Client, dir string, o PushOptions) (Pushed, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Pushed{}, err
	}
	defer root.Close()
	s, err := scan(root, o.FollowSymlinks)
	if err != nil {
		return Pushed{}, err
	}
	p := &push{PushOptions: o, c: c, root: root, files: s.files, ids: make([]digest.Identity, len(s.files))}
	if p.Progress == nil {
		p.Progress = silent{}
	}
	p.done.Package = o.Package
	p.done.Count = Count{len(s.files), s.bytes}
	switch n := len(s.files); {
	case n == 0:
		return p.done, fmt.Errorf("%s holds no file", dir)
	case n > maxFiles:
		return p.done, fmt.Errorf("%s holds %d files: a package has %d at most", dir, n, maxFiles)
	}
	if len(s.empty) > 0 {
		p.note("a package has no directories of their own, so these are not pushed: %q", s.empty)
	}
	err = p.run(ctx)
	return p.done, err
}

func (p *push) note(format string, args ...any) {
	if p.Note != nil {
		p.Note(fmt.Sprintf(format, args...))
	}
}

func (p *push) run(ctx context.Context) error {
	have, err := p.c.Package(ctx, p.Package)
	switch {
	case errors.Is(err, client.ErrPackageUnknown):
	case err != nil:
		return err
	case have.Sealed():
		return p.confirm(ctx)
	default:
		if err := p.compare(ctx); err != nil {
			return err
		}
	}
	if err := p.create(ctx); err != nil {
		return err
	}
	p.done.State = "open"
	p.Progress.Start(p.done.Files, p.done.Bytes)
	if err := each(ctx, p.Jobs, len(p.files), p.send); err != nil {
		return err
	}
	if err := p.unchanged(); err != nil {
		return err
	}
	if err := p.prune(ctx); err != nil {
		return err
	}
	if p.KeepOpen {
		return nil
	}
	return p.seal(ctx)
}

func (p *push) create(ctx context.Context) error {
	_, _, err := p.c.CreatePackage(ctx, p.Package, client.PackageOptions{RetentionClass: p.RetentionClass, Labels: p.Labels})
	return err
}

// compare looks at what the open package has. Files that the directory has not
// would be sealed with the others, so they are refused before anything is sent, unless
// the package stays open.
func (p *push) compare(ctx context.Context) error {
	p.had = map[string]client.File{}
	for f, err := range p.c.Files(ctx, p.Package) {
		if err != nil {
			return err
		}
		p.had[f.Path] = f
	}
	if p.Prune || p.KeepOpen {
		return nil
	}
	more := &PathsError{What: "the package has files that the directory has not (--prune takes them out); nothing was sent"}
	for _, path := range p.surplus() {
		more.add(path, "not in the directory")
	}
	return more.orNil()
}

// seal ends changes and compares the manifest with the files.
func (p *push) seal(ctx context.Context) error {
	d, err := p.c.Seal(ctx, p.Package)
	if err != nil {
		return err
	}
	p.done.State, p.done.Manifest = "sealed", d
	return p.check(ctx, "the package was sealed, and is not what the directory holds")
}

// confirm compares a package that is sealed already with the directory. Only where
// they are the same does it get what else the push asks for: the class.
func (p *push) confirm(ctx context.Context) error {
	p.done.State = "sealed"
	p.Progress.Start(p.done.Files, p.done.Bytes)
	err := each(ctx, p.Jobs, len(p.files), func(ctx context.Context, i int) error {
		id, err := p.hash(i)
		if err == nil {
			p.Progress.Bytes(id.Size)
			p.finished(i, id, &p.done.Kept)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := p.unchanged(); err != nil {
		return err
	}
	if err := p.check(ctx, "the package is sealed, and is not what the directory holds; nothing was sent"); err != nil {
		return err
	}
	return p.create(ctx)
}
