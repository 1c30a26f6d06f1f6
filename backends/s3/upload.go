package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	"artifactstore/backends"
)

// upload is a backends.Upload. Its bytes are, in this order, in the sender's
// parts and in cur.
type upload struct {
	b     *Backend
	ctx   context.Context // Begin's or Resume's: Write obeys it
	hint  backends.Hint
	sizes sizes
	nonce string
	m     *multipart // nil until the threshold is passed
	*sender
	cur  *buffer // nil where nothing waits
	size int64   // bytes written

	// leftover are the parts the service holds beyond those of the state that was
	// resumed: leftover[n-1] is part n, earlier ones are zero. They must be
	// overwritten, because RGW completes no upload without all of its parts. So
	// a part that takes the place of one is never larger than it, whereby a client that
	// sends the same bytes again covers them all.
	leftover []part

	suspended bool   // a state was given out, so tails may exist
	named     bool   // one that names the multipart upload
	assembled bool   // the multipart upload is completed
	uncertain bool   // it may be
	surplus   bool   // the assembled object has bytes behind the end
	committed string // the key of the object, once it is there
	ended     bool
	cut       bool  // parts were cut off on their way when it ended
	broken    error // what Write or Suspend failed with
}

var errEnded = errors.New("the upload has ended")

// Begin makes no call to the service.
func (b *Backend) Begin(ctx context.Context, hint backends.Hint) (backends.Upload, error) {
	if hint.Key != "" {
		if err := backends.CheckKey(hint.Key); err != nil {
			return nil, err
		}
	}
	u := b.newUpload(ctx, hint, newNonce(), nil, nil)
	if err := u.sizes.check(); err != nil {
		return nil, fmt.Errorf("begin %s: %w", hint.Key, err)
	}
	return u, ctx.Err()
}

func (b *Backend) newUpload(ctx context.Context, hint backends.Hint, nonce string, m *multipart, parts []part) *upload {
	if hint.Size < 0 {
		hint.Size = -1
	}
	return &upload{
		b: b, ctx: ctx, hint: hint, nonce: nonce, m: m, sender: newSender(ctx, parts), size: total(parts),
		sizes: sizes{b.options.MultipartThreshold, b.options.MultipartChunk, hint.Size, b.options.Memory.largestPart()},
	}
}

// Write collects parts and sends each as it fills.
func (u *upload) Write(p []byte) (n int, err error) {
	if u.broken != nil || u.ended || u.committed != "" {
		return 0, u.fail(u.ctx, "write", errors.Join(u.broken, errEnded))
	}
	for n < len(p) {
		c, err := u.fill(p[n:])
		n += c
		u.size += int64(c)
		if err != nil {
			u.broken = err
			return n, u.fail(u.ctx, "write", err)
		}
	}
	return n, nil
}

// fill takes some bytes, or sends the buffer to have room for some.
func (u *upload) fill(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	if err := u.failure(); err != nil {
		return 0, err
	}
	number, sent := u.next()
	target := u.target(number)
	if u.cur == nil {
		// Holds nothing but parts on their way: see Memory.
		cur, err := u.b.Memory().reserve(u.ctx, u.first(number, sent, target))
		if err != nil {
			return 0, err
		}
		u.cur = cur
	}
	if c := u.cur.write(p, target); c > 0 {
		return c, nil
	}
	if u.cur.size < target && u.cur.tryGrow(target) {
		return 0, nil
	}
	return 0, u.flush(u.ctx)
}

// Memory is the bound on the bytes that uploads hold.
func (b *Backend) Memory() *Memory { return b.options.Memory }

// target is the size in bytes that part number should have: the first may be as
// large as one put.
func (u *upload) target(number int) int64 {
	if number < len(u.leftover) {
		return max(partLeast, u.leftover[number-1].size)
	}
	target := u.sizes.target(number)
	if number == 1 && u.m == nil && u.sizes.total <= u.sizes.threshold {
		return max(target, u.sizes.threshold)
	}
	return target
}

// first is how many bytes to wait for room for: what the smallest part needs, or
// the rest of the object where that is less.
func (u *upload) first(number int, sent, target int64) int64 {
	least := min(target, u.sizes.least(number, sent))
	if rest := u.sizes.total - u.size; rest > 0 {
		return min(least, rest)
	}
	return least
}

// flush sends the buffer as the next part.
func (u *upload) flush(ctx context.Context) error {
	if number, sent := u.next(); number > partsMost {
		return fmt.Errorf("the object is larger than %d parts hold after %d bytes: raise multipart_chunk_bytes or announce the size", partsMost, sent)
	}
	if u.m == nil {
		m, err := u.b.newMultipart(ctx, u.assembly(), u.nonce)
		if err != nil {
			return err
		}
		u.m = m
	}
	if err := u.start(ctx, u.m, u.cur); err != nil {
		return err
	}
	u.cur = nil
	return nil
}

// assembly is the key in the bucket at which the parts become an object: the
// final one where it is known.
func (u *upload) assembly() string {
	if u.hint.Key != "" {
		return u.b.prefix + u.hint.Key
	}
	return u.b.prefix + dataName(u.nonce)
}

func (u *upload) fail(ctx context.Context, verb string, err error) error {
	return u.b.fail(ctx, verb, orDefault(u.hint.Key, "upload "+u.nonce), err)
}

// Abort removes the parts, the tails and what may have been assembled. A
// completion whose outcome is not known is not aborted: Sweep removes it.
func (u *upload) Abort(ctx context.Context) error {
	if !u.let() {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	bounded, cancel := context.WithTimeout(ctx, u.b.options.IdleTimeout*time.Duration(u.b.options.MaxAttempts+1))
	defer cancel()
	var failed error
	switch {
	case u.m == nil:
	case u.assembled || u.uncertain:
		failed = u.removeAssembly(bounded)
	default:
		failed = u.abortParts(bounded)
	}
	if err := errors.Join(failed, u.removeTails(bounded)); err != nil {
		return u.fail(ctx, "abort", err)
	}
	return nil
}

// abortParts aborts the upload. A part that was cut off on its way may still reach
// the service behind the abort and leave something (the protocol says to abort
// again until nothing is left), so it is aborted a few times, a little later each.
func (u *upload) abortParts(ctx context.Context) error {
	err := u.m.abort(ctx)
	for attempt := 1; u.cut && err == nil && attempt <= abortsAgain; attempt++ {
		if err = u.b.pause(ctx, attempt); err == nil {
			err = u.m.abort(ctx)
		}
	}
	return err
}

// abortsAgain is how often an upload with cut off parts is aborted again: after
// 0.1, 0.3 and 0.7 s, which a service needs at most to notice a closed connection.
const abortsAgain = 3

// removeAssembly deletes the staging object. At the final key nothing may be
// taken away: the object there is complete, whoever made it.
func (u *upload) removeAssembly(ctx context.Context) error {
	if u.hint.Key != "" {
		return nil
	}
	return u.b.remove(ctx, u.m.key)
}

// removeTails deletes what Suspend left, where there was a Suspend.
func (u *upload) removeTails(ctx context.Context) error {
	if !u.suspended {
		return nil
	}
	prefix := u.b.prefix + staging + u.nonce + "/tail-"
	for o, err := range u.b.objects(ctx, prefix, "") {
		if err != nil {
			return err
		}
		if err := u.b.remove(ctx, o.key); err != nil {
			return err
		}
	}
	return nil
}

// Close stops the sends and gives the memory back. Parts that came after the
// last Suspend and belong to no state are removed; what is not, Sweep removes.
func (u *upload) Close() error {
	if u.let() && u.suspended && !u.named && u.m != nil && !u.assembled && !u.uncertain {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), u.b.options.IdleTimeout)
		defer cancel()
		if err := u.abortParts(ctx); err != nil {
			u.b.options.Log.Warn("parts could not be removed; sweeping will", "upload", u.nonce, "error", err)
		}
	}
	return nil
}

// let lets go of what the process holds, and reports whether there was something
// to end.
func (u *upload) let() bool {
	if u.ended {
		return false
	}
	u.ended = true
	u.cut = u.stop()
	u.cur.release()
	u.cur = nil
	return u.committed == ""
}
