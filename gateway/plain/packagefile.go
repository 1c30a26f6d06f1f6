package plain

import (
	"mime"
	"net/http"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/content"
	"artifactstore/gateway/problem"
)

// file serves the files of a package.
func (f *Face) file(w http.ResponseWriter, r *http.Request, p packagePath) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return f.openFile(w, r, p)
	case http.MethodPut:
		return f.putFile(w, r, p)
	case http.MethodDelete:
		return f.removeFile(w, r, p)
	}
	return methodNotAllowed(r, "GET, HEAD, PUT, DELETE")
}

// openFile sends a file. A path is not a digest: what is there may be another file
// tomorrow, so whoever keeps a copy asks again, by its entity tag.
func (f *Face) openFile(w http.ResponseWriter, r *http.Request, p packagePath) error {
	if _, err := parseQuery(r.URL.RawQuery); err != nil {
		return err
	}
	blob, err := f.Store.OpenFile(r.Context(), p.key, p.file)
	if err != nil {
		return err
	}
	defer blob.Close()
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", disposition(baseName(p.file)))
	h.Set("Cache-Control", "no-cache")
	h.Set("Repr-Digest", reprDigest(blob.SHA256))
	return content.Serve(w, r, blob)
}

// putFile takes a file's bytes, or the digest of a blob that has them.
func (f *Face) putFile(w http.ResponseWriter, r *http.Request, p packagePath) error {
	u, err := parseUpload(r.Header, r.URL.RawQuery, r.ContentLength, r.Trailer)
	if err != nil {
		return err
	}
	if u.producer != "" {
		return problem.New(http.StatusBadRequest, "parameter_unknown", "the path says who the producer is: no query parameter but retention_class is known here")
	}
	createOnly := !auth.From(r.Context()).May(auth.Overwrite, p.on())
	var stored cas.Stored
	if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media == referenceType {
		stored, err = f.attach(w, r, p, cas.PutOptions{
			Principal: auth.From(r.Context()).Name, RetentionClass: u.class, CreateOnly: createOnly,
		})
	} else if err = f.limit(w, r, u); err == nil {
		o := f.options(r, u)
		o.CreateOnly = createOnly
		stored, err = f.Store.PutFile(r.Context(), p.key, p.file, r.Body, o)
	}
	if err != nil {
		return err
	}
	return answerFile(w, p, stored)
}

// attach makes a file of a blob that is there already.
func (f *Face) attach(w http.ResponseWriter, r *http.Request, p packagePath, o cas.PutOptions) (cas.Stored, error) {
	text, err := readBody(w, r)
	if err != nil {
		return cas.Stored{}, err
	}
	d, err := parseReference(text)
	if err != nil {
		return cas.Stored{}, err
	}
	if err := content.Reach(r.Context(), f.Store, d); err != nil {
		return cas.Stored{}, err
	}
	return f.Store.AttachFile(r.Context(), p.key, p.file, d, o)
}

func (f *Face) removeFile(w http.ResponseWriter, r *http.Request, p packagePath) error {
	if _, err := parseQuery(r.URL.RawQuery); err != nil {
		return err
	}
	if err := f.Store.RemoveFile(r.Context(), p.key, p.file, auth.From(r.Context()).Name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// storedFile answers who brought a file.
type storedFile struct {
	Path      string        `json:"path"`
	Digest    digest.Digest `json:"digest"`
	Digests   digests       `json:"digests"`
	Size      int64         `json:"size"`
	Existed   bool          `json:"existed"` // the path had these bytes
	BackendID string        `json:"backend_id"`
}

func answerFile(w http.ResponseWriter, p packagePath, s cas.Stored) error {
	status := http.StatusCreated
	if s.Existed {
		status = http.StatusOK
	}
	h := w.Header()
	h.Set("Location", p.escape())
	h.Set("ETag", content.ETag(s.SHA256))
	h.Set("Repr-Digest", reprDigest(s.SHA256))
	return answerJSON(w, status, storedFile{
		p.file, s.SHA256, digests{s.SHA256, s.BLAKE3, s.SHA512}, s.Size, s.Existed, s.BackendID,
	})
}
