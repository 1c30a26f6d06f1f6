package oci

import (
	"testing"

	"artifactstore/cas/digest"
)

// A manifest without a media type is one of OCI, and which one its members say;
// what is no manifest is none.
func TestStoredManifest(t *testing.T) {
	config := desc("x/y", 2, "")
	for body, want := range map[string]string{
		`{"schemaVersion":2,"mediaType":"` + dockerV2 + `","config":` + config + `}`: dockerV2,
		`{"schemaVersion":2,"config":` + config + `,"layers":[]}`:                    ociImage,
		`{"schemaVersion":2,"manifests":[]}`:                                         mediaTypeIndex,
		`{"schemaVersion":2,"config":` + config + `}`:                                "",
		`{"schemaVersion":1,"manifests":[]}`:                                         "",
		`{"manifests":[]}`:                                                           "",
		`{}`:                                                                         "",
		`{"schemaVersion":2,"manifests":[],"manifests":[]}`:                          "",
		` [`: "",
	} {
		m, err := StoredManifest([]byte(body))
		if (err == nil) != (want != "") || m.OCI.MediaType != want {
			t.Errorf("%s: %+v, %v", body, m.OCI, err)
		}
		if err == nil && (string(m.Body) != body || len(m.Tags) != 0 || m.OCI.Named != (digest.Digest{})) {
			t.Errorf("%s: %+v", body, m)
		}
	}
}

func TestIsRepository(t *testing.T) {
	for name, want := range map[string]bool{"recovered": true, "team/app": true, "": false, "UPPER": false, "a//b": false, "/a": false} {
		if IsRepository(name) != want {
			t.Errorf("%q: want %v", name, want)
		}
	}
}
