package registry

import (
	"fmt"
	"math"
	"time"
	"unicode"
	"unicode/utf8"

	"artifactstore/cas/digest"
)

// Longest texts of an event, in bytes.
const (
	maxName       = 128 // an actor, a version, a tag, a retention class, a label, a repair's source
	maxBackend    = 64  // a backend id
	maxRepository = 255 // a repository, and so its first segment, the producer
	maxMediaType  = 255
)

// Validate checks an event in itself, whatever the views hold: that its digests
// are of the right algorithms, its texts printable and of sane length, its
// times whole microseconds in UTC between 1970 and [Forever], its reason known.
// One that fails is ErrRecord: it is a mistake of the program, and never
// reaches the log.
func Validate(e Event) error {
	if err := checkText("actor", e.Actor, maxName); err != nil {
		return err
	}
	return validateData(e.Data)
}

func validateData(d Data) error {
	if !known(d) {
		return fmt.Errorf("%w: %T is not the data of an event", ErrRecord, d)
	}
	if err := d.validate(); err != nil {
		return fmt.Errorf("%w (%s)", err, d.Type())
	}
	return nil
}

func (r Record) validate() error {
	if r.Position < 1 || r.Position > math.MaxInt64 {
		return fmt.Errorf("%w: position %d", ErrRecord, r.Position)
	}
	return first(checkTime("time", r.Time), Validate(r.Event))
}

func (d BlobStored) validate() error {
	var sha512, size error
	if !d.SHA512.IsZero() {
		sha512 = checkDigest("sha512", d.SHA512, digest.SHA512)
	}
	if d.Size < 0 {
		size = fmt.Errorf("%w: size %d", ErrRecord, d.Size)
	}
	return first(checkBlob(d.SHA256), checkDigest("blake3", d.BLAKE3, digest.BLAKE3), sha512, size)
}

func (d LocationRecorded) validate() error {
	return first(checkBlob(d.Blob), checkBackend(d.BackendID), checkSeen(d.Seen))
}

func (d LocationFailed) validate() error {
	var reason error
	switch d.Reason {
	case Mismatch, Missing, Truncated, Unreadable:
	default:
		reason = fmt.Errorf("%w: unknown reason %.80q", ErrRecord, d.Reason)
	}
	var recorded error
	if !d.RecordedAt.IsZero() {
		recorded = checkTime("recorded_at", d.RecordedAt)
	}
	return first(checkBlob(d.Blob), checkBackend(d.BackendID), reason, recorded)
}

func (d LocationRepaired) validate() error {
	return first(checkBlob(d.Blob), checkBackend(d.BackendID), checkText("source", d.Source, maxName), checkSeen(d.Seen))
}

func (d BlobLeased) validate() error {
	return first(checkBlob(d.Blob), checkRepository(d.Repository), checkText("producer", d.Producer, maxRepository),
		checkText("retention_class", d.RetentionClass, maxName), checkTime("until", d.Until))
}

func (d BlobReleased) validate() error {
	return first(checkBlob(d.Blob), checkRepository(d.Repository))
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkBlob checks a primary digest.
func checkBlob(d digest.Digest) error { return checkDigest("blob", d, digest.SHA256) }

func checkDigest(field string, d digest.Digest, alg digest.Algorithm) error {
	if d.Algorithm() != alg {
		return fmt.Errorf("%w: %s is %q, not a %s digest", ErrRecord, field, d, alg)
	}
	return nil
}

// checkRepository checks the repository of a lease, which may be none.
func checkRepository(repository string) error {
	return checkOptional("repository", repository, maxRepository)
}

func checkOptional(field, s string, longest int) error {
	if s == "" {
		return nil
	}
	return checkText(field, s, longest)
}

func checkBackend(id string) error { return checkText("backend_id", id, maxBackend) }

// checkText checks a text that is not empty, valid UTF-8, printable and not longer
// than longest bytes.
func checkText(field, s string, longest int) error {
	if s == "" || len(s) > longest || !utf8.ValidString(s) {
		return fmt.Errorf("%w: %s %.80q: want 1 to %d bytes of UTF-8", ErrRecord, field, s, longest)
	}
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return fmt.Errorf("%w: %s %.80q: not printable", ErrRecord, field, s)
		}
	}
	return nil
}

func checkSeen(position uint64) error {
	if position > math.MaxInt64 {
		return fmt.Errorf("%w: seen is %d", ErrRecord, position)
	}
	return nil
}

// checkTime checks a time: whole microseconds, so that every database and the
// encoding keep it exactly.
func checkTime(field string, t time.Time) error {
	if t.Location() != time.UTC || t.Nanosecond()%1000 != 0 || t.Unix() < 0 || t.After(Forever) {
		return fmt.Errorf("%w: %s %s: want whole microseconds UTC, 1970 to 9999", ErrRecord, field, t)
	}
	return nil
}
