package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"artifactstore/cas/digest"
	"artifactstore/cas/manifest"
	"artifactstore/gateway/client"
)

// readManifest reads the bytes of a package's manifest, which must be canonical,
// have a digest where one is given, and speak of this package.
func readManifest(text []byte, n client.PackageName, want digest.Digest) (manifest.Manifest, digest.Digest, error) {
	h := digest.NewHasher()
	h.Write(text)
	got := h.Identity().SHA256
	h.Release()
	if !want.IsZero() && got != want {
		return manifest.Manifest{}, got, fmt.Errorf("%w: the manifest of %s is %s, not %s", client.ErrDamaged, n, got, want)
	}
	m, err := manifest.Decode(text)
	if err != nil {
		return m, got, err
	}
	if is := (client.PackageName{Producer: m.Producer, Name: m.Name, Version: m.Version}); is != n {
		return m, got, fmt.Errorf("%w: the manifest is that of %s, not of %s", client.ErrDamaged, is, n)
	}
	return m, got, nil
}

// shown is how many differences are named.
const shown = 20

// check demands that the sealed manifest is the files that were hashed here.
func (p *push) check(ctx context.Context, what string) error {
	text, err := p.c.Manifest(ctx, p.Package)
	if err != nil {
		return err
	}
	m, d, err := readManifest(text, p.Package, p.done.Manifest)
	if err != nil {
		return err
	}
	p.done.Manifest = d
	differ := &PathsError{What: what}
	p.differences(m.Files, differ)
	if n := len(differ.List); n > shown {
		differ.List = append(differ.List[:shown], Reason{"…", fmt.Sprintf("and %d more", n-shown)})
	}
	return differ.orNil()
}

// differences compares the two lists, both in byte order of their paths.
func (p *push) differences(sealed []manifest.File, differ *PathsError) {
	for i, f := range p.files {
		for len(sealed) > 0 && sealed[0].Path < f.path {
			differ.add(sealed[0].Path, "not in the directory")
			sealed = sealed[1:]
		}
		if len(sealed) == 0 || sealed[0].Path != f.path {
			differ.add(f.path, "not in the package")
			continue
		}
		if identityOf(sealed[0]) != p.ids[i] {
			differ.add(f.path, "other bytes in the package")
		}
		sealed = sealed[1:]
	}
	for _, f := range sealed {
		differ.add(f.Path, "not in the directory")
	}
}

func identityOf(f manifest.File) digest.Identity {
	return digest.Identity{SHA256: f.SHA256, BLAKE3: f.BLAKE3, Size: f.Size}
}

// unchanged walks the directory again and demands that it is as it was.
func (p *push) unchanged() error {
	changed := &PathsError{What: "the directory changed while it was pushed; the package was not sealed: push it again when it is at rest"}
	now, err := scan(p.root, p.FollowSymlinks)
	if bad := (*PathsError)(nil); errors.As(err, &bad) {
		changed.List = bad.List
		return changed
	}
	if err != nil {
		return err
	}
	after := now.files
	for _, f := range p.files {
		i, there := slices.BinarySearchFunc(after, f.path, func(a local, path string) int { return compare(a.path, path) })
		for _, n := range after[:i] {
			changed.add(n.path, "it is new")
		}
		after = after[i:]
		switch {
		case !there:
			changed.add(f.path, "it went away")
			continue
		case !f.unchanged(after[0].info):
			changed.add(f.path, "it changed")
		}
		after = after[1:]
	}
	for _, n := range after {
		changed.add(n.path, "it is new")
	}
	return changed.orNil()
}
