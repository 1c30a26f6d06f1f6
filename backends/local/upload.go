package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"artifactstore/backends"
)

// upload is a staging file being written. Until it is suspended for the first
// time nobody else can know of it; from then on every touch of it happens under
// the lock of its points.
type upload struct {
	b   *Backend
	ctx context.Context // of Begin or Resume: what Write goes by
	id  string
	off int64 // bytes written

	file   *os.File
	points *points // nil before the first Suspend

	written int64      // bytes for which the writeback was started
	failed  error      // why only Abort may follow
	key     string     // what Commit was called with
	tried   bool       // a Commit has got as far as the disk
	done    bool       // committed
	over    bool       // committed or aborted
	pending chan error // a call whose caller did not wait for it
}

var errCommitting = errors.New("a Commit was called before: only it or Abort may follow")

// writebackBytes is how much is written before the disk is asked to begin.
const writebackBytes = 16 << 20

// Begin implements backends.Backend. The hint has no use here: keys cost nothing
// until Commit, and reserving an announced size would let a client that only
// announces fill the disk.
func (b *Backend) Begin(ctx context.Context, _ backends.Hint) (backends.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	u := &upload{b: b, ctx: ctx, id: rand.Text()}
	err := u.create()
	if isAbsent(err) {
		if err = b.marked(); err == nil { // somebody removed the staging folder
			if err = os.Mkdir(b.staging, dirMode); err == nil || errors.Is(err, fs.ErrExist) {
				err = u.create()
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("begin upload: %w", fault(err))
	}
	return u, nil
}

func (u *upload) create() (err error) {
	u.file, err = create(u.name())
	return err
}

func (u *upload) name() string { return filepath.Join(u.b.staging, u.id) }

// Write implements backends.Upload.
func (u *upload) Write(p []byte) (n int, err error) {
	err = u.touch(u.ctx, func() error {
		n, err = u.file.WriteAt(p, u.off)
		u.off += int64(n)
		return err
	})
	if err != nil {
		u.failed = fmt.Errorf("write upload: %w", fault(err))
		return n, u.failed
	}
	if u.off-u.written >= writebackBytes {
		startWriteback(u.file, u.written, u.off-u.written)
		u.written = u.off
	}
	return n, nil
}

// touch does something to the files of an upload that may go on, as the only one
// to do so.
func (u *upload) touch(ctx context.Context, f func() error) error {
	if err := u.usable(ctx); err != nil {
		return err
	}
	if u.key != "" {
		return errCommitting
	}
	return u.exclusively(ctx, f)
}

// usable waits for a call that was left behind and says whether another is
// allowed.
func (u *upload) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if u.over {
		return fmt.Errorf("%w: it is over", backends.ErrUploadUnknown)
	}
	if err := u.settle(ctx); err != nil {
		return err
	}
	return u.failed
}

func (u *upload) settle(ctx context.Context) error {
	if u.pending == nil {
		return nil
	}
	select {
	case <-u.pending:
		u.pending = nil
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// promptly runs f, which may wait for a slow disk, and returns when the context
// is cancelled. What f still does then, the next call waits for.
func (u *upload) promptly(ctx context.Context, f func() error) error {
	if ctx.Done() == nil {
		return f()
	}
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		u.pending = done
		return ctx.Err()
	}
}

// Commit implements backends.Upload.
func (u *upload) Commit(ctx context.Context, key string) error {
	to, err := u.b.begin(ctx, key)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if u.key != "" && u.key != key {
		return fmt.Errorf("commit %s: the upload was committed as %s before", key, u.key)
	}
	if u.done {
		return nil
	}
	if err := u.usable(ctx); err != nil {
		return fmt.Errorf("commit %s: %w", key, err)
	}
	u.key = key
	err = u.promptly(ctx, func() error { return u.exclusively(ctx, func() error { return u.commit(ctx, to) }) })
	if errors.Is(err, errUnsynced) {
		u.failed = err
	}
	if err != nil {
		return fmt.Errorf("commit %s: %w", key, keyFault(err))
	}
	u.done, u.over = true, true
	u.release()
	return nil
}

func (u *upload) commit(ctx context.Context, to string) error {
	if err := u.publish(ctx, to); err != nil {
		return err
	}
	// The object is durable, and no Resume takes a staging file that is not
	// there: points that stay behind are litter, which Sweep removes.
	_ = u.forgetPoints()
	return nil
}

// publish is one attempt to commit, and a second where a folder that was known
// to be there was removed by somebody else.
func (u *upload) publish(ctx context.Context, to string) error {
	d := u.b.disk
	if u.tried && isFile(u.file, to) { // the last attempt came as far as the name
		return d.syncFolder(ctx, filepath.Dir(to))
	}
	u.tried = true
	err := d.publish(ctx, u.file, u.name(), u.b.root, to)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if gone := u.b.marked(); gone != nil {
		return gone
	}
	if !isFile(u.file, u.name()) {
		return fmt.Errorf("%w: its staging file is gone", backends.ErrUploadUnknown)
	}
	d.forget()
	return d.publish(ctx, u.file, u.name(), u.b.root, to)
}

// keyFault names the one fault that is the key's: it is a folder of another key,
// or below one.
func keyFault(err error) error {
	for _, e := range []error{syscall.ENOTDIR, syscall.EISDIR, syscall.ENOTEMPTY, syscall.EEXIST} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: an object and a folder of one name: %w", backends.ErrKeyInvalid, err)
		}
	}
	return fault(err)
}

// Abort implements backends.Upload. It asks no context: all it does is to unlink
// files, and who aborts has often gone already.
func (u *upload) Abort(ctx context.Context) error {
	if u.over {
		return nil
	}
	u.over = true
	if u.pending != nil {
		go func() {
			<-u.pending
			u.discard()
		}()
		return nil
	}
	return u.discard()
}

// discard removes the files of an upload that is still ours.
func (u *upload) discard() error {
	defer u.release()
	err := u.exclusively(context.Background(), func() error {
		err := os.Remove(u.name())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return u.forgetPoints()
	})
	if err != nil && !errors.Is(err, backends.ErrUploadUnknown) {
		return fmt.Errorf("abort upload: %w", fault(err))
	}
	return nil
}

// Close implements backends.Upload.
func (u *upload) Close() error {
	if u.over {
		return nil
	}
	u.over = true
	if u.pending != nil {
		go func() {
			<-u.pending
			u.release()
		}()
		return nil
	}
	u.release()
	return nil
}

// release lets go of the files. What there was to hear of them, Suspend and
// Commit have heard from fsync.
func (u *upload) release() {
	for _, f := range []*os.File{u.file, u.points.file()} {
		if f != nil {
			f.Close()
		}
	}
	u.file, u.points = nil, nil
}

var _ backends.Upload = (*upload)(nil)
