package oci

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"artifactstore/cas/digest"
)

// Operation is what a request asks for.
type Operation uint8

// The operations, with the endpoint's number in the spec.
const (
	Ping           Operation = iota + 1 // end-1
	PullBlob                            // end-2, GET and HEAD
	PullManifest                        // end-3, GET and HEAD
	StartUpload                         // end-4, end-11
	PatchUpload                         // end-5
	CloseUpload                         // end-6
	PushManifest                        // end-7
	ListTags                            // end-8
	DeleteManifest                      // end-9
	DeleteBlob                          // end-10
	ListReferrers                       // end-12
	StatUpload                          // end-13
	CancelUpload                        // end-14
	ListCatalog                         // outside the spec, as crane, oras and regctl use it
)

// Request is a request of the protocol. Which fields are set follows from the
// operation; the others are zero.
type Request struct {
	Operation  Operation
	Repository string
	Digest     digest.Digest // of the path: blob, referrers' subject, or manifest
	Tag        string        // of the path: a manifest not named by digest
	Session    string        // of the path: an upload

	Want         digest.Digest    // ?digest=: what an upload must have
	Algorithm    digest.Algorithm // ?digest-algorithm=: what an upload will be named by
	Mount        digest.Digest    // ?mount=
	From         string           // ?from=: the repository to mount from, or ""
	Tags         []string         // ?tag=: more names of a manifest
	Page         Page             // ?n= and ?last=
	ArtifactType string           // ?artifactType=
}

// Limits of a name and of a request.
const (
	maxName = 255 // bytes; clients put a host before it
	maxTags = 64  // in one manifest push
)

var (
	nameForm = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagForm  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// Parse reads a request's method, path as it was sent, and query. It is pure.
// Unknown query parameters are ignored, as the spec asks.
func Parse(method, escapedPath, rawQuery string) (Request, error) {
	segments, err := split(escapedPath)
	if err != nil {
		return Request{}, err
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return Request{}, refuse(http.StatusBadRequest, Unsupported, "the query is not well formed")
	}
	return route(method, segments, query)
}

// split returns the segments below /v2/, each decoded once. A separator that was
// hidden in an escape stays within its segment, where no name or reference may
// have one: a resource has one spelling.
func split(escapedPath string) ([]string, error) {
	rest, ok := strings.CutPrefix(escapedPath, "/v2")
	if !ok || (rest != "" && rest[0] != '/') {
		return nil, refuse(http.StatusNotFound, Unsupported, "nothing is served here")
	}
	segments := strings.Split(strings.TrimPrefix(rest, "/"), "/")
	for i, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, NameInvalid, "the path is not well formed")
		}
		segments[i] = decoded
	}
	return segments, nil
}

// route matches from the right, since a repository's name may have segments
// called blobs, manifests, tags, uploads or referrers.
func route(method string, s []string, query url.Values) (Request, error) {
	n := len(s)
	at := func(i int) string { // the i-th segment from the right, from 1
		if i > n {
			return ""
		}
		return s[n-i]
	}
	switch {
	case n == 1 && s[0] == "":
		return ping(method)
	case n == 1 && s[0] == "_catalog":
		return catalog(method, query)
	case at(1) == "list" && at(2) == "tags":
		return tags(method, s[:n-2], query)
	case at(2) == "manifests":
		return manifest(method, s[:n-2], at(1), query)
	case at(2) == "referrers":
		return referrers(method, s[:n-2], at(1), query)
	case at(1) == "" && at(2) == "uploads" && at(3) == "blobs":
		return start(method, s[:n-3], query)
	case at(1) == "uploads" && at(2) == "blobs":
		return start(method, s[:n-2], query)
	case at(2) == "uploads" && at(3) == "blobs":
		return session(method, s[:n-3], at(1), query)
	case at(2) == "blobs":
		return blob(method, s[:n-2], at(1))
	}
	return Request{}, refuse(http.StatusNotFound, Unsupported, "nothing is served here")
}

func ping(method string) (Request, error) {
	return Request{Operation: Ping}, only(method, http.MethodGet, http.MethodHead)
}

func catalog(method string, query url.Values) (r Request, err error) {
	if err := only(method, http.MethodGet, http.MethodHead); err != nil {
		return r, err
	}
	r.Operation = ListCatalog
	r.Page, err = parsePage(query)
	if err == nil && r.Page.Last != "" {
		err = checkName(r.Page.Last)
	}
	return r, err
}

func tags(method string, name []string, query url.Values) (r Request, err error) {
	if err := only(method, http.MethodGet, http.MethodHead); err != nil {
		return r, err
	}
	r.Operation = ListTags
	if r.Repository, err = parseName(name); err != nil {
		return r, err
	}
	r.Page, err = parsePage(query)
	return r, err
}

func manifest(method string, name []string, reference string, query url.Values) (r Request, err error) {
	op := map[string]Operation{
		http.MethodGet: PullManifest, http.MethodHead: PullManifest,
		http.MethodPut: PushManifest, http.MethodDelete: DeleteManifest,
	}[method]
	if op == 0 {
		return r, notAllowed(http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete)
	}
	r.Operation = op
	if r.Repository, err = parseName(name); err != nil {
		return r, err
	}
	if r.Digest, r.Tag, err = parseReference(reference); err != nil {
		return r, err
	}
	if op == PushManifest {
		r.Tags, err = parseTags(query["tag"])
	}
	return r, err
}

func referrers(method string, name []string, d string, query url.Values) (r Request, err error) {
	if err := only(method, http.MethodGet, http.MethodHead); err != nil {
		return r, err
	}
	r.Operation = ListReferrers
	if r.Repository, err = parseName(name); err != nil {
		return r, err
	}
	if r.Digest, err = parseDigest(d); err != nil {
		return r, err
	}
	if r.ArtifactType, err = one(query, "artifactType"); err != nil {
		return r, err
	}
	r.Page, err = parsePage(query)
	if err == nil && r.Page.Last != "" {
		_, err = parseDigest(r.Page.Last)
	}
	return r, err
}

func start(method string, name []string, query url.Values) (r Request, err error) {
	if err := only(method, http.MethodPost); err != nil {
		return r, err
	}
	r.Operation = StartUpload
	if r.Repository, err = parseName(name); err != nil {
		return r, err
	}
	if r.Want, err = digestOf(query, "digest"); err != nil {
		return r, err
	}
	if r.Mount, err = digestOf(query, "mount"); err != nil {
		return r, err
	}
	if r.Algorithm, err = algorithmOf(query); err != nil {
		return r, err
	}
	if r.From, err = one(query, "from"); err == nil && r.From != "" {
		err = checkName(r.From)
	}
	return r, err
}

func session(method string, name []string, id string, query url.Values) (r Request, err error) {
	op := map[string]Operation{
		http.MethodGet: StatUpload, http.MethodHead: StatUpload, http.MethodPatch: PatchUpload,
		http.MethodPut: CloseUpload, http.MethodDelete: CancelUpload,
	}[method]
	if op == 0 {
		return r, notAllowed(http.MethodGet, http.MethodHead, http.MethodPatch, http.MethodPut, http.MethodDelete)
	}
	r.Operation = op
	if r.Repository, err = parseName(name); err != nil {
		return r, err
	}
	if r.Session = id; !sessionForm.MatchString(id) {
		return r, refuse(http.StatusNotFound, BlobUploadUnknown, "there is no such upload")
	}
	if op != CloseUpload {
		return r, nil
	}
	if r.Want, err = digestOf(query, "digest"); err == nil && r.Want.IsZero() {
		err = refuse(http.StatusBadRequest, DigestInvalid, "the request that closes an upload names its digest: PUT …?digest=sha256:…")
	}
	return r, err
}

// sessionForm is the form of an upload's id.
var sessionForm = regexp.MustCompile(`^[0-9a-f]{32}$`)

func blob(method string, name []string, d string) (r Request, err error) {
	op := map[string]Operation{http.MethodGet: PullBlob, http.MethodHead: PullBlob, http.MethodDelete: DeleteBlob}[method]
	if op == 0 {
		return r, notAllowed(http.MethodGet, http.MethodHead, http.MethodDelete)
	}
	r.Operation = op
	if r.Repository, err = parseName(name); err != nil {
		return r, err
	}
	r.Digest, err = parseDigest(d)
	return r, err
}

func only(method string, allowed ...string) error {
	for _, a := range allowed {
		if method == a {
			return nil
		}
	}
	return notAllowed(allowed...)
}
