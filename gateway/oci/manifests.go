package oci

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/content"
)

// pullManifest answers end-3: the exact bytes, under the media type they were
// pushed with, whatever the request would like to accept.
func (f *Face) pullManifest(w http.ResponseWriter, r *http.Request, q Request) error {
	var m cas.OpenManifest
	var err error
	wait := content.Even(r.Context())
	if q.Tag != "" {
		m, err = f.Store.ManifestByTag(r.Context(), q.Repository, q.Tag)
	} else {
		m, err = f.Store.ManifestByDigest(r.Context(), q.Repository, q.Digest)
	}
	if err != nil {
		wait()
		return err
	}
	defer m.Close()
	h := w.Header()
	h.Set("Content-Type", m.MediaType)
	h.Set("Docker-Content-Digest", m.Name.String())
	if q.Tag != "" {
		h.Set("Cache-Control", "no-cache") // a tag moves
	}
	err = content.Serve(w, r, m.Blob)
	if errors.Is(err, cas.ErrBlobUnavailable) { // lost, as it turns out: pushed again, it heals
		return fmt.Errorf("%w: %w", cas.ErrManifestUnknown, err)
	}
	return err
}

// pushManifest answers end-7.
func (f *Face) pushManifest(w http.ResponseWriter, r *http.Request, q Request) error {
	body, err := f.manifestBody(w, r)
	if err != nil {
		return err
	}
	m, err := ParseManifest(r.Header.Get("Content-Type"), body)
	if err != nil {
		return err
	}
	o := f.options(r, q)
	if !q.Digest.IsZero() {
		o.Want = []digest.Digest{q.Digest}
	}
	wait := content.Even(r.Context())
	stored, err := f.Store.PushManifest(r.Context(), pushed(m, body, q), o)
	if err != nil {
		wait()
		return err
	}
	name := stored.SHA256
	if !q.Digest.IsZero() {
		name = q.Digest
	}
	if m.Subject != "" {
		w.Header().Set("OCI-Subject", m.Subject)
	}
	for _, t := range q.Tags {
		w.Header().Add("OCI-Tag", t)
	}
	return created(w, "/v2/"+q.Repository+"/manifests/"+name.String(), name)
}

func (f *Face) manifestBody(w http.ResponseWriter, r *http.Request) (body []byte, err error) {
	tooLarge := r.ContentLength > f.ManifestBytes
	if !tooLarge {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, f.ManifestBytes))
		var large *http.MaxBytesError
		tooLarge = errors.As(err, &large)
	}
	switch {
	case tooLarge:
		return nil, refuse(http.StatusRequestEntityTooLarge, SizeInvalid, "a manifest may have %d bytes at most", f.ManifestBytes)
	case err != nil:
		return nil, &cas.SourceError{Err: err}
	}
	return body, nil
}

// pushed is a parsed manifest in the store's terms.
func pushed(m Manifest, body []byte, q Request) cas.Manifest {
	p := cas.Manifest{
		Body: body,
		OCI:  cas.OCI{MediaType: m.MediaType, ArtifactType: m.ArtifactType, Subject: m.Subject, Annotations: m.Annotations},
		Tags: q.Tags,
	}
	if q.Tag != "" {
		p.Tags = append(p.Tags, q.Tag)
	}
	if q.Digest.Algorithm() != digest.SHA256 {
		p.OCI.Named = q.Digest
	}
	for _, d := range m.Refers {
		p.Refers = append(p.Refers, cas.Reference{Digest: d.Digest, Size: d.Size, IsManifest: d.IsManifest})
	}
	return p
}

// deleteManifest answers end-9. A tag goes alone, a digest with all its tags.
func (f *Face) deleteManifest(w http.ResponseWriter, r *http.Request, q Request) (err error) {
	who := auth.From(r.Context()).Name
	if q.Tag != "" {
		err = f.Store.DeleteTag(r.Context(), q.Repository, q.Tag, who)
	} else {
		err = f.Store.DeleteManifest(r.Context(), q.Repository, q.Digest, who)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}
