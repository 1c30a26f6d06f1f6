package local

import (
	"io/fs"
	"syscall"
	"time"
)

// changedAt returns when a file's inode was last changed.
func changedAt(info fs.FileInfo) time.Time {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(stat.Ctim.Unix())
	}
	return info.ModTime()
}
