package cas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"artifactstore/backends"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// FinishUpload adds a last chunk, which may be empty, to a session and makes the
// whole a stored blob with the wanted digest, as [Store.Put] does with the
// options. Repeated with the same digest it gives the same answer, and what it
// brings is dropped. That is so also while the first is at work still, in this
// process or another: both answer with the blob, and one waits for that.
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
	f := &finishing{Store: s, id: id, body: &lastChunk{Reader: c.Body}}
	c.Body = f.body
	for u.Finished.IsZero() {
		stored, row, err := s.finish(ctx, u, c, o)
		switch mismatch := (*DigestMismatchError)(nil); {
		case err == nil:
			s.close(context.WithoutCancel(ctx), row, stored.SHA256)
			return stored, nil
		case errors.As(err, &mismatch):
			return Stored{}, errors.Join(err, s.CancelUpload(context.WithoutCancel(ctx), id))
		case !met(err):
			return Stored{}, err
		}
		if u, err = f.await(ctx, row, err); err != nil {
			return Stored{}, err
		}
	}
	return s.finishedBefore(ctx, id, u, c, o)
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
	if err != nil && !errors.Is(err, errBytesGone) {
		return Stored{}, u, err
	}
	defer r.close()
	r.PutOptions, r.until = o, until
	if err := r.receive(ctx, c); err != nil {
		return Stored{}, r.row, r.explain(err)
	}
	stored, err := r.complete(context.WithoutCancel(ctx))
	return stored, r.row, r.explain(err)
}

// finishWhole stores what came in one piece as any other upload, with all that
// spares: content that is there is not written again.
func (s *Store) finishWhole(ctx context.Context, u registry.Upload, c Chunk, o PutOptions) (Stored, error) {
	if err := c.check(0); err != nil {
		return Stored{}, err
	}
	o.Size = c.Size
	stored, err := s.Put(ctx, c.body(0), o)
	if err == nil {
		s.drop(context.WithoutCancel(ctx), u)
	}
	return stored, err
}

// complete checks what was received and makes it a blob.
func (r *received) complete(ctx context.Context) (stored Stored, err error) {
	switch err := r.verify(); {
	case errors.Is(err, ErrNotComputed):
		stored, err = r.settleReadAgain(ctx)
		if err != nil {
			return Stored{}, err
		}
	case err != nil:
		return Stored{}, err
	default:
		if stored, err = r.settle(ctx, &writing{commit: r.upload.Commit}); err != nil {
			return Stored{}, err
		}
	}
	r.abort(ctx, r.upload) // where the bytes were there already
	return stored, nil
}

// settleReadAgain settles what is wanted by a digest that was not computed. The
// stored object is read: the one that is there already or, where none is, the one
// that is made of the session's bytes. Made of bytes that turn out not to be the
// wanted ones, it has no row: garbage, which is collected as such.
func (r *received) settleReadAgain(ctx context.Context) (Stored, error) {
	for range settleTries {
		if err := r.checkStored(ctx); err != nil {
			return Stored{}, err
		}
		stored, err := r.settle(ctx, &writing{commit: r.commitAndCheck})
		if err != nil || r.checked {
			return stored, err
		}
		// Another request has stored it since it was looked for.
	}
	return Stored{}, fmt.Errorf("read %s again: %w: it keeps changing", r.hash.Identity().SHA256, ErrRegistryUnavailable)
}

// checkStored compares what is wanted with the stored object, where there is
// one. One that is lost is recorded so, and then written anew.
func (r *received) checkStored(ctx context.Context) error {
	id := r.hash.Identity()
	known, err := r.knows(ctx, id.SHA256)
	if err != nil {
		return err
	}
	b, err := r.lookUp(ctx, id)
	if err != nil || !known {
		return err
	}
	for _, l := range b.Locations {
		if l.BackendID != r.backendID || l.State != registry.Stored {
			continue
		}
		switch err := r.check(ctx, id); {
		case errors.Is(err, fs.ErrNotExist):
			r.markFailed(ctx, id.SHA256, l, registry.Missing)
		case errors.Is(err, backends.ErrShort):
			r.markFailed(ctx, id.SHA256, l, registry.Truncated)
		case err != nil:
			return err
		}
	}
	return nil
}

// commitAndCheck makes the session's bytes the object under key and compares
// what is wanted with it.
func (r *received) commitAndCheck(ctx context.Context, key string) error {
	if err := r.upload.Commit(ctx, key); err != nil {
		return err
	}
	err := r.check(ctx, r.hash.Identity())
	if errors.Is(err, fs.ErrNotExist) { // a removal has taken it
		err = fmt.Errorf("%w: send it again: %v", ErrRemoving, err)
	}
	return err
}

// check compares the wanted digests with those of the object of a blob.
func (r *received) check(ctx context.Context, id digest.Identity) error {
	for _, want := range r.Want {
		got, err := r.sumStored(ctx, id, want.Algorithm())
		if err != nil {
			return err
		}
		if got != want {
			return &DigestMismatchError{Want: want, Got: got}
		}
		if want.Algorithm() == digest.SHA512 {
			r.sha512 = want
		}
	}
	r.checked = true
	return nil
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

// close marks a session finished, also where another request has taken it up since:
// what that one brings is not acknowledged, and then refused. The blob is stored and
// its events are in the log, so a failure here costs only the right to ask again; the
// row then expires as an open one.
func (s *Store) close(ctx context.Context, u registry.Upload, blob digest.Digest) {
	err := s.markFinished(ctx, u, blob)
	for range settleTries {
		if !errors.Is(err, registry.ErrConflict) {
			break
		}
		var now registry.Upload
		now, err = s.reg.Upload(ctx, u.ID)
		if err == nil {
			if !now.Finished.IsZero() || now.Offset != u.Offset { // what more it has is another's
				return
			}
			err = s.markFinished(ctx, now, blob)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.WarnContext(ctx, "a finished upload could not be marked so", "upload", u.ID, "error", err)
	}
}

func (s *Store) markFinished(ctx context.Context, u registry.Upload, blob digest.Digest) error {
	u.Finished, u.State, u.Hash = blob, nil, nil
	_, err := s.reg.SaveUpload(ctx, u)
	return err
}

// finishedBefore answers a repeated FinishUpload, while the repository still has
// what the session became: its answer promises the blob anew.
func (s *Store) finishedBefore(ctx context.Context, id Session, u registry.Upload, c Chunk, o PutOptions) (Stored, error) {
	b, err := s.lookUpIn(ctx, u.Repository, u.Finished)
	switch {
	case errors.Is(err, ErrBlobUnknown):
		return Stored{}, unknownUpload(id)
	case err != nil:
		return Stored{}, err
	case !slices.Contains(names(b), o.Want[0].String()):
		return Stored{}, unknownUpload(id)
	}
	if err := c.drop(b.Size); err != nil {
		return Stored{}, err
	}
	stored, err := s.Mount(ctx, u.Repository, b.SHA256, o)
	if errors.Is(err, ErrBlobUnknown) { // its bytes are lost: only sending them heals it
		err = unknownUpload(id)
	}
	return stored, err
}

// drop reads the chunk's bytes, of a blob that is stored already: a client
// listens to the answer when it has sent all.
func (c Chunk) drop(size int64) error {
	from := max(c.Offset, 0)
	if from > size || max(c.Size, 0) > size-from {
		return &SizeMismatchError{Want: size, Got: from + max(c.Size, 0)}
	}
	c.Limit = max(size, 1)
	if _, err := io.Copy(io.Discard, c.body(from)); err != nil {
		return &SourceError{err}
	}
	return nil
}
