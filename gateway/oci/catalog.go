package oci

import (
	"context"
	"iter"
	"net/http"

	"artifactstore/gateway/auth"
)

// listCatalog answers /v2/_catalog: the repositories that the caller may read. No link
// to the next page names another.
func (f *Face) listCatalog(w http.ResponseWriter, r *http.Request, q Request) error {
	names, more, err := page(f.readable(r.Context(), q.Page.Last), q.Page.limit(), named)
	if err != nil {
		return err
	}
	if more {
		linkNext(w, "/v2/_catalog", nil, q.Page.limit(), names[len(names)-1])
	}
	return answerJSON(w, http.StatusOK, "application/json", map[string][]string{"repositories": names})
}

// readable yields the repositories after a name that a request's principal may read.
func (f *Face) readable(ctx context.Context, after string) iter.Seq2[string, error] {
	who := auth.From(ctx)
	return func(yield func(string, error) bool) {
		for more := true; more; {
			more = false
			for name, err := range f.Store.Repositories(ctx, after) {
				if err != nil || who.May(auth.Pull, auth.Resource(name)) {
					if !yield(name, err) {
						return
					}
					continue
				}
				next, ok := who.NextResource(auth.Pull, name)
				if !ok {
					return
				}
				if next != name {
					after, more = auth.Before(next), true
					break
				}
			}
		}
	}
}
