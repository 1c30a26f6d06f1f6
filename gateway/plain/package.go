package plain

import (
	"encoding/json"
	"net/http"
	"time"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/gateway/auth"
)

// Package serves all that is below /v1/packages/.
func (f *Face) Package(w http.ResponseWriter, r *http.Request) error {
	p, err := parsePackagePath(r.URL.EscapedPath())
	if err != nil {
		return err
	}
	if err := require(r, p); err != nil {
		return err
	}
	switch p.resource {
	case aFile:
		return f.file(w, r, p)
	case aHold:
		return f.hold(w, r, p)
	case aSeal:
		return f.seal(w, r, p.key)
	case aManifest:
		return f.manifest(w, r, p.key)
	case anArchive:
		return f.archive(w, r, p.key)
	}
	switch r.Method {
	case http.MethodPut:
		return f.createPackage(w, r, p)
	case http.MethodDelete:
		return f.deletePackage(w, r, p.key)
	case http.MethodGet, http.MethodHead:
		return f.showPackage(w, r, p.key)
	}
	return methodNotAllowed(r, "GET, HEAD, PUT, DELETE")
}

func (f *Face) createPackage(w http.ResponseWriter, r *http.Request, at packagePath) error {
	force, err := parseForce(r.URL.RawQuery)
	if err != nil {
		return err
	}
	text, err := readBody(w, r)
	if err != nil {
		return err
	}
	class, labels, err := parsePackage(text)
	if err != nil {
		return err
	}
	who := auth.From(r.Context())
	p, created, err := f.Store.CreatePackage(r.Context(), at.key, cas.PackageOptions{
		Principal: who.Name, RetentionClass: class, Labels: labels, Shorten: force && who.May(auth.Admin, at.on()),
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	w.Header().Set("Location", at.escape())
	if !who.May(auth.Pull, at.on()) { // what it holds is for those who may read it
		w.Header().Set("Cache-Control", "no-cache")
		return answerJSON(w, status, f.head(p))
	}
	return f.answerPackage(w, r, status, p, page{limit: maxPage})
}

func (f *Face) deletePackage(w http.ResponseWriter, r *http.Request, k cas.PackageKey) error {
	if _, err := parseQuery(r.URL.RawQuery); err != nil {
		return err
	}
	if err := f.Store.DeletePackage(r.Context(), k, auth.From(r.Context()).Name); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (f *Face) showPackage(w http.ResponseWriter, r *http.Request, k cas.PackageKey) error {
	part, err := parsePage(r.URL.RawQuery)
	if err != nil {
		return err
	}
	p, err := f.Store.Package(r.Context(), k)
	if err != nil {
		return err
	}
	return f.answerPackage(w, r, http.StatusOK, p, part)
}

// packageHead shows a package without its files.
type packageHead struct {
	Producer       string            `json:"producer"`
	Name           string            `json:"name"`
	Version        string            `json:"version"`
	Format         string            `json:"format"`
	State          string            `json:"state"`
	RetentionClass string            `json:"retention_class"`
	Labels         map[string]string `json:"labels"`
	ManifestDigest *digest.Digest    `json:"manifest_digest"` // null while open
	CreatedAt      time.Time         `json:"created_at"`
	ChangedAt      time.Time         `json:"changed_at"`
	ExpiresAt      *time.Time        `json:"expires_at"` // null: kept for ever
}

func (f *Face) head(p cas.Package) packageHead {
	head := packageHead{
		Producer: p.Producer, Name: p.Name, Version: p.Version, Format: string(p.Format),
		State: string(p.State), RetentionClass: p.RetentionClass, Labels: p.Labels,
		CreatedAt: p.CreatedAt, ChangedAt: p.ChangedAt,
	}
	if head.Labels == nil {
		head.Labels = map[string]string{}
	}
	if !p.Manifest.IsZero() {
		head.ManifestDigest = &p.Manifest
	}
	if until := f.Store.Expires(p); until.Before(cas.Forever) {
		head.ExpiresAt = &until
	}
	return head
}

// packageBody shows a package.
type packageBody struct {
	packageHead
	Holds []holdBody `json:"holds"`
	Files []fileBody `json:"files"`
	Next  string     `json:"next,omitempty"` // where the files go on
}

// fileBody shows a file of a package.
type fileBody struct {
	Path       string        `json:"path"`
	Digest     digest.Digest `json:"digest"`
	Digests    digests       `json:"digests"`
	Size       int64         `json:"size"`
	BackendIDs []string      `json:"backend_ids"` // where its bytes are
}

func (f *Face) answerPackage(w http.ResponseWriter, r *http.Request, status int, p cas.Package, part page) error {
	holds, err := f.Store.Holds(r.Context(), p.PackageKey)
	if err != nil {
		return err
	}
	body := packageBody{packageHead: f.head(p), Holds: showHolds(holds), Files: []fileBody{}}
	for file, err := range f.Store.Files(r.Context(), p.PackageKey, part.after) {
		if err != nil {
			return err
		}
		if len(body.Files) == part.limit {
			body.Next = body.Files[part.limit-1].Path
			break
		}
		body.Files = append(body.Files, fileBody{
			Path: file.Path, Digest: file.SHA256, Digests: digests{file.SHA256, file.BLAKE3, file.SHA512},
			Size: file.Size, BackendIDs: file.StoredOn(),
		})
	}
	w.Header().Set("Cache-Control", "no-cache")
	return answerJSON(w, status, body)
}

func answerJSON(w http.ResponseWriter, status int, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
	return nil
}
