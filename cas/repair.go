package cas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"
	"unicode"

	"artifactstore/backends"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// Where the bytes of a repaired location came from, as location_repaired says it.
// A push says "push".
const (
	SourceVerification = "verification" // they were there again
	sourceBackend      = "backend:"     // and the id of another location's
	sourceFile         = "file:"        // and the name of the file
)

// RepairOptions say what is repaired.
type RepairOptions struct {
	Backend string // id; "" is all
	By      string // the actor of its events; "" is the gateway
	// Each, where not nil, is told of every failed location in turn.
	Each func(Repair)
}

// Repair is what became of a failed location.
type Repair struct {
	Blob      digest.Digest `json:"blob"`
	Size      int64         `json:"size"`
	BackendID string        `json:"backend_id"`
	Reason    string        `json:"reason"`           // why it had failed
	Source    string        `json:"source,omitempty"` // where its bytes came from; "" where it could not be repaired
	Error     string        `json:"error,omitempty"`  // why it could not

	// Who needs what could not be repaired: the first packages, and until when a
	// lease keeps it.
	Packages    []string  `json:"packages,omitempty"`
	LeasedUntil time.Time `json:"leased_until,omitzero"`
}

// Repairs counts them.
type Repairs struct {
	Repaired int64 `json:"repaired"`
	Left     int64 `json:"left"` // could not be repaired
}

// mostNeeders bounds how many packages a Repair names.
const mostNeeders = 10

// Repair mends failed locations, in the order of digests and in constant memory.
// A location is looked at first: it may be right again. Otherwise its bytes are
// copied from another stored location and hashed on their way; a copy that is not
// the blob replaces nothing, and its source is examined in turn.
func (s *Store) Repair(ctx context.Context, o RepairOptions) (n Repairs, err error) {
	if o.Backend != "" && s.backend(o.Backend) == nil {
		return n, fmt.Errorf("%w: %q", ErrBackendUnknown, o.Backend)
	}
	if o.By == "" {
		o.By = actorGateway
	}
	for b, err := range s.reg.Blobs(ctx, digest.Digest{}) {
		if err != nil {
			return n, registryError("walk blobs", err)
		}
		for _, at := range b.Locations {
			if at.State != registry.Failed || (o.Backend != "" && at.BackendID != o.Backend) {
				continue
			}
			r, err := s.repair(ctx, b, at, o.By)
			if err != nil {
				return n, err
			}
			if r.Source == "" {
				n.Left++
			} else {
				n.Repaired++
			}
			if o.Each != nil {
				o.Each(r)
			}
		}
	}
	return n, nil
}

// repair mends one failed location, or says why not.
func (s *Store) repair(ctx context.Context, b registry.Blob, at registry.Location, by string) (Repair, error) {
	r := Repair{Blob: b.SHA256, Size: b.Size, BackendID: at.BackendID, Reason: string(at.Reason)}
	source, err := s.lookAgain(ctx, b, at, by)
	if err == nil && source == "" {
		source, err = s.repairFromLocations(ctx, b.SHA256, at.BackendID, by)
	}
	r.Source = source
	switch {
	case err == nil:
		return r, nil
	case ctx.Err() != nil, errors.Is(err, ErrRegistryUnavailable):
		return r, err
	}
	r.Error = err.Error()
	r.LeasedUntil = b.LeasedUntil
	references, err := s.reg.References(ctx, b.SHA256, mostNeeders)
	if err != nil {
		return r, registryError("look up packages", err)
	}
	for _, ref := range references {
		r.Packages = append(r.Packages, ref.PackageKey.String())
	}
	r.Packages = slices.Compact(r.Packages)
	return r, nil
}

// lookAgain reads a failed location, and records it as repaired where it is right.
func (s *Store) lookAgain(ctx context.Context, b registry.Blob, at registry.Location, by string) (source string, err error) {
	backend := s.backend(at.BackendID)
	if backend == nil {
		return "", fmt.Errorf("%w: %q", ErrBackendUnknown, at.BackendID)
	}
	seen, err := s.seen(ctx)
	if err != nil {
		return "", err
	}
	x := s.newExaminer(backend, &pace{})
	defer x.hash.Release()
	if r, err := x.look(ctx, b.Identity); err != nil || r != Intact {
		return "", err
	}
	return SourceVerification, s.repaired(ctx, b.SHA256, at.BackendID, SourceVerification, seen, by)
}

// repairFromLocations copies a blob to a backend where its location has failed,
// and returns where from. ErrBlobUnavailable means that no other location has it.
func (s *Store) repairFromLocations(ctx context.Context, blob digest.Digest, to, by string) (source string, err error) {
	seen, err := s.seen(ctx)
	if err != nil {
		return "", err
	}
	b, err := s.reg.Blob(ctx, blob)
	if err != nil {
		return "", registryError("look up "+blob.String(), err)
	}
	var away error
	for _, at := range b.Locations {
		from := s.backend(at.BackendID)
		if at.State != registry.Stored || at.BackendID == to || from == nil {
			continue
		}
		err := s.copyTo(ctx, b.Identity, from, to)
		var read *SourceError
		switch {
		case err == nil:
			return sourceBackend + at.BackendID, s.repaired(ctx, blob, to, sourceBackend+at.BackendID, seen, by)
		case ctx.Err() != nil, !errors.As(err, &read):
			return "", err
		}
		if err := s.doubt(ctx, b, at, by); err != nil {
			return "", err
		}
		away = errors.Join(away, fmt.Errorf("from %s: %w", at.BackendID, read.Err))
	}
	if away != nil {
		return "", fmt.Errorf("%w: %w", ErrBlobUnavailable, away)
	}
	return "", fmt.Errorf("%w: no other location is stored", ErrBlobUnavailable)
}

// copyTo writes a blob to a backend. It is a *SourceError where from does not
// have the blob.
func (s *Store) copyTo(ctx context.Context, id digest.Identity, from backends.Backend, to string) error {
	rc, err := from.Open(ctx, id.SHA256.Key(), 0, -1)
	if err != nil {
		return &SourceError{err}
	}
	defer rc.Close()
	return s.write(ctx, id, rc, to)
}

// write writes what r gives to a backend, under the key of a blob, if it is the
// blob. It is a *SourceError where it is not, and then nothing was replaced.
func (s *Store) write(ctx context.Context, id digest.Identity, r io.Reader, to string) error {
	key := id.SHA256.Key()
	target := s.backend(to)
	if target == nil {
		return fmt.Errorf("%w: %q", ErrBackendUnknown, to)
	}
	up, err := target.Begin(ctx, backends.Hint{Key: key, Size: id.Size})
	if err != nil {
		return backendError("begin upload", to, err)
	}
	defer up.Abort(context.WithoutCancel(ctx))
	h := digest.NewHasher()
	defer h.Release()
	buf := make([]byte, bufferBytes)
	for {
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if h.Size() > id.Size {
			return &SourceError{errors.New("it has more bytes than the blob")}
		}
		if _, err := up.Write(buf[:n]); err != nil {
			return backendError("write "+id.SHA256.String(), to, err)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return &SourceError{err}
		}
	}
	if h.Identity() != id {
		return &SourceError{&DigestMismatchError{Want: id.SHA256, Got: h.Identity().SHA256}}
	}
	return backendError("store "+id.SHA256.String(), to, up.Commit(ctx, key))
}

// repaired records a repair. Where somebody else's came first, that is as good.
func (s *Store) repaired(ctx context.Context, blob digest.Digest, on, source string, seen uint64, by string) error {
	err := s.append(ctx, event(by, registry.LocationRepaired{Blob: blob, BackendID: on, Source: source, Seen: seen}))
	if !errors.Is(err, registry.ErrConflict) {
		return registryError("record the repair of "+blob.String(), err)
	}
	b, err := s.reg.Blob(ctx, blob)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return registryError("look up "+blob.String(), err)
	case stateOn(b, on) == registry.Stored:
		return nil
	}
	return fmt.Errorf("%s on %s: it was removed meanwhile", blob, on)
}

// RepairFrom mends the failed locations of the blob that a file is, on one backend
// or on all (""), and returns what it mended: nothing where none has failed. What the file
// is, its bytes say; name is for the event. A file that is no blob of the store is
// ErrBlobUnknown.
func (s *Store) RepairFrom(ctx context.Context, r io.ReadSeeker, name, backendID, by string) ([]Repair, error) {
	if by == "" {
		by = actorGateway
	}
	h := digest.NewHasher()
	defer h.Release()
	if _, err := io.Copy(struct{ io.Writer }{h}, r); err != nil {
		return nil, &SourceError{err}
	}
	id := h.Identity()
	seen, err := s.seen(ctx)
	if err != nil {
		return nil, err
	}
	b, err := s.reg.Blob(ctx, id.SHA256)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", id.SHA256, ErrBlobUnknown)
	}
	if err != nil {
		return nil, registryError("look up "+id.SHA256.String(), err)
	}
	var done []Repair
	for _, at := range b.Locations {
		if at.State != registry.Failed || (backendID != "" && at.BackendID != backendID) {
			continue
		}
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return done, &SourceError{err}
		}
		source := sourceFile + printable(name)
		if err := s.write(ctx, id, r, at.BackendID); err != nil {
			return done, err
		}
		if err := s.repaired(ctx, id.SHA256, at.BackendID, source, seen, by); err != nil {
			return done, err
		}
		done = append(done, Repair{Blob: id.SHA256, Size: id.Size, BackendID: at.BackendID, Reason: string(at.Reason), Source: source})
	}
	return done, nil
}

// printable makes a file's name one that an event takes.
func printable(name string) string {
	var b []rune
	for _, c := range name {
		if !unicode.IsPrint(c) || c == unicode.ReplacementChar {
			c = '?'
		}
		if b = append(b, c); len(b) == 30 { // of four bytes at most
			break
		}
	}
	return string(b)
}
