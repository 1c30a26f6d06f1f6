package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"artifactstore/backends"
)

// points is the file beside the staging file of an upload that was suspended:
//
//	CLAIM                 drawn by the last Resume: who may go on with the upload
//	STATE                 one line for each Suspend
//	...
//
// It answers three questions that a name and an offset cannot. Who may write? Two
// requests may resume one upload at the same time, here or in two processes, and
// a write through the older's open file would reach the object that the newer
// committed. So each touch happens under the file's lock, after a look at the
// claim, and Resume draws a new one: the last to come goes on, the older ones get
// ErrUploadUnknown and change nothing. Which bytes were durable when? And do
// they still stand: to go back to an earlier point crosses out the later ones
// before their bytes are written over.
type points struct {
	*os.File
	claim string
}

func (p *points) file() *os.File {
	if p == nil {
		return nil
	}
	return p.File
}

const pointsSuffix = ".points"

func (u *upload) pointsName() string { return u.name() + pointsSuffix }

// lockPause is how long to wait before looking at a lock again: what is done
// under it is a write or an fsync.
const lockPause = 2 * time.Millisecond

// lock waits for the lock. The kernel lets go of it when the process dies.
func (p *points) lock(ctx context.Context) error {
	conn, err := p.SyscallConn()
	if err != nil {
		return err
	}
	for {
		var lockErr error
		err := conn.Control(func(fd uintptr) { lockErr = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) })
		if err = errors.Join(err, lockErr); err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return fmt.Errorf("lock %s: %w", p.Name(), err)
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *points) unlock() {
	if conn, err := p.SyscallConn(); err == nil {
		conn.Control(func(fd uintptr) { syscall.Flock(int(fd), syscall.LOCK_UN) })
	}
}

// find returns where the line of a state ends and whether it is the last. A
// crash may have torn what stands after it.
func (p *points) find(s state) (end int64, last bool, err error) {
	text, err := io.ReadAll(io.NewSectionReader(p, 0, 1<<62))
	if err != nil {
		return 0, false, err
	}
	line := []byte("\n" + s.String() + "\n")
	i := bytes.Index(text, line)
	if i < nameLen {
		return 0, false, fmt.Errorf("%w: the upload was ended, or went on from an earlier point", backends.ErrUploadUnknown)
	}
	i += len(line)
	return int64(i), i == len(text), nil
}

// check returns nil while the claim in the file is ours.
func (p *points) check() error {
	var now [nameLen]byte
	if _, err := p.ReadAt(now[:], 0); err != nil && err != io.EOF {
		return err
	}
	if string(now[:]) != p.claim {
		return fmt.Errorf("%w: it was ended, or resumed by another", backends.ErrUploadUnknown)
	}
	return nil
}

// exclusively runs f while nobody else touches the upload's files.
func (u *upload) exclusively(ctx context.Context, f func() error) error {
	p := u.points
	if p == nil {
		return f()
	}
	if err := p.check(); err != nil { // who goes on with it may hold the lock for long
		return err
	}
	if err := p.lock(ctx); err != nil {
		return err
	}
	defer p.unlock()
	if err := p.check(); err != nil {
		return err
	}
	return f()
}

// unknown is what an absent file of an upload means.
func unknown(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: it was committed, aborted or swept", backends.ErrUploadUnknown)
	}
	return err
}

// Suspend implements backends.Upload.
func (u *upload) Suspend(ctx context.Context) ([]byte, error) {
	s := state{u.id, u.off, rand.Text()}
	if err := u.usable(ctx); err != nil {
		return nil, fmt.Errorf("suspend upload: %w", err)
	}
	if u.key != "" {
		return nil, errCommitting
	}
	err := u.promptly(ctx, func() error { return u.exclusively(ctx, func() error { return u.addPoint(ctx, s) }) })
	if err != nil {
		u.failed = fmt.Errorf("suspend upload: %w", fault(err))
		return nil, u.failed
	}
	return []byte(s.String()), nil
}

// addPoint makes the bytes durable, then the line that vouches for them.
func (u *upload) addPoint(ctx context.Context, s state) error {
	d := u.b.disk
	if err := d.syncFile(ctx, u.file); err != nil {
		return err
	}
	first := u.points == nil
	if first {
		if err := u.createPoints(); err != nil {
			return err
		}
	}
	if _, err := u.points.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(u.points, "%s\n", s); err != nil {
		return err
	}
	if err := d.syncFile(ctx, u.points.File); err != nil {
		return err
	}
	if first {
		if err := d.syncFolder(ctx, u.b.staging); err != nil {
			return err
		}
	}
	if !isFile(u.file, u.name()) {
		return fmt.Errorf("%w: it was swept", backends.ErrUploadUnknown)
	}
	return nil
}

func (u *upload) createPoints() error {
	f, err := os.OpenFile(u.pointsName(), os.O_CREATE|os.O_EXCL|os.O_RDWR, fileMode)
	if err != nil {
		return err
	}
	claim := rand.Text()
	if _, err := fmt.Fprintf(f, "%s\n", claim); err != nil {
		f.Close()
		os.Remove(u.pointsName())
		return err
	}
	u.points = &points{f, claim}
	return nil
}

// forgetPoints ends the upload for everybody who has its files open.
func (u *upload) forgetPoints() error {
	if u.points == nil {
		return nil
	}
	if err := u.points.Truncate(0); err != nil {
		return err
	}
	if err := os.Remove(u.pointsName()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Resume implements backends.Backend.
func (b *Backend) Resume(ctx context.Context, text []byte) (backends.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := parseState(text)
	if err != nil {
		return nil, fmt.Errorf("resume upload: %w", err)
	}
	u := &upload{b: b, ctx: ctx, id: s.id, off: s.off, written: s.off}
	if err := u.resume(ctx, s); err != nil {
		u.release()
		return nil, fmt.Errorf("resume upload: %w", fault(err))
	}
	return u, nil
}

func (u *upload) resume(ctx context.Context, s state) error {
	if err := u.open(rand.Text()); err != nil {
		if gone := u.b.marked(); gone != nil {
			return gone
		}
		return err
	}
	if err := u.points.lock(ctx); err != nil {
		return err
	}
	defer u.points.unlock()
	if err := u.check(s); err != nil {
		return err
	}
	if err := u.points.rewind(ctx, u.b.disk, s); err != nil {
		return err
	}
	return u.file.Truncate(s.off)
}

func (u *upload) open(claim string) (err error) {
	if u.file, err = os.OpenFile(u.name(), os.O_RDWR, 0); err != nil {
		return unknown(err)
	}
	f, err := os.OpenFile(u.pointsName(), os.O_RDWR, 0)
	if err != nil {
		return unknown(err)
	}
	u.points = &points{f, claim}
	return nil
}

// check looks at the staging file under the lock: it may have become an object,
// or have gone, since it was opened.
func (u *upload) check(s state) error {
	info, err := u.file.Stat()
	if err != nil {
		return err
	}
	if !isFile(u.file, u.name()) || links(info) != 1 || info.Size() < s.off {
		return fmt.Errorf("%w: it was committed, aborted or swept", backends.ErrUploadUnknown)
	}
	return nil
}

// links returns how many names a file has.
func links(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}

// rewind crosses out the points after a state and draws the claim. The crossing
// out is durable before it returns: else a power failure could bring back a
// point whose bytes are no longer its own.
func (p *points) rewind(ctx context.Context, d *disk, s state) error {
	end, last, err := p.find(s)
	if err != nil {
		return err
	}
	if err := p.Truncate(end); err != nil {
		return err
	}
	if _, err := p.WriteAt([]byte(p.claim), 0); err != nil {
		return err
	}
	if last {
		return nil
	}
	return d.syncFile(ctx, p.File)
}
