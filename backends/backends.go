// Package backends is the storage SPI: places that keep opaque bytes under
// opaque keys. It knows neither digests nor packages, and nothing above it
// knows what kind of place a backend is.
//
// Every sentence on the two interfaces is a promise that package backendtest
// checks on each implementation. Absence is fs.ErrNotExist; the other errors a
// caller branches on are the sentinels below. Everything else is a failure of
// the backend, to be reported with its words.
package backends

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// Backend keeps objects. All methods may be called concurrently. Every method
// returns promptly with the context's error once the context is cancelled.
type Backend interface {
	// Begin starts an upload. Nothing is visible under any key before Commit.
	Begin(ctx context.Context, hint Hint) (Upload, error)

	// Resume goes on with a suspended upload, in this process or another, at
	// the byte where Suspend left it. What was written after that Suspend and
	// not suspended again is gone. A state that is malformed or whose upload
	// was committed, aborted or swept is ErrUploadUnknown. Going on from an
	// earlier state gives up the later ones. Of uploads resumed from one at
	// the same time, all but one may fail at any call; each object that is
	// committed has the bytes of one of them alone, and keeps them.
	Resume(ctx context.Context, state []byte) (Upload, error)

	// Open reads n bytes of an object from offset off; n < 0 reads to the end.
	// An absent key is fs.ErrNotExist. An object that ends before off+n (or
	// before off) is ErrShort, at once where the backend can tell, otherwise
	// from Read in place of io.EOF: a reader never ends early with a clean
	// io.EOF. The reader belongs to one goroutine; its Close may be called
	// twice. Where it also implements io.WriterTo, that is the faster way out.
	Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error)

	// Stat describes an object; an absent key is fs.ErrNotExist.
	Stat(ctx context.Context, key string) (Info, error)

	// List yields the objects whose keys begin with prefix and sort after
	// after, in ascending byte order. It holds a bounded part of the list in
	// memory. An error is yielded last, with a zero Info. Uploads in progress
	// and what the backend keeps for itself are never listed.
	List(ctx context.Context, prefix, after string) iter.Seq2[Info, error]

	// Delete removes an object, durably; an absent key is success.
	Delete(ctx context.Context, key string) error

	// Sweep removes what abandoned uploads left behind: uploads neither
	// committed nor aborted, last written or suspended before the given time.
	// It returns how many it removed. It runs beside live uploads.
	Sweep(ctx context.Context, before time.Time) (removed int, err error)

	// Health returns nil when the backend can be read and written now. It is
	// cheap enough to be called every few seconds.
	Health(ctx context.Context) error
}

// Dated is what a reader of Open may be: it tells when its object was last changed in
// any way, by the clock of the machine that keeps it. An object that nothing has
// touched was last changed when it was committed.
type Dated interface {
	ChangedAt() time.Time
}

// Upload is one stream on its way to becoming an object. It belongs to one
// goroutine. After a failed Write or Suspend only Abort or Close may follow.
type Upload interface {
	// Write takes the next bytes. Memory is bounded whatever the size. The
	// slice is the caller's again when Write returns.
	io.Writer

	// Suspend makes all bytes written so far durable and returns the state
	// from which Resume goes on. The upload may be written to further; an
	// earlier state then still resumes at its own byte.
	Suspend(ctx context.Context) (state []byte, err error)

	// Commit makes the bytes written the object under key, atomically and
	// durably: when it returns nil they survive a power failure, and a reader
	// sees the whole object or the one before it. It replaces what was there.
	// When it fails, the object may or may not be there; calling it again with
	// the same key is allowed. A key that is a folder of another key, as a is
	// of a/b, or below one, may be refused with ErrKeyInvalid.
	Commit(ctx context.Context, key string) error

	// Abort ends the upload and leaves nothing behind, also of what was
	// suspended. After Commit, after Close, and the second time, it does nothing,
	// so that it can be deferred. It must work when the upload's own context is
	// already cancelled.
	Abort(ctx context.Context) error

	// Close lets go of a suspended upload without ending it: this process holds
	// nothing of it any more, what was written after the last Suspend is gone,
	// and every state that Suspend returned still resumes at its own byte. An
	// upload that was never suspended or resumed is left for Sweep. After Commit
	// or Abort, and the second time, it does nothing.
	Close() error
}

// Hint is what is known of an object before its bytes are.
type Hint struct {
	Key  string // the key Commit will be given, or "" if not known yet
	Size int64  // bytes, or -1 if not known
}

// Info describes an object.
type Info struct {
	Key     string
	Size    int64     // bytes
	ModTime time.Time // when it was committed, by the backend's clock
}

// What a caller may branch on, besides fs.ErrNotExist.
var (
	// ErrShort means that an object holds fewer bytes than were asked for.
	ErrShort = errors.New("object is shorter than expected")
	// ErrFull means that the backend has no room for the bytes.
	ErrFull = errors.New("no space left on backend")
	// ErrUnavailable means that the backend cannot be reached or refuses to
	// work for now; the same call may succeed later.
	ErrUnavailable = errors.New("backend unavailable")
	// ErrUploadUnknown means that no upload can be resumed from a state.
	ErrUploadUnknown = errors.New("upload unknown")
	// ErrKeyInvalid means that a key is not of the form CheckKey accepts.
	ErrKeyInvalid = errors.New("invalid key")
)

// CheckKey returns ErrKeyInvalid unless key is one every backend can hold:
// 1 to 512 bytes of lower-case letters, digits, '.', '_' and '-' in segments of
// 1 to 255 bytes parted by '/', none of which begins with a dot.
func CheckKey(key string) error {
	if key == "" || len(key) > 512 {
		return fmt.Errorf("%w: length %d", ErrKeyInvalid, len(key))
	}
	for segment := range strings.SplitSeq(key, "/") {
		if segment == "" || len(segment) > 255 || segment[0] == '.' || strings.Trim(segment, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
			return fmt.Errorf("%w: %q", ErrKeyInvalid, key)
		}
	}
	return nil
}
