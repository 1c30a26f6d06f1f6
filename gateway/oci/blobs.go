package oci

import (
	"errors"
	"net/http"

	"artifactstore/cas"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/content"
)

// pullBlob answers end-2.
func (f *Face) pullBlob(w http.ResponseWriter, r *http.Request, q Request) error {
	wait := content.Even(r.Context())
	b, err := f.Store.OpenIn(r.Context(), q.Repository, q.Digest)
	if err != nil {
		wait()
		return err
	}
	defer b.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", q.Digest.String())
	return content.Serve(w, r, b)
}

// deleteBlob answers end-10.
func (f *Face) deleteBlob(w http.ResponseWriter, r *http.Request, q Request) error {
	wait := content.Even(r.Context())
	err := f.Store.ReleaseIn(r.Context(), q.Repository, q.Digest, auth.From(r.Context()).Name)
	var used *cas.ReferencedError
	if errors.As(err, &used) {
		// The spec has no conflict; 405 is its "not possible here".
		return &Error{
			Status:  http.StatusMethodNotAllowed,
			Allow:   "GET, HEAD",
			Entries: []Entry{{Code: Unsupported, Message: "the manifest " + used.By + " needs the blob: delete that first", Detail: map[string]string{"manifest": used.By}}},
		}
	}
	if err != nil {
		wait()
		return err
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}
