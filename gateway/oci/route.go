package oci

import "net/http"

// routes are the paths as metrics and the access log name them: what a client
// chose stands in braces.
var routes = map[Operation]string{
	Ping:           "/v2/",
	PullBlob:       "/v2/{name}/blobs/{digest}",
	DeleteBlob:     "/v2/{name}/blobs/{digest}",
	PullManifest:   "/v2/{name}/manifests/{reference}",
	PushManifest:   "/v2/{name}/manifests/{reference}",
	DeleteManifest: "/v2/{name}/manifests/{reference}",
	StartUpload:    "/v2/{name}/blobs/uploads/",
	StatUpload:     "/v2/{name}/blobs/uploads/{session}",
	PatchUpload:    "/v2/{name}/blobs/uploads/{session}",
	CloseUpload:    "/v2/{name}/blobs/uploads/{session}",
	CancelUpload:   "/v2/{name}/blobs/uploads/{session}",
	ListTags:       "/v2/{name}/tags/list",
	ListReferrers:  "/v2/{name}/referrers/{digest}",
	ListCatalog:    "/v2/_catalog",
}

// refused is the route of requests that do not parse.
const refused = "/v2/ (refused)"

// Routes returns all routes.
func Routes() []string {
	all := []string{refused}
	for _, r := range routes {
		all = append(all, r)
	}
	return all
}

// Route returns the route of a request.
func Route(r *http.Request) string {
	q, err := Parse(r.Method, r.URL.EscapedPath(), r.URL.RawQuery)
	if err != nil {
		return refused
	}
	return routes[q.Operation]
}
