package oci

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/gateway/content"
)

// listTags answers end-8.
func (f *Face) listTags(w http.ResponseWriter, r *http.Request, q Request) error {
	tags, more, err := page(f.Store.Tags(r.Context(), q.Repository, q.Page.Last), q.Page.limit(), named)
	if err != nil {
		return err
	}
	if len(tags) == 0 {
		if err := f.known(r.Context(), q.Repository); err != nil {
			return err
		}
	}
	if more {
		linkNext(w, "/v2/"+q.Repository+"/tags/list", nil, q.Page.limit(), tags[len(tags)-1])
	}
	return answerJSON(w, http.StatusOK, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{q.Repository, tags})
}

// known refuses a repository that shows nothing.
func (f *Face) known(ctx context.Context, repository string) error {
	has, err := f.Store.HasRepository(ctx, repository)
	if err != nil || has {
		return err
	}
	return refuse(http.StatusNotFound, NameUnknown, "there is no such repository here")
}

// listed is an entry of an image index (image-spec descriptor.md).
type listed struct {
	MediaType    string            `json:"mediaType"`
	Digest       digest.Digest     `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// listReferrers answers end-12. A repository or a subject that is not there has
// no referrers, which is no error.
func (f *Face) listReferrers(w http.ResponseWriter, r *http.Request, q Request) error {
	wait := content.Even(r.Context())
	found, more, err := page(f.Store.Referrers(r.Context(), q.Repository, q.Digest, q.ArtifactType, q.Page.Last), q.Page.limit(), annotated)
	wait()
	if err != nil {
		return err
	}
	manifests := []listed{}
	for _, m := range found {
		manifests = append(manifests, describe(m))
	}
	keep := url.Values{}
	if q.ArtifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
		keep.Set("artifactType", q.ArtifactType)
	}
	if more {
		linkNext(w, "/v2/"+q.Repository+"/referrers/"+q.Digest.String(), keep, q.Page.limit(), found[len(found)-1].Version)
	}
	return answerJSON(w, http.StatusOK, mediaTypeIndex, struct {
		SchemaVersion int      `json:"schemaVersion"`
		MediaType     string   `json:"mediaType"`
		Manifests     []listed `json:"manifests"`
	}{2, mediaTypeIndex, manifests})
}

func describe(m cas.Referrer) listed {
	name := m.OCI.Named
	if name.IsZero() {
		name = m.Manifest
	}
	return listed{m.OCI.MediaType, name, m.Size, m.OCI.ArtifactType, m.OCI.Annotations}
}

// pageBytes is about how large a page may become: clients read lists of
// manifests like manifests, and take 4 MiB of them.
const pageBytes = 3 << 20

// page collects at most n entries of a list, fewer where they become too large,
// and says whether there are more.
func page[T any](list iter.Seq2[T, error], n int, size func(T) int) (entries []T, more bool, err error) {
	entries = []T{} // an empty list is [], not null
	if n == 0 {
		return entries, false, nil
	}
	room := pageBytes
	for e, err := range list {
		if err != nil {
			return nil, false, err
		}
		room -= size(e)
		if len(entries) == n || (room < 0 && len(entries) > 0) {
			return entries, true, nil
		}
		entries = append(entries, e)
	}
	return entries, false, nil
}

func named(s string) int { return len(s) }

// annotated is about how many bytes a referrer takes in a list.
func annotated(m cas.Referrer) int {
	n := 512
	for key, value := range m.OCI.Annotations {
		n += len(key) + len(value) + 6
	}
	return n
}
