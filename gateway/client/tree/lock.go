package tree

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock keeps a second pull out of a directory: it would take the first one's
// temporary files for left over. The lock goes with the process. Where the file
// system has no locks there is none.
func lock(root *os.Root) (unlock func(), err error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	conn, err := dir.SyscallConn()
	if err != nil {
		dir.Close()
		return nil, err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB) })
	if err == nil && errors.Is(failed, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("another pull is at work in %s", root.Name())
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	return func() { dir.Close() }, nil
}
