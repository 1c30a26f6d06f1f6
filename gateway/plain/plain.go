// Package plain is the plain HTTP face: blobs by digest and packages by name, for
// curl and for programs. A request is parsed into a value, the store is called, and the
// answer written; an error returned by a handler is answered in one place, by
// package gateway, with [problem.Of].
//
//	POST   /v1/blobs            store a stream
//	PUT    /v1/blobs/{digest}   store a stream that must have this digest
//	GET    /v1/blobs/{digest}   the bytes: whole, ranges, conditional
//	HEAD   /v1/blobs/{digest}   the same without the bytes
//	DELETE /v1/blobs/{digest}   end the caller's lease
//
// and packages:
//
//	GET    /v1/packages         a page of them, by producer, name, class, state and labels
//
// and below /v1/packages/{producer}/{name}/{version}:
//
//	PUT    (itself)             create it, with a class and labels; another class that
//	                            keeps longer renews one that is there
//	GET    (itself)             what it is, and its files, in pages
//	DELETE (itself)             remove it
//	PUT    /files/{path}        put a file into it: bytes, or the digest of a blob
//	GET    /files/{path}        the file's bytes, as of a blob
//	DELETE /files/{path}        take the file out
//	POST   /seal                end changes
//	GET    /manifest            what a sealed one holds: CBOR, or JSON
//	GET    /archive             all files as one tar or zip
//	PUT    /holds/{hold}        keep it from expiry and deletion
//	DELETE /holds/{hold}        end that
package plain

import (
	"encoding/json"
	"net/http"
	"time"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/content"
	"artifactstore/gateway/problem"
)

// Face serves the plain paths over a store.
type Face struct {
	Store *cas.Store
	// UploadBytes is the largest blob taken, 0 for no limit.
	UploadBytes int64
}

// contentType is what every blob is served as: the store does not know better,
// and a browser must not guess.
const contentType = "application/octet-stream"

// Blobs serves /v1/blobs.
func (f *Face) Blobs(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		return methodNotAllowed(r, "POST")
	}
	return f.store(w, r, digest.Digest{})
}

// Blob serves /v1/blobs/{digest}.
func (f *Face) Blob(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete:
	default:
		return methodNotAllowed(r, "GET, HEAD, PUT, DELETE")
	}
	d, err := parseDigest(r.PathValue("digest"))
	if err != nil {
		return err
	}
	switch r.Method {
	case http.MethodPut:
		return f.store(w, r, d)
	case http.MethodDelete:
		return f.release(w, r, d)
	}
	return f.serve(w, r, d)
}

// store takes an upload; d is the digest its path names, or zero.
func (f *Face) store(w http.ResponseWriter, r *http.Request, d digest.Digest) error {
	u, err := parseUpload(r.Header, r.URL.RawQuery, r.ContentLength, r.Trailer)
	if err != nil {
		return err
	}
	if !d.IsZero() {
		u.expects(d)
	}
	o := f.options(r, u)
	if err := auth.Require(r.Context(), auth.Push, auth.Resource(o.Producer)); err != nil {
		return err
	}
	if err := f.limit(w, r, u); err != nil {
		return err
	}
	stored, err := f.Store.Put(r.Context(), r.Body, o)
	if err != nil {
		return err
	}
	return answerStored(w, stored, d)
}

// limit refuses an upload that says it is too large, and ends one that turns out
// to be.
func (f *Face) limit(w http.ResponseWriter, r *http.Request, u upload) error {
	if f.UploadBytes == 0 {
		return nil
	}
	if u.size > f.UploadBytes {
		return &cas.SourceError{Err: &http.MaxBytesError{Limit: f.UploadBytes}}
	}
	r.Body = http.MaxBytesReader(w, r.Body, f.UploadBytes)
	return nil
}

func (f *Face) options(r *http.Request, u upload) cas.PutOptions {
	who := auth.From(r.Context())
	o := cas.PutOptions{
		Principal:      who.Name,
		Producer:       u.producer,
		RetentionClass: u.class,
		Size:           u.size,
		Want:           u.want,
		Knows:          content.Knows(r.Context(), f.Store),
	}
	if o.Producer == "" {
		o.Producer = who.Name
	}
	if u.size < 0 { // chunked: a trailer may follow, announced or not
		o.WantLater = func() ([]digest.Digest, error) { return parseDigestFields(r.Trailer) }
		if u.trailer {
			o.Also = []digest.Algorithm{digest.SHA512}
		}
	}
	return o
}

// answerStored answers an upload. The digest echoed is the one asked for, or
// the primary one.
func answerStored(w http.ResponseWriter, s cas.Stored, asked digest.Digest) error {
	if asked.IsZero() {
		asked = s.SHA256
	}
	body := storedBody{
		Digest:    asked,
		Digests:   digests{s.SHA256, s.BLAKE3, s.SHA512},
		Size:      s.Size,
		Existed:   s.Existed,
		BackendID: s.BackendID,
	}
	if s.LeasedUntil.Before(cas.Forever) {
		body.LeasedUntil = &s.LeasedUntil
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Location", "/v1/blobs/"+s.SHA256.String())
	h.Set("ETag", content.ETag(s.SHA256))
	h.Set("Repr-Digest", reprDigest(s.SHA256))
	status := http.StatusCreated
	if s.Existed {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
	return nil
}

type storedBody struct {
	Digest      digest.Digest `json:"digest"`
	Digests     digests       `json:"digests"`
	Size        int64         `json:"size"`
	Existed     bool          `json:"existed"`
	BackendID   string        `json:"backend_id"`
	LeasedUntil *time.Time    `json:"leased_until"` // null: kept for ever
}

// digests are bare hex: the member's name says the algorithm.
type digests struct {
	sha256, blake3, sha512 digest.Digest
}

// MarshalJSON implements json.Marshaler.
func (d digests) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		BLAKE3 string `json:"blake3"`
		SHA256 string `json:"sha256"`
		SHA512 string `json:"sha512,omitempty"`
	}{d.blake3.Hex(), d.sha256.Hex(), d.sha512.Hex()})
}

// serve answers GET and HEAD.
func (f *Face) serve(w http.ResponseWriter, r *http.Request, d digest.Digest) error {
	if err := auth.RequireSomewhere(r.Context(), auth.Pull); err != nil {
		return err
	}
	if err := content.Reach(r.Context(), f.Store, d); err != nil {
		return err
	}
	blob, err := f.Store.Open(r.Context(), d)
	if err != nil {
		return err
	}
	defer blob.Close()
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Repr-Digest", reprDigest(blob.SHA256))
	return content.Serve(w, r, blob)
}

func (f *Face) release(w http.ResponseWriter, r *http.Request, d digest.Digest) error {
	if err := auth.RequireSomewhere(r.Context(), auth.Delete); err != nil {
		return err
	}
	if err := content.Reach(r.Context(), f.Store, d); err != nil {
		return err
	}
	if err := f.Store.ReleaseAmong(r.Context(), d, auth.From(r.Context()).Name, content.Readable(r.Context())); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func methodNotAllowed(r *http.Request, allow string) error {
	p := problem.New(http.StatusMethodNotAllowed, "method_not_allowed", "%.20s is not a method of this path: want %s", r.Method, allow)
	p.Allow = allow
	return p
}
