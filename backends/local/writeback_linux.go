//go:build linux && (amd64 || arm64)

package local

import (
	"os"
	"syscall"
)

// syncFileRangeWrite is SYNC_FILE_RANGE_WRITE of sync_file_range(2): start
// writing what is dirty and do not wait for it.
const syncFileRangeWrite = 2

// startWriteback lets the disk begin with n bytes at off while the rest still
// arrives, so that the fsync at the end finds little to do. It is a hint: the
// fsync reports what went wrong.
func startWriteback(f *os.File, off, n int64) {
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	conn.Control(func(fd uintptr) { syscall.SyncFileRange(int(fd), off, n, syncFileRangeWrite) })
}
