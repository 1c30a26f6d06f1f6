package oci

import (
	"errors"
	"io"
	"net/http"
	"strconv"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/content"
)

// startUpload answers end-4 and end-11. A mount that is not possible becomes an
// ordinary upload: 404 would say what the caller may not know.
func (f *Face) startUpload(w http.ResponseWriter, r *http.Request, q Request) error {
	o := f.options(r, q)
	if !q.Mount.IsZero() {
		wait := content.Even(r.Context())
		err := f.mount(r, q, o)
		if err == nil {
			return created(w, blobPath(q.Repository, q.Mount), q.Mount)
		}
		if !errors.Is(err, cas.ErrBlobUnknown) && !errors.Is(err, cas.ErrBlobUnavailable) {
			return err
		}
		wait()
	}
	if !q.Want.IsZero() {
		return f.storeWhole(w, r, q, o)
	}
	if q.Algorithm == digest.SHA512 {
		o.Also = []digest.Algorithm{digest.SHA512}
	}
	began, err := f.Sessions.Begin(r.Context())
	if err != nil {
		return err
	}
	u, err := f.Store.BeginUpload(r.Context(), o)
	q.Session = u.ID
	began(sessionOf(r, q))
	if err != nil {
		return err
	}
	return f.accepted(w, q.Repository, u)
}

// mount makes a blob visible in the repository of a request. Where its principal may not
// read what it wants to mount from, the blob is one that is not there.
func (f *Face) mount(r *http.Request, q Request, o cas.PutOptions) error {
	if q.From == "" {
		if err := content.Reach(r.Context(), f.Store, q.Mount); err != nil {
			return err
		}
	} else if !auth.From(r.Context()).May(auth.Pull, auth.Resource(q.From)) {
		return cas.ErrBlobUnknown
	}
	_, err := f.Store.Mount(r.Context(), q.From, q.Mount, o)
	return err
}

// storeWhole takes a blob in one request (end-4b).
func (f *Face) storeWhole(w http.ResponseWriter, r *http.Request, q Request, o cas.PutOptions) error {
	o.Want, o.Size = []digest.Digest{q.Want}, r.ContentLength
	body := io.Reader(r.Body)
	if f.UploadBytes > 0 {
		if r.ContentLength > f.UploadBytes {
			return &cas.TooLargeError{Limit: f.UploadBytes}
		}
		body = http.MaxBytesReader(w, r.Body, f.UploadBytes)
	}
	if _, err := f.Store.Put(r.Context(), body, o); err != nil {
		return err
	}
	return created(w, blobPath(q.Repository, q.Want), q.Want)
}

// sessionOf names the session of a request.
func sessionOf(r *http.Request, q Request) cas.Session {
	return cas.Session{ID: q.Session, Principal: auth.From(r.Context()).Name, Repository: q.Repository}
}

// accepted answers with the state of an open upload, which is all in its path.
func (f *Face) accepted(w http.ResponseWriter, repository string, u cas.Upload) error {
	setUpload(w.Header(), repository, u)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func setUpload(h http.Header, repository string, u cas.Upload) {
	h.Set("Location", "/v2/"+repository+"/blobs/uploads/"+u.ID)
	h.Set("Docker-Upload-UUID", u.ID)
	h.Set("Range", "0-"+strconv.FormatInt(max(u.Offset-1, 0), 10))
	h.Set("Content-Length", "0")
}

// statUpload answers end-13.
func (f *Face) statUpload(w http.ResponseWriter, r *http.Request, q Request) error {
	u, err := f.Store.StatUpload(r.Context(), sessionOf(r, q))
	if err != nil {
		return err
	}
	setUpload(w.Header(), q.Repository, u)
	w.Header().Del("Content-Length") // 204 has none
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// patchUpload answers end-5. Without Content-Range the bytes follow what is
// there, whatever their number.
func (f *Face) patchUpload(w http.ResponseWriter, r *http.Request, q Request) error {
	c, err := f.chunk(r)
	if err != nil {
		return err
	}
	u, err := f.Store.AppendUpload(r.Context(), sessionOf(r, q), c)
	if err != nil {
		return f.whereTo(r, q, err)
	}
	f.Sessions.Heard(q.Session)
	return f.accepted(w, q.Repository, u)
}

// chunk reads what a request says of the bytes it brings.
func (f *Face) chunk(r *http.Request) (cas.Chunk, error) {
	within, ranged, err := parseContentRange(r.Header)
	c := cas.Chunk{Body: r.Body, Offset: -1, Size: r.ContentLength, Limit: f.UploadBytes}
	if err != nil || !ranged {
		return c, err
	}
	if c.Size >= 0 && c.Size != within.size() {
		return c, refuse(http.StatusBadRequest, SizeInvalid, "Content-Range has %d bytes, Content-Length %d", within.size(), c.Size)
	}
	c.Offset, c.Size = within.first, within.size()
	return c, nil
}

// whereTo adds to a refusal of a chunk that does not belong where the upload is
// the place where it is.
func (f *Face) whereTo(r *http.Request, q Request, err error) error {
	var offset *cas.OffsetError
	if !errors.As(err, &offset) && !errors.Is(err, cas.ErrUploadChanged) {
		return err
	}
	e := Problem(err)
	if u, err := f.Store.StatUpload(r.Context(), sessionOf(r, q)); err == nil {
		e.Header = http.Header{}
		setUpload(e.Header, q.Repository, u)
	}
	return e
}

// closeUpload answers end-6.
func (f *Face) closeUpload(w http.ResponseWriter, r *http.Request, q Request) error {
	c, err := f.chunk(r)
	if err != nil {
		return err
	}
	if _, err := f.Store.FinishUpload(r.Context(), sessionOf(r, q), c, q.Want, f.options(r, q)); err != nil {
		return f.whereTo(r, q, err)
	}
	f.Sessions.End(q.Session)
	return created(w, blobPath(q.Repository, q.Want), q.Want)
}

// cancelUpload answers end-14.
func (f *Face) cancelUpload(w http.ResponseWriter, r *http.Request, q Request) error {
	if err := f.Store.CancelUpload(r.Context(), sessionOf(r, q)); err != nil {
		return err
	}
	f.Sessions.End(q.Session)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
