package oci

import (
	"errors"
	"net/http"

	"artifactstore/cas"
	"artifactstore/gateway/problem"
)

// Problem turns an error of the store, or of reading a request, into the answer
// of the protocol. It is nil for an error that has none: a fault of the program,
// or a client that is no longer there. What the faces have in common is a
// [problem.Problem], of which this is the protocol's form.
func Problem(err error) *Error {
	var (
		answer   *Error
		lacks    *cas.MissingError
		size     *cas.ReferenceSizeError
		mismatch *cas.DigestMismatchError
		length   *cas.SizeMismatchError
		large    *cas.TooLargeError
		media    *cas.MediaTypeError
		offset   *cas.OffsetError
	)
	switch {
	case errors.As(err, &answer):
		return answer
	case errors.As(err, &lacks):
		return missing(lacks.Digests)
	case errors.As(err, &size):
		return one400(ManifestInvalid, size)
	case errors.As(err, &media):
		return one400(ManifestInvalid, media)
	case errors.As(err, &large):
		return single(http.StatusRequestEntityTooLarge, SizeInvalid, large.Error())
	case errors.As(err, &offset):
		return single(http.StatusRequestedRangeNotSatisfiable, BlobUploadInvalid, offset.Error())
	case errors.Is(err, cas.ErrUploadChanged):
		return single(http.StatusRequestedRangeNotSatisfiable, BlobUploadInvalid, "another request went on with the upload meanwhile")
	case errors.Is(err, cas.ErrManifestHeld):
		return &Error{
			Status:  http.StatusMethodNotAllowed,
			Allow:   "GET, HEAD, PUT",
			Entries: []Entry{{Code: Denied, Message: "the manifest is held and cannot be deleted"}},
		}
	case errors.As(err, &mismatch):
		return one400(DigestInvalid, mismatch)
	case errors.As(err, &length):
		return one400(SizeInvalid, length)
	case errors.Is(err, cas.ErrManifestUnknown):
		return single(http.StatusNotFound, ManifestUnknown, "there is no such manifest here")
	case errors.Is(err, cas.ErrUploadUnknown):
		return single(http.StatusNotFound, BlobUploadUnknown, "there is no such upload")
	case errors.Is(err, cas.ErrBlobUnknown), errors.Is(err, cas.ErrBlobUnavailable):
		return single(http.StatusNotFound, BlobUnknown, "there is no such blob here")
	}
	return fromProblem(problem.Of(err))
}

func single(status int, code Code, message string) *Error {
	return &Error{Status: status, Entries: []Entry{{Code: code, Message: message}}}
}

func one400(code Code, err error) *Error { return single(http.StatusBadRequest, code, err.Error()) }

// unavailable stands in answers of status 5xx, for which the spec has no code.
const unavailable Code = "UNAVAILABLE"

// codes are the codes of common problems by status.
var codes = map[int]Code{
	http.StatusRequestTimeout:        BlobUploadInvalid,
	http.StatusRequestEntityTooLarge: SizeInvalid,
	http.StatusBadRequest:            BlobUploadInvalid,
	http.StatusUnauthorized:          Unauthorized,
	http.StatusForbidden:             Denied,
	http.StatusTooManyRequests:       TooManyRequests,
}

func fromProblem(p *problem.Problem) *Error {
	if p == nil {
		return nil
	}
	code, known := codes[p.Status]
	switch {
	case known:
	case p.Status >= 500:
		code = unavailable
	default:
		code = Unsupported
	}
	return &Error{
		Status:     p.Status,
		Entries:    []Entry{{Code: code, Message: p.Detail}},
		Allow:      p.Allow,
		RetryAfter: p.RetryAfter,
	}
}
