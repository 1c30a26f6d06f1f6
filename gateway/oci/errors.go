package oci

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"artifactstore/cas/digest"
)

// Code is an error code of the spec ("Error Codes").
type Code string

// The codes of the spec. Others are not used: a client knows these.
const (
	BlobUnknown         Code = "BLOB_UNKNOWN"
	BlobUploadInvalid   Code = "BLOB_UPLOAD_INVALID"
	BlobUploadUnknown   Code = "BLOB_UPLOAD_UNKNOWN"
	DigestInvalid       Code = "DIGEST_INVALID"
	ManifestBlobUnknown Code = "MANIFEST_BLOB_UNKNOWN"
	ManifestInvalid     Code = "MANIFEST_INVALID"
	ManifestUnknown     Code = "MANIFEST_UNKNOWN"
	NameInvalid         Code = "NAME_INVALID"
	NameUnknown         Code = "NAME_UNKNOWN"
	SizeInvalid         Code = "SIZE_INVALID"
	Unauthorized        Code = "UNAUTHORIZED"
	Denied              Code = "DENIED"
	Unsupported         Code = "UNSUPPORTED"
	TooManyRequests     Code = "TOOMANYREQUESTS"
)

// Error is an answer of the protocol that is not a success: a status and one or
// more entries of its JSON.
type Error struct {
	Status     int
	Entries    []Entry
	Allow      string // with 405
	RetryAfter int    // seconds, with 429 and 503; 0 for none
	Header     http.Header
}

// Entry is one entry of the error document.
type Entry struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

// Error gives the messages.
func (e *Error) Error() string {
	var all []string
	for _, entry := range e.Entries {
		all = append(all, string(entry.Code)+": "+entry.Message)
	}
	return strings.Join(all, "; ")
}

// Write answers with the error. A HEAD request gets no body from the server.
// Header fields that described a success are removed.
func (e *Error) Write(w http.ResponseWriter) {
	text, err := json.Marshal(map[string][]Entry{"errors": e.Entries})
	if err != nil {
		text = []byte(`{"errors":[]}`)
	}
	h := w.Header()
	for _, field := range []string{"Content-Disposition", "Content-Security-Policy", "Docker-Content-Digest", "Etag", "Last-Modified", "Link", "Oci-Subject", "Oci-Tag"} {
		h.Del(field)
	}
	for name, values := range e.Header {
		h[name] = values
	}
	if e.Allow != "" {
		h.Set("Allow", e.Allow)
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.Status)
	w.Write(append(text, '\n'))
}

func refuse(status int, code Code, format string, args ...any) error {
	return &Error{Status: status, Entries: []Entry{{Code: code, Message: fmt.Sprintf(format, args...)}}}
}

func notAllowed(allowed ...string) error {
	return &Error{
		Status:  http.StatusMethodNotAllowed,
		Entries: []Entry{{Code: Unsupported, Message: "the method is not one of this path"}},
		Allow:   strings.Join(allowed, ", "),
	}
}

// missing answers for a manifest that names blobs which the repository does not
// have: one entry each.
func missing(list []digest.Digest) *Error {
	e := &Error{Status: http.StatusBadRequest}
	for _, d := range list {
		e.Entries = append(e.Entries, Entry{
			Code:    ManifestBlobUnknown,
			Message: "the manifest names a blob that the repository does not have",
			Detail:  map[string]string{"digest": d.String()},
		})
	}
	return e
}
