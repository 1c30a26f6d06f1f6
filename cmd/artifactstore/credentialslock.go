package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Others hold the lock for as long as a small file takes to be read and written.
const (
	lockPatience = 10 * time.Second // after which something is wrong with who holds it
	lockPause    = 5 * time.Millisecond
)

// lockCredentials keeps other processes from changing the file at a path: who reads it,
// and writes it after another did, would undo what that one wrote. The lock is on an
// empty file beside it, since the file itself is replaced; that one stays, since who
// removes it could leave two with a lock each. The lock goes with the process. Where
// the file system has no locks there is none.
func lockCredentials(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockPatience); ; {
		err := flock(f)
		switch {
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return func() { f.Close() }, nil
		case time.Now().After(end):
			f.Close()
			return nil, fmt.Errorf("another process has had %s locked for %s", f.Name(), lockPatience)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(lockPause):
		}
	}
}

// flock takes the lock of a file where nobody has it.
func flock(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) })
	return errors.Join(err, failed)
}
