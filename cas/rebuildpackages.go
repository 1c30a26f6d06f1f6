package cas

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/cas/manifest"
	"artifactstore/registry"
)

// makePackages makes a package of each manifest that was found, in the order of the
// log. A manifest that cannot be made one now is looked at again by the next run.
func (r *rebuilder) makePackages(ctx context.Context) error {
	last, err := r.reg.Last(ctx)
	if err != nil {
		return registryError("read the log's position", err)
	}
	after, whole := r.state.After, true
	for rec, err := range r.reg.Since(ctx, r.state.After) {
		if err != nil {
			return registryError("read the log", err)
		}
		if rec.Position > last {
			break // what this loop appends
		}
		unmade := r.so.Unmade
		if d, ok := rec.Data.(registry.BlobLeased); ok && rec.Actor == actorRebuild && d.Producer == leasedManifest {
			if err := r.makePackage(ctx, d.Blob); err != nil {
				return err
			}
		}
		if whole = whole && r.so.Unmade == unmade; whole {
			after = rec.Position
		}
		r.tell("packages", float64(rec.Position)/float64(last))
	}
	r.state.After = after
	return nil
}

// makePackage makes a package of a manifest.
func (r *rebuilder) makePackage(ctx context.Context, blob digest.Digest) error {
	body, err := r.bytesOf(ctx, blob)
	switch {
	case errors.Is(err, ErrBlobUnknown): // nobody has wanted it since an earlier run
		return nil
	case errors.Is(err, ErrBlobUnavailable):
		r.unmade(Unmade{Manifest: blob, Reason: "its bytes cannot be read any more"})
		return nil
	case err != nil:
		return err
	}
	if m, err := manifest.Decode(body); err == nil {
		return r.makeSealed(ctx, blob, m)
	}
	m, err := r.o.ParseOCI(body)
	if err != nil {
		return fmt.Errorf("%s is no manifest: %w", blob, err)
	}
	return r.makeOCI(ctx, blob, m)
}

func (r *rebuilder) bytesOf(ctx context.Context, blob digest.Digest) ([]byte, error) {
	b, err := r.Open(ctx, blob)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

func (r *rebuilder) unmade(u Unmade) {
	r.so.Unmade++
	if len(r.so.UnmadeList) < mostFailures {
		r.so.UnmadeList = append(r.so.UnmadeList, u)
	}
}

// makeSealed makes a package with files.
func (r *rebuilder) makeSealed(ctx context.Context, blob digest.Digest, m manifest.Manifest) error {
	k := PackageKey{Producer: m.Producer, Name: m.Name, Version: m.Version}
	u := Unmade{Manifest: blob, Package: k.String()}
	var files []registry.File
	for _, f := range m.Files {
		b, err := r.stored(ctx, f.SHA256)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			u.misses(f.SHA256)
		case err != nil:
			return err
		case b.BLAKE3 != f.BLAKE3 || b.Size != f.Size:
			u.Reason = "it says what is not so of " + f.Path
		}
		files = append(files, registry.File{Path: f.Path, Blob: f.SHA256})
	}
	if u.Reason != "" {
		r.unmade(u)
		return nil
	}
	was, err := r.reg.Package(ctx, k)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return registryError("look up "+k.String(), err)
	}
	if err == nil {
		if was.Manifest == blob {
			r.so.Present++
			return nil
		}
		replaces, err := r.replaces(ctx, blob, was)
		if err != nil {
			return err
		}
		if !replaces {
			u.Reason = "the package has another manifest, " + was.Manifest.String()
			r.unmade(u)
			return nil
		}
	}
	made, err := r.append(ctx, u, sealedEvents(k, was, m, blob, files))
	if err != nil || !made {
		return err
	}
	if was.State != registry.Sealed {
		r.so.Packages++
	} else { // it was made of an older manifest of this name
		r.unmade(Unmade{Manifest: was.Manifest, Package: k.String(), Reason: "the package has a newer manifest, " + blob.String()})
	}
	return nil
}

// mostBorn is how many files one event may have.
const mostBorn = 50_000

// sealedEvents makes a package whole in one append, in place of one that was.
func sealedEvents(k PackageKey, was Package, m manifest.Manifest, blob digest.Digest, files []registry.File) (all []registry.Event) {
	if was.Name != "" {
		all = append(all, event(actorRebuild, registry.PackageDeleted{Package: k}))
	}
	born := files[:min(len(files), mostBorn)]
	all = append(all, event(actorRebuild, registry.PackageCreated{
		Package: k, Format: registry.FormatFiles, RetentionClass: m.Class, Labels: m.Labels, Files: born,
	}))
	revision := int64(1)
	for _, f := range files[len(born):] {
		all = append(all, event(actorRebuild, registry.PackageFileAdded{Package: k, Path: f.Path, Blob: f.Blob}))
		revision++
	}
	return append(all, event(actorRebuild, registry.PackageSealed{Package: k, Manifest: blob, Revision: revision}))
}

// replaces reports whether a manifest takes the place of a package. An open one was
// sealed so later. Of two manifests of one name the one whose object is newer
// counts, but never over what the registry knew before it was rebuilt.
func (r *rebuilder) replaces(ctx context.Context, blob digest.Digest, was Package) (bool, error) {
	if was.State != registry.Sealed {
		return true, nil
	}
	leases, err := r.reg.LeasesOf(ctx, was.Manifest, 100)
	if err != nil {
		return false, registryError("look up leases of "+was.Manifest.String(), err)
	}
	if !slices.ContainsFunc(leases, func(l registry.Lease) bool { return l.Actor == actorRebuild && l.Producer == leasedManifest }) {
		return false, nil
	}
	old, err := r.writtenAt(ctx, was.Manifest)
	if err != nil {
		return false, err
	}
	now, err := r.writtenAt(ctx, blob)
	return now.After(old), err
}

// writtenAt returns when the oldest object of a blob was written.
func (r *rebuilder) writtenAt(ctx context.Context, blob digest.Digest) (at time.Time, err error) {
	b, err := r.reg.Blob(ctx, blob)
	if err != nil {
		return at, registryError("look up "+blob.String(), err)
	}
	for _, l := range b.Locations {
		if l.State != registry.Stored || r.backend(l.BackendID) == nil {
			continue
		}
		info, err := r.backend(l.BackendID).Stat(ctx, blob.Key())
		if err != nil {
			return at, backendError("look up "+blob.String(), l.BackendID, err)
		}
		if at.IsZero() || info.ModTime.Before(at) {
			at = info.ModTime
		}
	}
	return at, nil
}

// makeOCI puts a manifest into the repository, unless one has it.
func (r *rebuilder) makeOCI(ctx context.Context, blob digest.Digest, m Manifest) error {
	references, err := r.reg.References(ctx, blob, 100)
	if err != nil {
		return registryError("look up references of "+blob.String(), err)
	}
	if slices.ContainsFunc(references, func(f registry.Reference) bool { return f.Format == registry.FormatOCI && f.Path == "" }) {
		r.so.Present++
		return nil
	}
	producer, _, _ := strings.Cut(r.o.Repository, "/")
	k := PackageKey{Producer: producer, Name: r.o.Repository, Version: blob.String()}
	u := Unmade{Manifest: blob, Package: k.String()}
	files := map[string]registry.File{}
	for _, ref := range m.Refers {
		b, err := r.stored(ctx, ref.Digest)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			u.misses(ref.Digest)
			continue
		case err != nil:
			return err
		case b.Size != ref.Size:
			u.Reason = "it says what is not so of " + ref.Digest.String()
		}
		f := registry.File{Path: referencePath(b.SHA256), Blob: b.SHA256}
		files[f.Path] = f
	}
	if u.Reason != "" {
		r.unmade(u)
		return nil
	}
	made, err := r.append(ctx, u, []registry.Event{event(actorRebuild, registry.PackageCreated{
		Package: k, Format: registry.FormatOCI, RetentionClass: r.o.RetentionClass, OCI: &m.OCI, Manifest: blob,
		Files: slices.SortedFunc(maps.Values(files), func(a, b registry.File) int { return cmp.Compare(a.Path, b.Path) }),
	})})
	if made {
		r.so.Manifests++
	}
	return err
}

// stored returns a blob that can be read, by any of its digests; fs.ErrNotExist where
// there is none.
func (r *rebuilder) stored(ctx context.Context, d digest.Digest) (registry.Blob, error) {
	b, err := r.reg.Blob(ctx, d)
	switch {
	case err == nil && readable(b) == "":
		return b, fs.ErrNotExist
	case errors.Is(err, fs.ErrNotExist):
		return b, err
	}
	return b, registryError("look up "+d.String(), err)
}

// mostMissing bounds how many missing blobs an Unmade names.
const mostMissing = 10

func (u *Unmade) misses(d digest.Digest) {
	if u.Reason = "it names what no backend has"; len(u.Missing) < mostMissing {
		u.Missing = append(u.Missing, d)
	}
}

// append makes a package, unless the registry refuses it: what is held is not
// replaced, and nobody else's blob that looks like a manifest has to be one.
func (r *rebuilder) append(ctx context.Context, u Unmade, events []registry.Event) (made bool, err error) {
	if err = r.turn.Check(); err != nil {
		return false, err
	}
	err = r.Store.append(ctx, events...)
	if errors.Is(err, registry.ErrConflict) || errors.Is(err, registry.ErrRecord) {
		u.Reason = "the registry refuses it: " + err.Error()
		r.unmade(u)
		return false, nil
	}
	return err == nil, registryError("make "+u.Package, err)
}
