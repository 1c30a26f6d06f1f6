package sqlite

import (
	"context"
	"database/sql/driver"
	"sync/atomic"
	"unsafe"
)

// index is SQLite's own account of what was committed last, read where SQLite
// reads it: the header of the WAL index, in the file beside the database that all
// its processes map (https://sqlite.org/walformat.html#the_wal_index_file_format,
// section 2). SQLite begins every read by comparing that header with the one
// it saw last; who has the same header sees the same database.
//
// The file must not be opened here: POSIX drops all of a process's locks on a
// file when it closes any descriptor of it, and SQLite's locks are such. So the
// mapping is made from the descriptor that SQLite holds. The anchor, a
// connection that is never used again, keeps that one open, and the file from
// being removed and made anew by who comes and goes.
type index struct {
	anchor *conn
	mapped []byte
	words  *[2 * len(mark{})]uint32
}

// mark is a header: it changes with every commit, of any process, and none comes
// twice: it has counters, and checksums over all of the log.
type mark [12]uint32

// The words of a header.
const (
	wordVersion = 0
	wordInit    = 3 // one byte of it

	walVersion = 3007000
)

// openIndex returns nil where the header cannot be read so.
func openIndex(dial func() (*conn, error), path string) *index {
	anchor, err := dial()
	if err != nil {
		return nil
	}
	// The first read has SQLite open the file.
	err = anchor.query(context.Background(), selectHead, func([]driver.Value) error { return nil })
	if err == nil {
		if mapped := mapOpened(path + "-shm"); mapped != nil {
			return &index{anchor, mapped, (*[2 * len(mark{})]uint32)(unsafe.Pointer(&mapped[0]))}
		}
	}
	anchor.close()
	return nil
}

// now returns the header, or false while it is being written. A writer writes
// the second of two copies first and does not return from a commit before it has
// written both.
func (x *index) now() (m mark, ok bool) {
	for i := range m {
		m[i] = atomic.LoadUint32(&x.words[i])
	}
	for i := range m {
		if atomic.LoadUint32(&x.words[len(m)+i]) != m[i] {
			return mark{}, false
		}
	}
	return m, m[wordVersion] == walVersion && m[wordInit] != 0
}

func (x *index) close() error {
	if x == nil {
		return nil
	}
	unmap(x.mapped)
	return x.anchor.close()
}
