package s3

import (
	"context"
	"errors"
	"fmt"
	"io"

	"artifactstore/backends"
)

// Suspend sends what fills a part and keeps the rest as a tail object.
func (u *upload) Suspend(ctx context.Context) ([]byte, error) {
	if u.broken != nil || u.ended || u.committed != "" {
		return nil, u.fail(ctx, "suspend", errors.Join(u.broken, errEnded))
	}
	s, err := u.suspend(ctx)
	if err != nil {
		u.broken = err
		return nil, u.fail(ctx, "suspend", err)
	}
	return s.encode(), nil
}

func (u *upload) suspend(ctx context.Context) (state, error) {
	number, sent := u.next()
	if u.cur != nil && u.cur.size >= min(u.target(number), u.sizes.least(number, sent)) {
		if err := u.flush(ctx); err != nil {
			return state{}, err
		}
	}
	if err := u.wait(ctx); err != nil {
		return state{}, err
	}
	if err := u.failure(); err != nil {
		return state{}, err
	}
	s := state{nonce: u.nonce, token: newNonce(), hint: u.hint, tail: u.rest().size}
	if u.m != nil {
		s.uploadID, s.parts, s.partsBytes, s.fingerprint = u.m.id, len(u.parts), total(u.parts), fingerprint(u.parts)
	}
	u.suspended, u.named = true, u.named || u.m != nil
	if s.hasTail() {
		return s, u.b.put(ctx, u.b.tail(s), u.nonce, u.rest())
	}
	return s, nil
}

// tail is the key in the bucket of a state's tail object.
func (b *Backend) tail(s state) string {
	return b.prefix + tailName(s.nonce, s.uploadID, s.partsBytes+s.tail, s.token)
}

// Resume finds the parts of a state and reads its tail, less than a part.
func (b *Backend) Resume(ctx context.Context, text []byte) (backends.Upload, error) {
	s, err := parseState(text)
	if err != nil {
		return nil, err
	}
	u, err := b.resume(ctx, s)
	if err != nil {
		return nil, b.fail(ctx, "resume", "upload "+s.nonce, err)
	}
	return u, nil
}

func (b *Backend) resume(ctx context.Context, s state) (*upload, error) {
	u := b.newUpload(ctx, s.hint, s.nonce, nil, nil)
	u.suspended, u.named = true, s.uploadID != ""
	if s.uploadID != "" {
		if err := u.find(ctx, s); err != nil {
			return nil, err
		}
	}
	if s.hasTail() {
		if err := u.readTail(ctx, s); err != nil {
			u.cur.release()
			return nil, err
		}
	}
	return u, nil
}

// find takes over the parts that a state names.
func (u *upload) find(ctx context.Context, s state) error {
	u.m = &multipart{b: u.b, id: s.uploadID, nonce: s.nonce, key: u.assembly()}
	listed, _, err := u.m.parts(ctx)
	if err != nil {
		return err
	}
	if len(listed) < s.parts || fingerprint(listed[:s.parts]) != s.fingerprint || total(listed[:s.parts]) != s.partsBytes {
		return fmt.Errorf("%w: its parts have been replaced", backends.ErrUploadUnknown)
	}
	if len(listed) > s.parts {
		u.leftover = listed
	}
	u.sender = newSender(ctx, listed[:s.parts:s.parts])
	u.size = s.partsBytes
	return nil
}

func (u *upload) readTail(ctx context.Context, s state) error {
	body, err := u.b.open(ctx, u.b.tail(s), 0, -1)
	if absent(err) {
		return backends.ErrUploadUnknown
	}
	if err != nil {
		return err
	}
	defer body.Close()
	if s.tail == 0 {
		return nil
	}
	number, sent := u.next()
	if u.cur, err = u.b.Memory().reserve(ctx, max(s.tail, u.first(number, sent, u.target(number)))); err != nil {
		return err
	}
	n, err := io.Copy(limited{u.cur, s.tail}, body)
	if err == nil && n != s.tail {
		err = fmt.Errorf("%w: its tail has %d bytes instead of %d", backends.ErrUploadUnknown, n, s.tail)
	}
	u.size += n
	return err
}

// limited lets a buffer be written to up to a size.
type limited struct {
	buffer *buffer
	size   int64
}

func (l limited) Write(p []byte) (int, error) {
	n := l.buffer.write(p, l.size)
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}
