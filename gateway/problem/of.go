package problem

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"os"

	"artifactstore/cas"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/limit"
)

// retryAfter is how many seconds a client should leave what is away to come
// back.
const retryAfter = 5

// Of turns an error of the store, or of reading a request, into its
// answer. It is nil for an error that has none: a fault of the program, or a
// client that is no longer there.
func Of(err error) *Problem {
	var (
		answer   *Problem
		mismatch *cas.DigestMismatchError
		size     *cas.SizeMismatchError
		source   *cas.SourceError
		needed   *cas.ReferencedError
		refused  *auth.Refused
		slowed   *auth.Slowed
		exceeded *limit.Exceeded
	)
	switch {
	case errors.As(err, &answer):
		return answer
	case errors.As(err, &refused) && refused.Unauthenticated:
		return New(http.StatusUnauthorized, "unauthorized", "%v, and the request says nothing of its sender", refused)
	case errors.As(err, &refused) && refused.Scoped:
		return New(http.StatusUnauthorized, "unauthorized", "%v, which the token does not carry", refused)
	case errors.As(err, &refused):
		return New(http.StatusForbidden, "forbidden", "%v, which the sender was not granted", refused)
	case errors.Is(err, auth.ErrCredentials):
		return New(http.StatusUnauthorized, "unauthorized", "%v", err)
	case errors.Is(err, auth.ErrUnavailable):
		return retryLater("issuer_unavailable", auth.ErrUnavailable.Error())
	case errors.As(err, &slowed):
		p := New(http.StatusTooManyRequests, "too_many_attempts", "%v", slowed)
		p.RetryAfter = int(math.Ceil(slowed.For.Seconds()))
		return p
	case errors.As(err, &exceeded):
		p := New(http.StatusTooManyRequests, "too_many_"+exceeded.What, "%v", exceeded)
		p.RetryAfter = int(math.Ceil(exceeded.Retry.Seconds()))
		return p
	case errors.As(err, &source):
		return sourceProblem(source.Err)
	case errors.As(err, &mismatch):
		return New(http.StatusUnprocessableEntity, "digest_mismatch", "%v", mismatch)
	case errors.As(err, &size):
		return New(http.StatusBadRequest, "size_mismatch", "%v", size)
	case errors.As(err, &needed):
		return New(http.StatusConflict, "blob_referenced", "%v", needed)
	case errors.Is(err, cas.ErrPackageUnknown):
		return New(http.StatusNotFound, "package_unknown", "there is no such package here")
	case errors.Is(err, cas.ErrFileUnknown):
		return New(http.StatusNotFound, "file_unknown", "the package has no such file")
	case errors.Is(err, cas.ErrPackageExists):
		return New(http.StatusConflict, "package_exists", "the package exists with other labels; nothing was changed")
	case errors.Is(err, cas.ErrClassShorter):
		return New(http.StatusConflict, "retention_class_shorter", "%v: only an administrator may do that, with ?force=true; nothing was changed", err)
	case errors.Is(err, cas.ErrPackageSealed):
		return New(http.StatusConflict, "package_sealed", "the package is sealed and can no longer change")
	case errors.Is(err, cas.ErrWouldReplace):
		return New(http.StatusForbidden, "would_replace", "%v: to replace it the sender needs the verb overwrite; nothing was changed", err)
	case errors.Is(err, cas.ErrPackageHeld):
		return New(http.StatusConflict, "package_held", "the package is under a hold")
	case errors.Is(err, cas.ErrHoldUnknown):
		return New(http.StatusNotFound, "hold_unknown", "the package is not under such a hold")
	case errors.Is(err, cas.ErrBlobUnknown):
		return New(http.StatusNotFound, "blob_unknown", "there is no such blob here")
	case errors.Is(err, cas.ErrBlobUnavailable):
		return New(http.StatusNotFound, "blob_unavailable", "the blob is known, but every stored copy is missing or damaged: upload it again to heal it")
	case errors.Is(err, cas.ErrClassUnknown):
		return New(http.StatusBadRequest, "retention_class_unknown", "%v", err)
	case errors.Is(err, cas.ErrNotComputed):
		return New(http.StatusBadRequest, "digest_invalid", "the trailer has a digest that could not be checked: announce it with Trailer: Repr-Digest; nothing was stored")
	case errors.Is(err, cas.ErrFull):
		return New(http.StatusInsufficientStorage, "storage_full", "there is no room to store this; nothing was stored")
	case errors.Is(err, cas.ErrBusy):
		return retryLater("busy", "too many uploads are under way")
	case errors.Is(err, cas.ErrRemoving):
		return retryLater("busy", "an earlier copy of this content is just being removed")
	case errors.Is(err, cas.ErrBackendUnavailable):
		return retryLater("backend_unavailable", "the backend does not answer")
	case errors.Is(err, cas.ErrRegistryUnavailable):
		return retryLater("registry_unavailable", "the registry does not answer")
	}
	return nil
}

// sourceProblem answers for a body that could not be read to its end.
func sourceProblem(err error) *Problem {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return New(http.StatusRequestEntityTooLarge, "too_large", "an upload may have %d bytes at most", large.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return New(http.StatusRequestTimeout, "too_slow", "the body came too slowly or not at all; nothing was stored")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return New(http.StatusBadRequest, "body_incomplete", "the body ended before its announced length; nothing was stored")
	case errors.Is(err, context.Canceled):
		return nil
	}
	return New(http.StatusBadRequest, "body_invalid", "the body could not be read: %v", err)
}

func retryLater(code, detail string) *Problem {
	p := New(http.StatusServiceUnavailable, code, "%s: try again later", detail)
	p.RetryAfter = retryAfter
	return p
}
