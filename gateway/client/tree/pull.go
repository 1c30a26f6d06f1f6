package tree

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"artifactstore/cas/digest"
	"artifactstore/cas/manifest"
	"artifactstore/gateway/client"
)

// PullOptions say where a package goes.
type PullOptions struct {
	Package   client.PackageName
	Manifest  digest.Digest // what it must be; zero: what the gateway says
	Jobs      int           // files on their way at once
	Overwrite bool          // files that differ are replaced
	Progress  Progress      // nil tells nobody
}

// Pulled is what a pull did.
type Pulled struct {
	Package  client.PackageName `json:"package"`
	Manifest digest.Digest      `json:"manifest_digest,omitzero"`
	Count
	Fetched Count `json:"fetched"`
	Kept    Count `json:"kept"` // the directory had them
}

// pull is a package on its way.
type pull struct {
	PullOptions
	c     *client.Client
	root  *os.Root
	files []manifest.File
	have  []bool // of the files: the directory has it
	mark  string // of the temporary names of this pull

	mu   sync.Mutex
	done Pulled
}

// Pull writes a sealed package into a directory, which is made where it is missing.
// Every file is verified against both digests of the manifest before it gets its
// name; nothing is ever written outside the directory, and no symbolic link in it is
// followed. Files that are there and are the package's are kept, others are a
// *PathsError before anything is fetched, unless they are to be overwritten. What else
// is in the directory stays. A package that is not sealed is
// [client.ErrPackageOpen]: nothing says what it should be.
func Pull(ctx context.Context, c *client.Client, dir string, o PullOptions) (Pulled, error) {
	if o.Progress == nil {
		o.Progress = silent{}
	}
	p := &pull{PullOptions: o, c: c, mark: rand.Text()[:8]}
	p.done.Package = o.Package
	if err := p.fetchManifest(ctx); err != nil {
		return p.done, err
	}
	if err := checkFiles(p.files); err != nil {
		return p.done, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return p.done, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return p.done, err
	}
	defer root.Close()
	p.root = root
	err = p.run(ctx)
	return p.done, err
}

// fetchManifest asks for the manifest that is wanted, or for the package's.
func (p *pull) fetchManifest(ctx context.Context) error {
	text, err := p.manifest(ctx)
	if err != nil {
		return err
	}
	m, d, err := readManifest(text, p.Package, p.Manifest)
	if err != nil {
		return err
	}
	p.files, p.have, p.done.Manifest = m.Files, make([]bool, len(m.Files)), d
	for _, f := range m.Files {
		p.done.add(f.Size)
	}
	return nil
}

func (p *pull) manifest(ctx context.Context) ([]byte, error) {
	if p.Manifest.IsZero() {
		return p.c.Manifest(ctx, p.Package)
	}
	var text bytes.Buffer
	_, err := p.c.Get(ctx, p.Manifest, &bounded{Writer: &text, left: client.MaxManifest, progress: silent{}})
	return text.Bytes(), err
}

// checkFiles refuses a manifest that no directory can hold, or that names a place
// outside it.
func checkFiles(files []manifest.File) error {
	bad := &PathsError{What: "the manifest names what no directory can hold; nothing was fetched"}
	is := map[string]bool{}
	for _, f := range files {
		is[f.Path] = true
	}
	for _, f := range files {
		if why := checkPath(f.Path); why != "" {
			bad.add(f.Path, "%s", why)
			continue
		}
		if isPart(baseName(f.Path)) {
			bad.add(f.Path, "that is the name of a file on its way")
		}
		for dir := parent(f.Path); dir != "."; dir = parent(dir) {
			if is[dir] {
				bad.add(f.Path, "%q is a file", dir)
			}
		}
	}
	return bad.orNil()
}

func baseName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func (p *pull) run(ctx context.Context) error {
	unlock, err := lock(p.root)
	if err != nil {
		return err
	}
	defer unlock()
	p.Progress.Start(p.done.Files, p.done.Bytes)
	dirs, err := p.directories()
	if err != nil {
		return err
	}
	if err := p.look(ctx); err != nil {
		return err
	}
	if err := p.prepare(dirs); err != nil {
		return err
	}
	return each(ctx, p.Jobs, len(p.files), p.fetch)
}

// directories returns the directories of the files, and what is there already: what
// is in the place of one, a symbolic link too, is refused.
func (p *pull) directories() (map[string]bool, error) {
	exists := map[string]bool{".": true}
	bad := &PathsError{What: "the directory has something else where the package has directories; nothing was fetched"}
	var see func(dir string) (bool, error)
	see = func(dir string) (bool, error) {
		if there, seen := exists[dir]; seen {
			return there, nil
		}
		there, err := see(parent(dir))
		if err != nil {
			return false, err
		}
		if there {
			info, err := p.root.Lstat(dir)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				there = false
			case err != nil:
				return false, err
			case !info.IsDir():
				bad.add(dir, "it is no directory")
				there = false
			}
		}
		exists[dir] = there
		return there, nil
	}
	for _, f := range p.files {
		if _, err := see(parent(f.Path)); err != nil {
			return nil, err
		}
	}
	return exists, bad.orNil()
}

// look compares the files that are there with those of the package.
func (p *pull) look(ctx context.Context) error {
	why := make([]string, len(p.files))
	err := each(ctx, p.Jobs, len(p.files), func(_ context.Context, i int) (err error) {
		p.have[i], why[i], err = p.compare(p.files[i])
		return err
	})
	if err != nil {
		return err
	}
	other := &PathsError{What: "the directory has other files under names of the package (--overwrite replaces them); nothing was fetched"}
	for i, f := range p.files {
		if p.have[i] {
			p.done.Kept.add(f.Size)
			p.Progress.Bytes(f.Size)
			p.Progress.File()
		}
		if why[i] != "" && (!p.Overwrite || why[i] == "it is a directory") {
			other.add(f.Path, "%s", why[i])
		}
	}
	return other.orNil()
}

// compare looks at what is at the path of a file: the file, nothing, or something
// else.
func (p *pull) compare(f manifest.File) (have bool, why string, err error) {
	info, err := p.root.Lstat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, "", nil
	case err != nil:
		return false, "", err
	case info.IsDir():
		return false, "it is a directory", nil
	case !info.Mode().IsRegular():
		return false, "it is no regular file", nil
	case info.Size() != f.Size:
		return false, "it differs", nil
	}
	in, err := p.root.Open(f.Path)
	if err != nil {
		return false, "", err
	}
	defer in.Close()
	id, err := hashOf(in)
	if err == nil && id != identityOf(f) {
		why = "it differs"
	}
	return err == nil && why == "", why, err
}

// partPrefix and partSuffix enclose the names of files on their way.
const (
	partPrefix = ".artifactstore-"
	partSuffix = ".part"
)

// isPart reports whether a name is that of a file on its way.
func isPart(name string) bool {
	return strings.HasPrefix(name, partPrefix) && strings.HasSuffix(name, partSuffix)
}

// prepare makes the directories and takes away what a killed pull has left in them:
// this one alone is at work here.
func (p *pull) prepare(exists map[string]bool) error {
	for dir, there := range exists {
		if !there {
			if err := p.root.MkdirAll(dir, 0o777); err != nil {
				return err
			}
			continue
		}
		in, err := p.root.Open(dir)
		if err != nil {
			return err
		}
		names, err := in.Readdirnames(-1)
		in.Close()
		if err != nil {
			return err
		}
		for _, name := range names {
			if isPart(name) {
				if err := p.root.Remove(dir + "/" + name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// fetch brings one file. It has a temporary name until its bytes are verified.
func (p *pull) fetch(ctx context.Context, i int) error {
	f := p.files[i]
	if p.have[i] {
		return nil
	}
	part := fmt.Sprintf("%s%s-%d%s", partPrefix, p.mark, i, partSuffix)
	if dir := parent(f.Path); dir != "." {
		part = dir + "/" + part
	}
	if err := p.fill(ctx, part, f); err != nil {
		p.root.Remove(part)
		return fmt.Errorf("pull %s: %w", f.Path, err)
	}
	if err := p.root.Rename(part, f.Path); err != nil {
		p.root.Remove(part)
		return fmt.Errorf("pull %s: %w", f.Path, err)
	}
	p.mu.Lock()
	p.done.Fetched.add(f.Size)
	p.mu.Unlock()
	p.Progress.File()
	return nil
}

// fill writes the bytes of a file to a new one.
func (p *pull) fill(ctx context.Context, name string, f manifest.File) error {
	out, err := p.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	id, err := p.c.Get(ctx, f.SHA256, &bounded{Writer: out, left: f.Size, progress: p.Progress})
	if err == nil && id != identityOf(f) {
		err = fmt.Errorf("%w: received %s (%s, %d bytes), the manifest says %s (%s, %d bytes)",
			client.ErrDamaged, id.SHA256, id.BLAKE3, id.Size, f.SHA256, f.BLAKE3, f.Size)
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// bounded ends what brings more bytes than it should, before they fill the disk.
type bounded struct {
	io.Writer
	left     int64
	progress Progress
}

func (b *bounded) Write(p []byte) (int, error) {
	if int64(len(p)) > b.left {
		return 0, fmt.Errorf("%w: there are more of them", client.ErrDamaged)
	}
	n, err := b.Writer.Write(p)
	b.left -= int64(n)
	b.progress.Bytes(int64(n))
	return n, err
}
