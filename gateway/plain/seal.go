package plain

import (
	"io"
	"mime"
	"net/http"
	"strings"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/cas/manifest"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/content"
	"artifactstore/gateway/problem"
)

func (f *Face) seal(w http.ResponseWriter, r *http.Request, k cas.PackageKey) error {
	if r.Method != http.MethodPost {
		return methodNotAllowed(r, "POST")
	}
	if _, err := parseQuery(r.URL.RawQuery); err != nil {
		return err
	}
	d, err := f.Store.Seal(r.Context(), k, auth.From(r.Context()).Name)
	if err != nil {
		return err
	}
	return answerJSON(w, http.StatusOK, struct {
		ManifestDigest digest.Digest `json:"manifest_digest"`
	}{d})
}

// manifest sends the manifest of a sealed package, byte for byte the blob that its
// digest names, or what it says in JSON where a client would rather have that.
func (f *Face) manifest(w http.ResponseWriter, r *http.Request, k cas.PackageKey) error {
	if err := onlyRead(r); err != nil {
		return err
	}
	if _, err := parseQuery(r.URL.RawQuery); err != nil {
		return err
	}
	p, err := f.Store.Package(r.Context(), k)
	if err != nil {
		return err
	}
	if p.Manifest.IsZero() {
		return problem.New(http.StatusConflict, "package_open", "the package is not sealed: it has no manifest yet")
	}
	blob, err := f.Store.Open(r.Context(), p.Manifest)
	if err != nil {
		return err
	}
	defer blob.Close()
	h := w.Header()
	h.Set("Vary", "Accept")
	h.Set("Cache-Control", "no-cache")
	if wantsJSON(r.Header.Values("Accept")) {
		return manifestJSON(w, blob)
	}
	h.Set("Content-Type", manifest.MediaType)
	h.Set("Content-Disposition", disposition(k.Name+"-"+k.Version+".cbor"))
	h.Set("Repr-Digest", reprDigest(blob.SHA256))
	return content.Serve(w, r, blob)
}

func manifestJSON(w http.ResponseWriter, blob *cas.Blob) error {
	text, err := io.ReadAll(blob)
	if err != nil {
		return err
	}
	m, err := manifest.Decode(text)
	if err != nil {
		return err
	}
	if text, err = m.JSON(); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Write(append(text, '\n'))
	return nil
}

// wantsJSON reports whether the first form of a manifest that an Accept field
// names is JSON.
func wantsJSON(accept []string) bool {
	for _, item := range strings.Split(strings.Join(accept, ","), ",") {
		switch media, _, _ := mime.ParseMediaType(item); media {
		case "application/json":
			return true
		case manifest.MediaType, "application/cbor":
			return false
		}
	}
	return false
}

func onlyRead(r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return methodNotAllowed(r, "GET, HEAD")
	}
	return nil
}
