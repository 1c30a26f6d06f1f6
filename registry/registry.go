// Package registry is what the store knows: an append-only log of events and
// the views derived from it.
//
// The log is the truth. A view is a table (blobs, locations, leases, tokens) that
// always equals the replay of the log, because both change in one transaction;
// the views' constraints are the validation: an event that does not fit what
// came before is refused with [ErrConflict] and leaves no trace. Upload
// sessions are operational rows beside the log: they matter while an upload
// runs and are never replayed.
//
// # Encoding
//
// A record is one CBOR map in the core deterministic encoding of RFC 8949
// §4.2.1 with the members position, time, type, actor, subject and data; data is
// a map with the members of the event's struct. Digests are text,
// "algorithm:hex". A time is tag 0, RFC 3339 in UTC ("Z"), with a fraction only
// where it is not zero, of at most six digits without trailing zeros. There is
// one way to write a record: what [Encode] does not write, [Decode] refuses.
//
// # Here and elsewhere
//
// This package holds the vocabulary: the events and their canonical encoding,
// the interfaces, and [Model], the pure meaning of each event. Packages sqlite
// and postgres implement it natively and share no SQL; package registrytest is
// the suite that both must pass.
package registry

import (
	"context"
	"errors"
	"iter"
	"time"

	"artifactstore/cas/digest"
)

// Registry is one opened database. All methods may be called concurrently, also
// within a loop over Since or Blobs, and by several processes on the same
// database. All times it returns are UTC. Where a cancelled context ends a call,
// errors.Is finds the context's error in what is returned.
type Registry interface {
	Log
	Views
	Packages
	Retention
	Uploads
	Claims
	Auth
	Keeper
	// Close waits for appends under way and releases the database. An append
	// that came too late for it fails and appends nothing.
	Close() error
}

// Log is the append-only log.
type Log interface {
	// Append adds events, in order, at consecutive positions, and applies them
	// to the views, in one transaction: when it returns nil both are durable;
	// when it returns an error neither the log nor a view has changed, except
	// that after ErrUnavailable the outcome of a lost commit may be unknown.
	// last is the position of the last event. Positions start at 1 and have no
	// gap, over all processes. An event that does not fit the views, or an
	// earlier one of the same call, is ErrConflict; one that does not pass
	// Validate is ErrRecord. Without events Append returns Last and appends
	// nothing. The registry gives each event its position and its time;
	// times never go backwards along the log. Concurrent appends are committed
	// in groups; one that is refused does not disturb the others. Cancelling
	// ctx gives up waiting: the events may still be appended.
	Append(ctx context.Context, events ...Event) (last uint64, err error)

	// Since yields the records after a position, in order, up to the last one
	// committed when it gets there. A reader never skips a record: what was
	// not yielded lies after everything that was. An error is yielded last.
	Since(ctx context.Context, after uint64) iter.Seq2[Record, error]

	// Last returns the position of the last record, 0 for an empty log.
	Last(ctx context.Context) (uint64, error)

	// Wait returns nil as soon as the log holds a record after a position,
	// whichever process appended it (at most a second later), or the context's
	// error.
	Wait(ctx context.Context, after uint64) error
}

// Views answers from the views. What any process committed before a call began,
// the call sees.
type Views interface {
	// Blob finds a blob by any of its digests, with its locations. A blob that
	// was never stored is fs.ErrNotExist.
	Blob(ctx context.Context, d digest.Digest) (Blob, error)

	// Blobs yields all blobs whose SHA-256 sorts after the given digest (the
	// zero digest: from the start) in ascending order of SHA-256. A caller that
	// stops and goes on after the last blob it saw misses none and sees none
	// twice.
	Blobs(ctx context.Context, after digest.Digest) iter.Seq2[Blob, error]

	// Failed returns the blobs with a failed location on a backend in ascending
	// order of SHA-256, at most limit of them.
	Failed(ctx context.Context, backend string, limit int) ([]digest.Digest, error)

	// Totals returns counts that are kept, not counted: it is cheap at any size.
	Totals(ctx context.Context) (Totals, error)

	// Health returns nil when the registry can be read and written.
	Health(ctx context.Context) error
}

// Uploads keeps upload sessions.
type Uploads interface {
	// CreateUpload adds a session with Version 1, whatever u.Version is; a taken
	// ID is ErrConflict. Times are kept to the microsecond.
	CreateUpload(ctx context.Context, u Upload) error
	// Upload returns a session; an unknown one is fs.ErrNotExist.
	Upload(ctx context.Context, id string) (Upload, error)
	// SaveUpload replaces the session's backend, offset, states, outcome and expiry if
	// its stored version is u.Version, and increments the version; the saved session
	// is returned. An unknown id is fs.ErrNotExist, another version ErrConflict;
	// then nothing has changed. Of concurrent saves of one version one succeeds.
	SaveUpload(ctx context.Context, u Upload) (Upload, error)
	// DeleteUpload removes a session if its stored version is version, with
	// the same errors as SaveUpload.
	DeleteUpload(ctx context.Context, id string, version int64) error
	// ExpiredUploads returns at most limit sessions that expire before the
	// given time, soonest first.
	ExpiredUploads(ctx context.Context, before time.Time, limit int) ([]Upload, error)
	// FinishedUploads returns at most limit finished sessions that became a blob,
	// named by its primary digest, soonest to expire first, then by id.
	FinishedUploads(ctx context.Context, blob digest.Digest, limit int) ([]Upload, error)
}

// Keeper checks and mends the database itself.
type Keeper interface {
	// Check reads the whole log and every view and reports what does not
	// agree: a gap in the positions, a record that is not canonical, a view
	// that differs from the replay, a total that differs from the count. It
	// changes nothing and runs beside a serving gateway: what is appended
	// meanwhile is no disagreement. progress, which may
	// be nil, is called from time to time with the position reached.
	Check(ctx context.Context, progress func(position, last uint64)) (Report, error)
	// Rebuild replaces the views by the replay of the log, in one transaction,
	// and reports what differed before.
	Rebuild(ctx context.Context, progress func(position, last uint64)) (Report, error)
}

// Report is what Check and Rebuild found.
type Report struct {
	Position uint64   `json:"position"` // of the last record read
	Blobs    int64    `json:"blobs"`    // in the replay
	Problems []string `json:"problems"` // one sentence each, the first hundred; empty when all agrees
}

// What a caller may branch on, besides fs.ErrNotExist.
var (
	// ErrConflict means that an event does not fit the views, or that a
	// session has changed meanwhile.
	ErrConflict = errors.New("registry conflict")
	// ErrUnavailable means that the database cannot be reached or is too busy;
	// the same call may succeed later.
	ErrUnavailable = errors.New("registry unavailable")
	// ErrFull means that the database has no room.
	ErrFull = errors.New("no space left for the registry")
	// ErrSchema means that the database was written by a newer program.
	ErrSchema = errors.New("registry schema is newer than this program")
	// ErrRecord means that a record is not in the canonical encoding or of an
	// unknown type.
	ErrRecord = errors.New("invalid record")
)

// Forever is the end of a lease without end.
var Forever = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// Blob is a row of the blobs view with what hangs on it.
type Blob struct {
	digest.Identity
	SHA512      digest.Digest // zero unless a client pushed it so
	StoredAt    time.Time     // of its first blob_stored event
	LeasedUntil time.Time     // the latest end of its leases; zero without a lease
	References  int64         // files and manifests of packages that need it: what names it twice counts twice
	Locations   []Location    // in the order in which they were first recorded
}

// Location is the fact that a blob is on a backend.
type Location struct {
	BackendID  string
	State      State
	Reason     Reason    // why it failed; "" otherwise
	RecordedAt time.Time // when its bytes were last written: recorded or repaired
	VerifiedAt time.Time // when they were last found right since; zero if never
}

// State is the state of a location.
type State string

// The states of a location.
const (
	Stored State = "stored" // the bytes were written whole, and nothing speaks against them
	Failed State = "failed" // the bytes are known to be missing or wrong

	// Removing is shown and counted for a location that is being removed. It is
	// none of the blob's any more: see [Removal].
	Removing State = "removing"
)

// Reason is why a location failed.
type Reason string

// The reasons of a failed location.
const (
	Mismatch   Reason = "mismatch"   // the bytes have another digest
	Missing    Reason = "missing"    // the object is not there
	Truncated  Reason = "truncated"  // the object is shorter than the blob
	Unreadable Reason = "unreadable" // the backend cannot read it
)

// Totals are the counts that metrics and health show.
type Totals struct {
	Position  uint64 // last position of the log
	Blobs     int64
	BlobBytes int64
	Uploads   int64                   // open sessions, not the finished ones
	Locations map[LocationTotal]int64 // what is not in it is 0; Removing counts removals, of orphans too
	Packages  map[PackageState]int64  // what is not in it is 0
}

// LocationTotal is what locations are counted by.
type LocationTotal struct {
	BackendID string
	State     State
}

// Upload is an upload session.
type Upload struct {
	ID         string // random, 128 bits; see cas
	Principal  string
	Repository string
	BackendID  string
	Offset     int64         // bytes acknowledged
	Hash       []byte        // digest.Hasher's state at Offset
	State      []byte        // the backend's state at Offset; nil before the first byte
	Finished   digest.Digest // primary digest of the blob it became; zero while it is open
	Version    int64
	ExpiresAt  time.Time
}
