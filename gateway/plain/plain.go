// Package plain is the plain HTTP face: blobs by digest, for curl and for
// programs. A request is parsed into a value, the store is called, and the
// answer written; an error returned by a handler is answered in one place, by
// package gateway, with [Problem].
//
//	POST   /v1/blobs            store a stream
//	PUT    /v1/blobs/{digest}   store a stream that must have this digest
//	GET    /v1/blobs/{digest}   the bytes: whole, ranges, conditional
//	HEAD   /v1/blobs/{digest}   the same without the bytes
//	DELETE /v1/blobs/{digest}   end the caller's lease
package plain

import (
	"encoding/json"
	"io"
	"net/http"
	"time"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/gateway/auth"
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
	if f.UploadBytes > 0 {
		if u.size > f.UploadBytes {
			return sourceProblem(&http.MaxBytesError{Limit: f.UploadBytes})
		}
		r.Body = http.MaxBytesReader(w, r.Body, f.UploadBytes)
	}
	stored, err := f.Store.Put(r.Context(), r.Body, options(r, u))
	if err != nil {
		return err
	}
	return answerStored(w, stored, d)
}

func options(r *http.Request, u upload) cas.PutOptions {
	who := auth.From(r.Context())
	o := cas.PutOptions{
		Principal:      who.Name,
		Producer:       u.producer,
		RetentionClass: u.class,
		Size:           u.size,
		Want:           u.want,
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
	h.Set("ETag", etag(s.SHA256))
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
	m := map[string]string{"sha256": d.sha256.Hex(), "blake3": d.blake3.Hex()}
	if !d.sha512.IsZero() {
		m["sha512"] = d.sha512.Hex()
	}
	return json.Marshal(m)
}

// serve answers GET and HEAD.
func (f *Face) serve(w http.ResponseWriter, r *http.Request, d digest.Digest) error {
	blob, err := f.Store.Open(r.Context(), d)
	if err != nil {
		return err
	}
	defer blob.Close()
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("ETag", etag(blob.SHA256))
	h.Set("Repr-Digest", reprDigest(blob.SHA256))
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Disposition", "attachment")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")

	out := &contentWriter{ResponseWriter: w, blob: blob, head: r.Method == http.MethodHead}
	out.takeRange(r)
	http.ServeContent(out, r, "", time.Time{}, blob)
	if out.err == errAnswered {
		return nil
	}
	return out.err
}

// takeRange reads a request's Range field and leaves its normal form in its
// place. A range that must be refused is left malformed, so that ServeContent
// refuses it at its place in the order of RFC 9110, section 13.2.2: after the
// conditions. Only GET has ranges (section 14.2).
func (c *contentWriter) takeRange(r *http.Request) {
	var err error
	if field := r.Header.Get("Range"); field != "" && !c.head {
		c.ranges, err = parseRanges(field, c.blob.Size)
	}
	switch {
	case err != nil:
		c.refused = err.(*problem.Problem)
		r.Header.Set("Range", "bytes=refused")
	case len(c.ranges) == 0:
		r.Header.Del("Range")
	default:
		r.Header.Set("Range", normalRange(c.ranges))
	}
}

func (f *Face) release(w http.ResponseWriter, r *http.Request, d digest.Digest) error {
	if err := f.Store.Release(r.Context(), d, auth.From(r.Context()).Name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func etag(sha256 digest.Digest) string { return `"` + sha256.String() + `"` }

func methodNotAllowed(r *http.Request, allow string) error {
	p := problem.New(http.StatusMethodNotAllowed, "method_not_allowed", "%.20s is not a method of this path: want %s", r.Method, allow)
	p.Allow = allow
	return p
}

var _ io.ReaderFrom = (*contentWriter)(nil)
