package s3

import (
	"context"
	"fmt"

	"artifactstore/backends"
)

// Commit makes the object: one put, or the completion of the parts, with a
// server-side copy where they are on a staging key.
func (u *upload) Commit(ctx context.Context, key string) error {
	final, err := u.b.object(key)
	switch {
	case err != nil:
		return err
	case u.committed == key:
		return nil
	case u.ended || u.committed != "":
		return u.fail(ctx, "commit", errEnded)
	case u.broken != nil:
		return u.fail(ctx, "commit", u.broken)
	case u.m != nil && u.hint.Key != "" && u.hint.Key != key:
		return fmt.Errorf("commit %s: the upload was begun for %s: %w", key, u.hint.Key, backends.ErrKeyInvalid)
	}
	if err := u.commit(ctx, final); err != nil {
		return u.b.fail(ctx, "commit", key, err)
	}
	u.committed = key
	u.cur.release()
	u.cur = nil
	if err := u.removeTails(ctx); err != nil {
		u.b.options.Log.Warn("the tail of an upload could not be removed; sweeping will", "upload", u.nonce, "error", err)
	}
	return nil
}

func (u *upload) commit(ctx context.Context, final string) error {
	if u.m == nil {
		return u.b.put(ctx, final, u.nonce, u.rest())
	}
	if err := u.assemble(ctx); err != nil {
		return err
	}
	if u.hint.Key != "" {
		return nil
	}
	if err := u.b.copy(ctx, u.m.key, final, u.nonce, u.size, u.surplus); err != nil {
		return err
	}
	if err := u.b.remove(ctx, u.m.key); err != nil {
		u.b.options.Log.Warn("a staging object could not be removed; sweeping will", "object", u.m.key, "error", err)
	}
	return nil
}

// rest is what waits in memory, perhaps nothing.
func (u *upload) rest() *buffer {
	if u.cur == nil {
		return &buffer{}
	}
	return u.cur
}

// assemble completes the multipart upload.
func (u *upload) assemble(ctx context.Context) error {
	if u.assembled {
		return nil
	}
	if u.suspended {
		return u.assembleShared(ctx)
	}
	if u.cur != nil && u.cur.size > 0 {
		if err := u.flush(ctx); err != nil {
			return err
		}
	}
	parts, err := u.finish(ctx, u.m)
	if err != nil {
		return err
	}
	return u.complete(ctx, parts, u.size)
}

func (u *upload) complete(ctx context.Context, parts []part, size int64) error {
	certain, err := u.m.complete(ctx, parts, size)
	u.uncertain = !certain
	u.assembled = err == nil
	return err
}

// assembleShared completes an upload that others may have gone on with from one
// of its states. Their parts may lie behind its own, or in the place of its
// last one, which therefore stays in memory until the end. Any other part that has
// been replaced makes the upload unknown: what is completed is what was written.
// It looks before it sends the last part, so as not to spoil another's upload in vain.
func (u *upload) assembleShared(ctx context.Context) error {
	own, err := u.finish(ctx, u.m)
	if err != nil {
		return err
	}
	for range u.b.options.MaxAttempts {
		listed, _, failed := u.m.parts(ctx)
		if failed != nil {
			return failed
		}
		if len(listed) < len(own) || fingerprint(listed[:len(own)]) != fingerprint(own) {
			return fmt.Errorf("%w: its parts have been replaced", backends.ErrUploadUnknown)
		}
		parts := own
		if last := u.rest(); last.size > 0 || len(own) == 0 {
			p, err := u.m.send(ctx, len(own)+1, last)
			if err != nil {
				return err
			}
			parts = append(parts[:len(own):len(own)], p)
		}
		if err != nil && len(listed) > len(parts) { // the second time round
			return u.assembleWith(ctx, parts, listed[len(parts):])
		}
		if err = u.complete(ctx, parts, u.size); code(err) != "InvalidPart" {
			return err
		}
	}
	return err
}

// assembleWith completes an upload that ends before parts which another attempt
// left behind. Most services leave such parts out. RGW refuses, so they
// are taken in behind the end of the object, on the staging key, and the copy stops
// at its size. On a final key that would be a lie for a moment; content that has a
// known key cannot end sooner the second time, so this is an error there.
func (u *upload) assembleWith(ctx context.Context, parts, behind []part) error {
	if u.hint.Key != "" {
		return fmt.Errorf("%w: another attempt has sent more bytes for this key", backends.ErrUploadUnknown)
	}
	if n := len(parts); parts[n-1].size < partLeast {
		// It is not the last any more, so it must have a part's least size.
		last := u.rest()
		for last.reserved < partLeast && last.tryGrow(partLeast) {
		}
		last.pad(partLeast)
		p, err := u.m.send(ctx, n, last)
		if err != nil {
			return err
		}
		parts[n-1] = p
	}
	parts = append(parts, behind...)
	u.surplus = true
	return u.complete(ctx, parts, total(parts))
}
