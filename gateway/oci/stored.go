package oci

import (
	"encoding/json"

	"artifactstore/cas"
)

// StoredManifest reads a manifest that is found among blobs, without the Content-Type
// that it was pushed with. Where it does not say its media type itself, which only
// OCI allows, its members do. It is pure.
func StoredManifest(body []byte) (cas.Manifest, error) {
	field := ""
	var top map[string]json.RawMessage
	if json.Unmarshal(body, &top) == nil && top["mediaType"] == nil {
		switch {
		case top["config"] != nil && top["layers"] != nil:
			field = mediaTypeImage
		case top["manifests"] != nil:
			field = mediaTypeIndex
		}
	}
	m, err := ParseManifest(field, body)
	if err != nil {
		return cas.Manifest{}, err
	}
	return pushed(m, body, Request{}), nil
}

// IsRepository reports whether a text is the name of a repository.
func IsRepository(name string) bool { return checkName(name) == nil }
