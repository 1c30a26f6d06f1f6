package client

import (
	"fmt"
	"net/http"
	"time"
)

// Error is a gateway's refusal. Compared by [errors.Is] with one of the
// variables below, its code is what counts.
type Error struct {
	Status     int           // of HTTP
	Code       string        // stable, such as "digest_mismatch"; "" where the answer was no problem document
	Detail     string        // for people
	RetryAfter time.Duration `json:"-"` // how long the gateway asks to wait; 0 where it does not say
}

// What a caller may branch on.
var (
	ErrBlobUnknown     = &Error{Code: "blob_unknown"}
	ErrBlobUnavailable = &Error{Code: "blob_unavailable"}
	ErrPackageUnknown  = &Error{Code: "package_unknown"}
	ErrPackageExists   = &Error{Code: "package_exists"} // with other labels
	ErrPackageOpen     = &Error{Code: "package_open"}   // it has no manifest yet
	ErrPackageSealed   = &Error{Code: "package_sealed"}
	ErrPackageHeld     = &Error{Code: "package_held"}
	ErrHoldUnknown     = &Error{Code: "hold_unknown"}
	ErrFileUnknown     = &Error{Code: "file_unknown"}
	ErrClassUnknown    = &Error{Code: "retention_class_unknown"}
	ErrClassShorter    = &Error{Code: "retention_class_shorter"}
	ErrDigestMismatch  = &Error{Code: "digest_mismatch"}
)

// Error gives the gateway's own words.
func (e *Error) Error() string {
	switch {
	case e.Code == "":
		return fmt.Sprintf("the gateway answered %d %s", e.Status, http.StatusText(e.Status))
	case e.Detail == "":
		return e.Code
	}
	return fmt.Sprintf("%s (%s)", e.Detail, e.Code)
}

// Is reports whether target has the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Code != ""
}
