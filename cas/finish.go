package cas

import (
	"context"
	"errors"
	"fmt"
	"io"

	"artifactstore/backends"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// FinishUpload adds a last chunk, which may be empty, to a session and makes the
// whole a stored blob with the wanted digest, as [Store.Put] does with the
// options. Repeated with the same digest and nothing to add it gives the same
// answer.
//
// A digest of an algorithm that was not announced when the session began (in
// practice SHA-512) is the one case in which the stored bytes are read again.
//
// Errors: those of [Store.AppendUpload] and [Store.Put]. On a *DigestMismatchError
// the session is over: its bytes are not what the client thinks they are.
func (s *Store) FinishUpload(ctx context.Context, id Session, c Chunk, want digest.Digest, o PutOptions) (Stored, error) {
	u, err := s.session(ctx, id)
	if err != nil {
		return Stored{}, err
	}
	o.Want, o.Size = []digest.Digest{want}, -1
	if !u.Finished.IsZero() {
		return s.finishedBefore(ctx, id, u, c, want)
	}
	stored, u, err := s.finish(ctx, u, c, o)
	switch mismatch := (*DigestMismatchError)(nil); {
	case errors.As(err, &mismatch):
		return Stored{}, errors.Join(err, s.CancelUpload(context.WithoutCancel(ctx), id))
	case err != nil:
		return Stored{}, err
	}
	s.close(context.WithoutCancel(ctx), u, stored.SHA256)
	return stored, nil
}

// finish returns the stored blob and the session's row as it is then.
func (s *Store) finish(ctx context.Context, u registry.Upload, c Chunk, o PutOptions) (Stored, registry.Upload, error) {
	if u.Offset == 0 { // all of it is in this request
		stored, err := s.finishWhole(ctx, u, c, o)
		return stored, u, err
	}
	class, until, err := s.class(o)
	if err != nil {
		return Stored{}, u, err
	}
	o.RetentionClass = class
	r, err := s.resume(ctx, u, c)
	if errors.Is(err, ErrUploadUnknown) {
		stored, err := s.committedBefore(ctx, u, o, err)
		return stored, u, err
	}
	if err != nil {
		return Stored{}, u, err
	}
	defer r.close()
	r.PutOptions, r.until = o, until
	if err := r.receive(ctx, c); err != nil {
		return Stored{}, r.row, err
	}
	stored, err := r.complete(ctx)
	return stored, r.row, err
}

// finishWhole stores what came in one piece as any other upload, with all that
// spares: content that is there is not written again.
func (s *Store) finishWhole(ctx context.Context, u registry.Upload, c Chunk, o PutOptions) (Stored, error) {
	if c.Offset > 0 {
		return Stored{}, &OffsetError{Want: 0, Got: c.Offset}
	}
	o.Size = c.Size
	stored, err := s.Put(ctx, c.Body, o)
	if err == nil {
		s.drop(context.WithoutCancel(ctx), u)
	}
	return stored, err
}

// complete checks what was received and makes it a blob.
func (r *received) complete(ctx context.Context) (Stored, error) {
	commit := r.commit
	switch err := r.verify(); {
	case errors.Is(err, ErrNotComputed):
		if commit, err = r.readAgain(context.WithoutCancel(ctx)); err != nil {
			return Stored{}, err
		}
	case err != nil:
		return Stored{}, err
	}
	stored, err := r.settle(ctx, commit)
	if err == nil {
		r.upload.Abort(context.WithoutCancel(ctx)) // where the bytes were there already
	}
	return stored, err
}

// commit makes the session's bytes the object under key.
func (r *received) commit(ctx context.Context, key string) error {
	return r.upload.Commit(ctx, key)
}

// readAgain checks the wanted digests of algorithms that were not computed by
// reading the object, which is made durable first where no stored location has
// it. It returns the commit that is then left to do. An object that turns out
// not to be the wanted one has no row: it is garbage, and collected as such.
func (r *received) readAgain(ctx context.Context) (commit func(context.Context, string) error, err error) {
	id := r.hash.Identity()
	b, err := r.lookUp(ctx, id)
	if err != nil {
		return nil, err
	}
	if stateOn(b, r.backendID) != registry.Stored {
		if err := r.commit(ctx, id.SHA256.Key()); err != nil {
			return nil, backendError("store "+id.SHA256.String(), r.backendID, err)
		}
		commit = func(context.Context, string) error { return nil }
	} else {
		commit = r.commit
	}
	for _, want := range r.Want {
		got, err := r.sumStored(ctx, id, want.Algorithm())
		if err != nil {
			return nil, err
		}
		if got != want {
			return nil, &DigestMismatchError{Want: want, Got: got}
		}
		if want.Algorithm() == digest.SHA512 {
			r.sha512 = want
		}
	}
	return commit, nil
}

// sumStored hashes the object of a blob on the routed backend.
func (r *received) sumStored(ctx context.Context, id digest.Identity, alg digest.Algorithm) (digest.Digest, error) {
	in, err := r.backend(r.backendID).Open(ctx, id.SHA256.Key(), 0, id.Size)
	if err != nil {
		return digest.Digest{}, backendError("read "+id.SHA256.String(), r.backendID, err)
	}
	defer in.Close()
	buf, err := r.buffers.take(ctx)
	if err != nil {
		return digest.Digest{}, err
	}
	defer r.buffers.giveBack(buf)
	hash := digest.NewHasher(alg)
	if _, err := io.CopyBuffer(struct{ io.Writer }{hash}, struct{ io.Reader }{in}, buf[:]); err != nil {
		return digest.Digest{}, backendError("read "+id.SHA256.String(), r.backendID, err)
	}
	if hash.Identity() != id {
		return digest.Digest{}, fmt.Errorf("read %s on %s: %w", id.SHA256, r.backendID, backends.ErrShort)
	}
	sum, _ := hash.Sum(alg)
	return sum, nil
}

// close marks a session finished. The blob is stored and its events are in the
// log, so a failure here costs only the right to ask again; the row then expires
// as an open one.
func (s *Store) close(ctx context.Context, u registry.Upload, blob digest.Digest) {
	u.Finished, u.State, u.Hash = blob, nil, nil
	if _, err := s.reg.SaveUpload(ctx, u); err != nil {
		s.log.WarnContext(ctx, "a finished upload could not be marked so", "upload", u.ID, "error", err)
	}
}

// committedBefore answers for a session whose bytes the backend no longer has as
// an upload: another request, or this one before its answer was lost, has made
// them the blob.
func (s *Store) committedBefore(ctx context.Context, u registry.Upload, o PutOptions, gone error) (Stored, error) {
	b, err := s.reg.BlobIn(ctx, u.Repository, o.Want[0], s.now())
	if err != nil || stateOn(b, u.BackendID) != registry.Stored {
		return Stored{}, gone
	}
	return Stored{Identity: b.Identity, SHA512: b.SHA512, BackendID: u.BackendID, Existed: true, LeasedUntil: b.LeasedUntil}, nil
}

// finishedBefore answers a repeated FinishUpload.
func (s *Store) finishedBefore(ctx context.Context, id Session, u registry.Upload, c Chunk, want digest.Digest) (Stored, error) {
	if n, err := c.Body.Read(make([]byte, 1)); n > 0 || (err != nil && err != io.EOF) {
		return Stored{}, unknownUpload(id)
	}
	b, err := s.reg.Blob(ctx, u.Finished)
	if err != nil {
		return Stored{}, registryError("look up "+u.Finished.String(), err)
	}
	if want != b.SHA256 && want != b.BLAKE3 && want != b.SHA512 {
		return Stored{}, unknownUpload(id)
	}
	return Stored{Identity: b.Identity, SHA512: b.SHA512, BackendID: u.BackendID, Existed: true, LeasedUntil: b.LeasedUntil}, nil
}
