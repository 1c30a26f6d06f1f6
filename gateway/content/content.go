// Package content serves a blob's bytes over HTTP: whole or in ranges, under
// conditions, by sendfile where the bytes are a local file. Every face uses it;
// what it refuses is an error for the face to put into its own form.
package content

import (
	"io"
	"net/http"
	"time"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/problem"
)

// Serve answers GET or HEAD with a blob. The caller has set Content-Type and what
// else describes the blob in its protocol; Serve adds what is true of every
// blob's bytes. An error comes before anything was written, unless the bytes
// broke off on their way. A *problem.Problem of status 412 or 416 says that the
// request's conditions or ranges do not fit.
func Serve(w http.ResponseWriter, r *http.Request, b *cas.Blob) error {
	h := w.Header()
	h.Set("ETag", ETag(b.SHA256))
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Content-Disposition") == "" {
		h.Set("Content-Disposition", "attachment")
	}
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", reach(r)+", max-age=31536000, immutable")
	}
	out := &writer{ResponseWriter: w, blob: b, media: h.Get("Content-Type"), head: r.Method == http.MethodHead}
	out.takeRange(r)
	http.ServeContent(out, r, "", time.Time{}, b)
	return out.err
}

// reach says whose caches may keep a blob: everybody's where everybody may read
// everything without a word.
func reach(r *http.Request) string {
	if p := auth.From(r.Context()); p.Authenticated || !p.May(auth.Pull, auth.Everything) {
		return "private"
	}
	return "public"
}

// takeRange reads a request's Range field and leaves its normal form in its
// place. A range that must be refused is left malformed, so that ServeContent
// refuses it at its place in the order of RFC 9110, section 13.2.2: after the
// conditions. Only GET has ranges (section 14.2).
func (c *writer) takeRange(r *http.Request) {
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

// ETag returns a blob's strong entity tag.
func ETag(sha256 digest.Digest) string { return `"` + sha256.String() + `"` }

var _ io.ReaderFrom = (*writer)(nil)
