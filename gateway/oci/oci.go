// Package oci is the OCI distribution face: what docker, podman, skopeo, oras,
// crane, helm and containerd speak (OCI distribution spec 1.1 and the unreleased
// additions of its main branch).
//
// A request is parsed into a [Request] by a pure function, the store is called,
// and the answer written. A handler returns an error; package gateway answers it
// in one place, with [Problem] and in the JSON of the spec.
//
// Nothing is ever converted or compressed: a manifest and a blob come back as
// the exact bytes that were pushed, a manifest with the media type it was pushed
// with.
package oci
