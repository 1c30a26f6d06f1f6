package cas

import (
	"errors"
	"fmt"
	"io/fs"

	"artifactstore/backends"
	"artifactstore/cas/digest"
)

// What a caller may branch on.
var (
	// ErrBlobUnknown means that the store keeps no such blob: it was never
	// stored, or nothing needs it any more. It is also fs.ErrNotExist.
	ErrBlobUnknown = fmt.Errorf("blob unknown: %w", fs.ErrNotExist)
	// ErrBlobUnavailable means that the blob is known but no location has its
	// bytes any more. Pushing it again heals it.
	ErrBlobUnavailable = errors.New("blob unavailable: every location failed")
	// ErrManifestUnknown means that a repository has no such manifest or tag.
	ErrManifestUnknown = fmt.Errorf("manifest unknown: %w", fs.ErrNotExist)
	// ErrPackageUnknown means that there is no such package.
	ErrPackageUnknown = fmt.Errorf("package unknown: %w", fs.ErrNotExist)
	// ErrFileUnknown means that a package has no such file.
	ErrFileUnknown = fmt.Errorf("file unknown: %w", fs.ErrNotExist)
	// ErrPackageExists means that a package is there and is another.
	ErrPackageExists = errors.New("package exists with other labels")
	// ErrPackageSealed means that a package can no longer change.
	ErrPackageSealed = errors.New("package is sealed")
	// ErrWouldReplace means that a tag names another manifest already, or that an open
	// package has another file at the path, and neither was to be replaced.
	ErrWouldReplace = errors.New("something else is there, which is not to be replaced")
	// ErrPackageHeld means that a hold keeps a package from being deleted.
	ErrPackageHeld = errors.New("package is under a hold")
	// ErrHoldUnknown means that a package is not under a hold by itself.
	ErrHoldUnknown = fmt.Errorf("hold unknown: %w", fs.ErrNotExist)
	// ErrTokenUnknown means that there is no such token.
	ErrTokenUnknown = fmt.Errorf("token unknown: %w", fs.ErrNotExist)
	// ErrUploadUnknown means that there is no such open upload session for who asks.
	ErrUploadUnknown = fmt.Errorf("upload unknown: %w", fs.ErrNotExist)
	// ErrUploadChanged means that another request went on with the upload session
	// meanwhile; nothing of this one was kept.
	ErrUploadChanged = errors.New("upload changed meanwhile")
	// ErrClassUnknown means that a retention class is not configured.
	ErrClassUnknown = errors.New("retention class unknown")
	// ErrNotComputed means that a digest came behind the bytes in an algorithm
	// that was not announced before them, and so cannot be checked.
	ErrNotComputed = errors.New("digest not announced before the bytes")
	// ErrFull means that the backend or the registry has no room.
	ErrFull = errors.New("storage is full")
	// ErrBackendUnavailable means that a backend does not answer for now.
	ErrBackendUnavailable = errors.New("backend unavailable")
	// ErrBusy means that other transfers hold all the memory there is for
	// transfers, and none became free in time.
	ErrBusy = errors.New("too many transfers at once")
	// ErrRemoving means that an earlier copy of the content is being removed, or was
	// removed while this one was written, which may have gone with it.
	ErrRemoving = errors.New("an earlier copy is being removed")
	// ErrRegistryUnavailable means that the registry does not answer for now.
	ErrRegistryUnavailable = errors.New("registry unavailable")
)

// DigestMismatchError says that the bytes are not those that were announced.
type DigestMismatchError struct {
	Want, Got digest.Digest // of one algorithm
}

// Error names both digests.
func (e *DigestMismatchError) Error() string {
	return fmt.Sprintf("the bytes received have digest %s, not %s", e.Got, e.Want)
}

// SizeMismatchError says that a stream was shorter or longer than announced.
type SizeMismatchError struct {
	Want, Got int64 // bytes; Got is what was read when that was clear
}

// Error names both sizes.
func (e *SizeMismatchError) Error() string {
	return fmt.Sprintf("received %d bytes, not the %d announced", e.Got, e.Want)
}

// OffsetError says that a chunk does not belong where its upload session is.
type OffsetError struct {
	Want, Got int64 // bytes from the start
}

// Error names both offsets.
func (e *OffsetError) Error() string {
	return fmt.Sprintf("the upload is at byte %d, the chunk begins at %d", e.Want, e.Got)
}

// ReferencedError says that a blob is needed where it should be released.
type ReferencedError struct {
	Blob digest.Digest
	By   string // a package that needs it, or its version where the repository is known
}

// Error names both.
func (e *ReferencedError) Error() string {
	return fmt.Sprintf("%s is needed by %s", e.Blob, e.By)
}

// SourceError says that the stream being stored could not be read: the fault is
// its sender's, not the store's.
type SourceError struct{ Err error }

// Error gives the words of the stream.
func (e *SourceError) Error() string { return "read upload: " + e.Err.Error() }

// Unwrap returns the error of the stream.
func (e *SourceError) Unwrap() error { return e.Err }

// OnlyFull reports whether what a backend's Health says is that there is no room: what it
// has can be read and removed.
func OnlyFull(err error) bool { return errors.Is(err, backends.ErrFull) }
