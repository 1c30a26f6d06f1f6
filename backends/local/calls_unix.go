//go:build unix

package local

import (
	"io/fs"
	"os"
	"syscall"
)

// The calls of package os try each file with the network poller, which takes no
// files, and look at what a rename would replace: a dozen system calls a put.
// These make the one they are named after.

// create makes a file that must not be there, to write and read.
func create(name string) (*os.File, error) {
	fd, err := open(name, syscall.O_CREAT|syscall.O_EXCL|syscall.O_RDWR)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// syncNames syncs a folder: the names in it.
func syncNames(dir string) error {
	fd, err := open(dir, syscall.O_RDONLY)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := again(func() error { return syscall.Fsync(fd) }); err != nil {
		return &fs.PathError{Op: "sync", Path: dir, Err: err}
	}
	return nil
}

// rename renames a file, in place of another where there is one.
func rename(from, to string) error {
	if err := again(func() error { return syscall.Rename(from, to) }); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

func open(name string, flags int) (fd int, err error) {
	err = again(func() error {
		fd, err = syscall.Open(name, flags|syscall.O_CLOEXEC, fileMode)
		return err
	})
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}

// again makes a call until no signal interrupts it.
func again(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}
