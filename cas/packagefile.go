package cas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// PutFile stores a stream as [Store.Put] does and puts it at a path of an open
// package, in place of what was there. A package that does not exist is created
// with the options' class; of one that does, the class routes. Existed says that
// the path had these bytes.
//
// Errors: ErrPackageSealed, ErrWouldReplace, and those of [Store.Put].
func (s *Store) PutFile(ctx context.Context, k PackageKey, path string, r io.Reader, o PutOptions) (Stored, error) {
	p, w, err := s.fileWriter(ctx, k, path, o)
	if err != nil {
		return Stored{}, err
	}
	defer p.hash.Release()
	stored, err := p.run(ctx, r)
	return w.result(stored, err)
}

// AttachFile puts a blob that the store keeps, and who asks may know, at a path of an open package,
// without its bytes being sent. Where the package's route is another backend than
// the blob is on, it is copied there first.
//
// Errors: ErrBlobUnknown, ErrBlobUnavailable, and those of [Store.PutFile].
func (s *Store) AttachFile(ctx context.Context, k PackageKey, path string, d digest.Digest, o PutOptions) (Stored, error) {
	if err := o.mustKnow(ctx, d); err != nil {
		return Stored{}, err
	}
	b, err := s.lookUp(ctx, d)
	if err != nil {
		return Stored{}, err
	}
	o.Want, o.Size, o.Knows = []digest.Digest{b.SHA256}, b.Size, nil
	p, w, err := s.fileWriter(ctx, k, path, o)
	if err != nil {
		return Stored{}, err
	}
	defer p.hash.Release()
	if stateOn(b, p.backendID) == registry.Stored {
		if stored, err := p.settleKnown(ctx, b); !errors.Is(err, errGone) {
			return w.result(stored, err)
		}
	}
	stored, err := p.copyOf(ctx, b)
	return w.result(stored, err)
}

// copyOf puts a blob that is on another backend: its bytes are read from there and
// hashed again, like a client's.
func (p *put) copyOf(ctx context.Context, b registry.Blob) (Stored, error) {
	from, err := p.reader(ctx, b)
	if err != nil {
		return Stored{}, err
	}
	defer from.Close()
	stored, err := p.run(ctx, from)
	return stored, ofCopy(b, err)
}

// ofCopy says of a copy between backends what went wrong: its source is the
// store's own, so a torn or false one is no fault of who asked.
func ofCopy(b registry.Blob, err error) error {
	var source *SourceError
	var mismatch *DigestMismatchError
	var size *SizeMismatchError
	switch {
	case errors.As(err, &source):
		return source.Err
	case errors.As(err, &mismatch), errors.As(err, &size):
		return fmt.Errorf("copy %s: %w: %w", b.SHA256, ErrBlobUnavailable, err)
	}
	return err
}

// errGone means that a blob found stored no longer is.
var errGone = errors.New("the stored copy went away")

// settleKnown records what a put has to say of a blob that its backend holds.
func (p *put) settleKnown(ctx context.Context, b registry.Blob) (Stored, error) {
	for range settleTries {
		if err := p.mayRecord(ctx, b.Identity); err != nil {
			return Stored{}, err
		}
		p.unneeded = b.References == 0
		events, err := p.keep(ctx, b.Identity)
		if err != nil {
			return Stored{}, err
		}
		list := make([]registry.Event, 0, len(events))
		for _, d := range events {
			list = append(list, event(p.Principal, d))
		}
		err = p.append(ctx, list...)
		if err == nil {
			return Stored{Identity: b.Identity, SHA512: b.SHA512, BackendID: p.backendID, Existed: true, LeasedUntil: p.until}, nil
		}
		if !errors.Is(err, registry.ErrConflict) {
			return Stored{}, registryError("record "+b.SHA256.String(), err)
		}
		if b, err = p.lookUp(ctx, b.Identity); err != nil {
			return Stored{}, err
		}
		if stateOn(b, p.backendID) != registry.Stored {
			return Stored{}, errGone
		}
	}
	return Stored{}, fmt.Errorf("record %s: %w: it keeps changing", b.SHA256, ErrRegistryUnavailable)
}

// fileWrite is one file on its way into a package.
type fileWrite struct {
	k    PackageKey
	path string
	had  bool // the path had these bytes already
	// seen is whether the package was there when the write began, until it is
	// used: the registry refuses what is no longer so, and then it is looked up.
	seen *bool
}

// exists reports whether the package is there; one that is sealed is an error.
func (w *fileWrite) exists(ctx context.Context, s *Store) (bool, error) {
	if w.seen != nil {
		there := *w.seen
		w.seen = nil
		return there, nil
	}
	_, err := s.openPackage(ctx, w.k)
	if errors.Is(err, ErrPackageUnknown) {
		return false, nil
	}
	return true, err
}

// result says of a put what the file's writer wants to know.
func (w *fileWrite) result(stored Stored, err error) (Stored, error) {
	stored.Existed = w.had
	return stored, err
}

// fileWriter returns a put that makes its blob a file. A sealed package is
// refused before a byte is read, and again when the file is recorded.
func (s *Store) fileWriter(ctx context.Context, k PackageKey, path string, o PutOptions) (*put, *fileWrite, error) {
	have, err := s.openPackage(ctx, k)
	there := err == nil
	switch {
	case there:
		o.RetentionClass = have.RetentionClass
	case !errors.Is(err, ErrPackageUnknown):
		return nil, nil, err
	}
	o.Producer = k.Producer
	p, err := s.newPut(o)
	if err != nil {
		return nil, nil, err
	}
	w := &fileWrite{k: k, path: path, seen: &there}
	p.record = func(ctx context.Context, id digest.Identity) ([]registry.Data, error) {
		return w.record(ctx, p, id)
	}
	p.replaces = func(ctx context.Context, id digest.Identity) error { return w.replaces(ctx, s, id) }
	return p, w, nil
}

// record returns what the log has to say besides the blob: the package, where it
// is new, and the file, where it is not what was there.
func (w *fileWrite) record(ctx context.Context, p *put, id digest.Identity) ([]registry.Data, error) {
	file := registry.File{Path: w.path, Blob: id.SHA256}
	there, err := w.exists(ctx, p.Store)
	if err != nil {
		return nil, err
	}
	if !there {
		w.had = false
		return []registry.Data{registry.PackageCreated{
			Package: w.k, Format: registry.FormatFiles, RetentionClass: p.RetentionClass, Files: []registry.File{file},
		}}, nil
	}
	if w.had, err = w.has(ctx, p, file); w.had || err != nil {
		return nil, err
	}
	return []registry.Data{registry.PackageFileAdded{Package: w.k, Path: w.path, Blob: id.SHA256, New: p.CreateOnly}}, nil
}

// replaces returns ErrWouldReplace where another file is at the path.
func (w *fileWrite) replaces(ctx context.Context, s *Store, id digest.Identity) error {
	was, err := s.reg.File(ctx, w.k, w.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && was.Blob != id.SHA256:
		return fmt.Errorf("%s of %s: %w", w.path, w.k, ErrWouldReplace)
	}
	return registryError("look up "+w.path+" of "+w.k.String(), err)
}

// has reports whether the package has the file. A blob that no package needs is no
// file of one.
func (w *fileWrite) has(ctx context.Context, p *put, file registry.File) (bool, error) {
	if p.unneeded {
		return false, nil
	}
	was, err := p.reg.File(ctx, w.k, w.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return was == file, registryError("look up "+w.path+" of "+w.k.String(), err)
}

// RemoveFile takes a file out of an open package.
func (s *Store) RemoveFile(ctx context.Context, k PackageKey, path, principal string) error {
	for range settleTries {
		if _, err := s.openPackage(ctx, k); err != nil {
			return err
		}
		if _, err := s.file(ctx, k, path); err != nil {
			return err
		}
		err := s.append(ctx, event(principal, registry.PackageFileRemoved{Package: k, Path: path}))
		if !errors.Is(err, registry.ErrConflict) {
			return registryError("remove "+path+" of "+k.String(), err)
		}
	}
	return changing(k)
}
