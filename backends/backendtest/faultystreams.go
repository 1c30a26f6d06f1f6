package backendtest

import (
	"context"
	"io"
	"slices"

	"artifactstore/backends"
)

// faultyUpload is an upload whose calls go wrong on demand.
type faultyUpload struct {
	u   backends.Upload
	f   *Faulty
	ctx context.Context
	key string
	off int64
}

// Write implements backends.Upload. It is made of several calls where a fault
// waits in the middle.
func (u *faultyUpload) Write(p []byte) (written int, err error) {
	for first := true; first || len(p) > 0; first = false {
		part := p[:u.f.border(Write, u.key, u.off, u.off+int64(len(p)))-u.off]
		n, err := u.write(part)
		u.off += int64(n)
		written += n
		if err != nil {
			return written, err
		}
		p = p[len(part):]
	}
	return written, nil
}

func (u *faultyUpload) write(p []byte) (int, error) {
	fault := u.f.strike(Write, u.key, u.off, u.off+int64(len(p)))
	if fault == nil {
		return u.u.Write(p)
	}
	switch fault.Kind {
	case Corrupt:
		return u.u.Write(corrupt(slices.Clone(p)))
	case LoseReply:
		if _, err := u.u.Write(p); err != nil {
			return 0, err
		}
	case Stall:
		<-u.ctx.Done()
		return 0, u.ctx.Err()
	}
	return 0, fault.Err
}

func corrupt(p []byte) []byte {
	if len(p) > 0 {
		p[0] ^= 0x10
	}
	return p
}

// Suspend implements backends.Upload.
func (u *faultyUpload) Suspend(ctx context.Context) (state []byte, err error) {
	err = u.f.call(ctx, Suspend, u.key, func() (err error) {
		state, err = u.u.Suspend(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return state, nil
}

// Commit implements backends.Upload.
func (u *faultyUpload) Commit(ctx context.Context, key string) error {
	return u.f.call(ctx, Commit, key, func() error { return u.u.Commit(ctx, key) })
}

// Abort implements backends.Upload.
func (u *faultyUpload) Abort(ctx context.Context) error {
	return u.f.call(ctx, Abort, u.key, func() error { return u.u.Abort(ctx) })
}

// Close implements backends.Upload.
func (u *faultyUpload) Close() error {
	return u.f.call(nil, Close, u.key, u.u.Close)
}

// faultyReader is an opened object whose reads go wrong on demand.
type faultyReader struct {
	io.ReadCloser
	f   *Faulty
	ctx context.Context
	key string
	off int64
	cut bool
}

// Read implements io.Reader.
func (r *faultyReader) Read(p []byte) (int, error) {
	if r.cut {
		return 0, io.EOF
	}
	p = p[:r.f.border(Read, r.key, r.off, r.off+int64(len(p)))-r.off]
	fault := r.f.strike(Read, r.key, r.off, r.off+int64(len(p)))
	if fault == nil {
		return r.read(p)
	}
	switch fault.Kind {
	case Corrupt:
		n, err := r.read(p)
		corrupt(p[:n])
		return n, err
	case Cut:
		r.cut = true
		return 0, io.EOF
	case LoseReply:
		n, err := r.read(p)
		if err == nil {
			err = fault.Err
		}
		return n, err
	case Stall:
		<-r.ctx.Done()
		return 0, r.ctx.Err()
	}
	return 0, fault.Err
}

func (r *faultyReader) read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.off += int64(n)
	return n, err
}
