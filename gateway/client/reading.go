package client

import (
	"io"
	"sync/atomic"
)

// sourceError marks the errors of what is sent as the caller's own.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// reading is a body that remembers why it could not be read. The transport may
// still be reading it when the answer is there.
type reading struct {
	io.ReadCloser
	failed atomic.Pointer[error]
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		r.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}

func (r *reading) failure() error {
	if err := r.failed.Load(); err != nil {
		return *err
	}
	return nil
}
