package oci

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/content"
	"artifactstore/gateway/limit"
)

// Face serves /v2/ over a store.
type Face struct {
	Store *cas.Store
	// ManifestBytes is the largest manifest taken; at least 4 MiB to be useful to
	// all clients.
	ManifestBytes int64
	// UploadBytes is the largest blob taken, in however many requests, 0 for no
	// limit.
	UploadBytes int64
	// Sessions bounds the uploads that one principal has open; nil is no bound.
	Sessions *limit.Sessions
}

// Serve answers one request.
func (f *Face) Serve(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	q, err := Parse(r.Method, r.URL.EscapedPath(), r.URL.RawQuery)
	if err != nil {
		return err
	}
	if err := require(r.Context(), q); err != nil {
		return err
	}
	switch q.Operation {
	case Ping:
		return answerJSON(w, http.StatusOK, "application/json", struct{}{})
	case PullBlob:
		return f.pullBlob(w, r, q)
	case DeleteBlob:
		return f.deleteBlob(w, r, q)
	case StartUpload:
		return f.startUpload(w, r, q)
	case StatUpload:
		return f.statUpload(w, r, q)
	case PatchUpload:
		return f.patchUpload(w, r, q)
	case CloseUpload:
		return f.closeUpload(w, r, q)
	case CancelUpload:
		return f.cancelUpload(w, r, q)
	case PullManifest:
		return f.pullManifest(w, r, q)
	case PushManifest:
		return f.pushManifest(w, r, q)
	case DeleteManifest:
		return f.deleteManifest(w, r, q)
	case ListTags:
		return f.listTags(w, r, q)
	case ListReferrers:
		return f.listReferrers(w, r, q)
	case ListCatalog:
		return f.listCatalog(w, r, q)
	}
	return refuse(http.StatusNotFound, Unsupported, "nothing is served here")
}

// options are what the store has to know of a request that brings something.
func (f *Face) options(r *http.Request, q Request) cas.PutOptions {
	who := auth.From(r.Context())
	return cas.PutOptions{
		Principal:  who.Name,
		Repository: q.Repository,
		Producer:   producer(q.Repository),
		Size:       -1,
		CreateOnly: !who.May(auth.Overwrite, auth.Resource(q.Repository)),
		Knows:      content.Knows(r.Context(), f.Store),
	}
}

// producer is the first segment of a repository's name.
func producer(repository string) string {
	for i := range len(repository) {
		if repository[i] == '/' {
			return repository[:i]
		}
	}
	return repository
}

// created answers that something is there, at a path relative to this server: a
// proxy in front may know the server by another name.
func created(w http.ResponseWriter, path string, d digest.Digest) error {
	h := w.Header()
	h.Set("Location", path)
	h.Set("Docker-Content-Digest", d.String())
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusCreated)
	return nil
}

func blobPath(repository string, d digest.Digest) string {
	return "/v2/" + repository + "/blobs/" + d.String()
}

func answerJSON(w http.ResponseWriter, status int, mediaType string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	w.Write(text)
	return nil
}

// linkNext tells where a list goes on (RFC 8288), with the parameters of the
// request that are still to hold.
func linkNext(w http.ResponseWriter, path string, keep url.Values, n int, last string) {
	query := url.Values{}
	for name, v := range keep {
		query[name] = v
	}
	query.Set("n", strconv.Itoa(n))
	query.Set("last", last)
	w.Header().Set("Link", "<"+path+"?"+query.Encode()+`>; rel="next"`)
}
