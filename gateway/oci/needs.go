package oci

import (
	"context"

	"artifactstore/gateway/auth"
)

// needs says what each operation takes, of its repository. A push that would move a
// tag takes overwrite besides, and a mount pull on what it mounts from.
var needs = map[Operation]auth.Verb{
	PullBlob:       auth.Pull,
	PullManifest:   auth.Pull,
	ListTags:       auth.Pull,
	ListReferrers:  auth.Pull,
	StartUpload:    auth.Push,
	StatUpload:     auth.Push,
	PatchUpload:    auth.Push,
	CloseUpload:    auth.Push,
	CancelUpload:   auth.Push,
	PushManifest:   auth.Push,
	DeleteManifest: auth.Delete,
	DeleteBlob:     auth.Delete,
}

// require decides whether a request's principal may do what it asks for. Of an
// operation that stands nowhere here nothing is decided, and so nothing is sent.
func require(ctx context.Context, q Request) error {
	switch q.Operation {
	case Ping:
		return auth.RequireName(ctx)
	case ListCatalog:
		return auth.RequireSomewhere(ctx, auth.Pull)
	}
	if verb, ok := needs[q.Operation]; ok {
		return auth.Require(ctx, verb, auth.Resource(q.Repository))
	}
	return nil
}
