package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	ociImage = "application/vnd.oci.image.manifest.v1+json"
	dockerV2 = "application/vnd.docker.distribution.manifest.v2+json"
)

func desc(media string, size int, more string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, media, sha, size, more)
}

func TestParseManifest(t *testing.T) {
	config := desc("application/vnd.oci.image.config.v1+json", 2, "")
	layer := desc("application/vnd.oci.image.layer.v1.tar+gzip", 10, "")
	for name, test := range map[string]struct {
		contentType, body string
		refers            int
		artifactType      string
		subject           string
	}{
		"image":                         {ociImage, `{"schemaVersion":2,"mediaType":"` + ociImage + `","config":` + config + `,"layers":[` + layer + `]}`, 2, "application/vnd.oci.image.config.v1+json", ""},
		"no media type in the body":     {ociImage + "; charset=utf-8", `{"schemaVersion":2,"config":` + config + `,"layers":[]}`, 1, "application/vnd.oci.image.config.v1+json", ""},
		"no Content-Type":               {"", `{"schemaVersion":2,"mediaType":"` + ociImage + `","config":` + config + `}`, 1, "application/vnd.oci.image.config.v1+json", ""},
		"docker":                        {dockerV2, `{"schemaVersion":2,"mediaType":"` + dockerV2 + `","config":` + config + `,"layers":[` + layer + `,` + layer + `]}`, 3, "application/vnd.oci.image.config.v1+json", ""},
		"empty index":                   {mediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`, 0, "", ""},
		"index without list":            {mediaTypeIndex, `{"schemaVersion":2}`, 0, "", ""},
		"index":                         {mediaTypeIndex, `{"schemaVersion":2,"artifactType":"a/b","manifests":[` + desc(ociImage, 5, `,"platform":{"os":"linux"}`) + `]}`, 1, "a/b", ""},
		"subject":                       {ociImage, `{"schemaVersion":2,"artifactType":"a/b","config":` + config + `,"layers":[],"subject":` + desc(ociImage, 5, "") + `,"unknown":[[[]]]}`, 1, "a/b", sha},
		"layers that are elsewhere":     {ociImage, `{"schemaVersion":2,"config":` + config + `,"layers":[` + desc("x/y", 1, `,"urls":["http://example.com"]`) + `,` + desc("application/vnd.oci.image.layer.nondistributable.v1.tar", 1, "") + `]}`, 1, "application/vnd.oci.image.config.v1+json", ""},
		"data in descriptors":           {ociImage, `{"schemaVersion":2,"config":` + desc("x/y", 2, `,"data":"e30="`) + `,"layers":null}`, 1, "x/y", ""},
		"names that differ in case":     {ociImage, `{"schemaVersion":2,"Config":5,"config":` + config + `,"LAYERS":"x","layers":[]}`, 1, "application/vnd.oci.image.config.v1+json", ""},
		"subject and annotations: null": {ociImage, `{"schemaVersion":2,"config":` + config + `,"subject":null,"annotations":null}`, 1, "application/vnd.oci.image.config.v1+json", ""},
	} {
		m, err := ParseManifest(test.contentType, []byte(test.body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(m.Refers) != test.refers || m.ArtifactType != test.artifactType || m.Subject != test.subject {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func TestParseManifestRefuses(t *testing.T) {
	config := desc("x/y", 2, "")
	image := func(rest string) string { return `{"schemaVersion":2,"config":` + config + rest + `}` }
	for name, test := range map[string][2]string{
		"nothing":                  {ociImage, ``},
		"no JSON":                  {ociImage, `hello`},
		"cut off":                  {ociImage, `{"schemaVersion":2`},
		"a list":                   {ociImage, `[]`},
		"null":                     {ociImage, `null`},
		"something behind":         {ociImage, image("") + ` {}`},
		"not UTF-8":                {ociImage, image(",\"x\":\"\xff\"")},
		"a member twice":           {ociImage, image(`,"layers":[],"layers":[]`)},
		"a member twice, deep":     {ociImage, image(`,"annotations":{"a":"b","a":"c"}`)},
		"deep":                     {ociImage, image(`,"x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000))},
		"no version":               {ociImage, `{"config":` + config + `}`},
		"version 1":                {ociImage, `{"schemaVersion":1,"config":` + config + `}`},
		"version as text":          {ociImage, `{"schemaVersion":"2","config":` + config + `}`},
		"another media type":       {dockerV2, `{"schemaVersion":2,"mediaType":"` + ociImage + `","config":` + config + `}`},
		"no media type at all":     {"", image("")},
		"unknown media type":       {"application/json", image("")},
		"docker schema 1":          {"application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1}`},
		"media type is a number":   {ociImage, image(`,"mediaType":5`)},
		"no config":                {ociImage, `{"schemaVersion":2,"layers":[]}`},
		"config is null":           {ociImage, `{"schemaVersion":2,"config":null}`},
		"layers is an object":      {ociImage, image(`,"layers":{}`)},
		"a layer is a text":        {ociImage, image(`,"layers":["x"]`)},
		"a layer without digest":   {ociImage, image(`,"layers":[{"mediaType":"x/y","size":1}]`)},
		"a layer with a bad one":   {ociImage, image(`,"layers":[{"mediaType":"x/y","size":1,"digest":"sha256:x"}]`)},
		"a layer without size":     {ociImage, image(`,"layers":[{"mediaType":"x/y","digest":"` + sha + `"}]`)},
		"a layer of negative size": {ociImage, image(`,"layers":[` + desc("x/y", -1, "") + `]`)},
		"a layer of size 1.5":      {ociImage, image(`,"layers":[{"mediaType":"x/y","size":1.5,"digest":"` + sha + `"}]`)},
		"annotations of numbers":   {ociImage, image(`,"annotations":{"a":1}`)},
		"artifactType a list":      {ociImage, image(`,"artifactType":[]`)},
		"a bad subject":            {ociImage, image(`,"subject":{}`)},
		"a long artifactType":      {ociImage, image(`,"artifactType":"` + strings.Repeat("x", 300) + `"`)},
	} {
		_, err := ParseManifest(test[0], []byte(test[1]))
		var e *Error
		if !errors.As(err, &e) || e.Status != 400 || e.Entries[0].Code != ManifestInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add(ociImage, []byte(`{"schemaVersion":2,"config":`+desc("x/y", 2, "")+`,"layers":[`+desc("x/y", 1, "")+`],"subject":`+desc("x/y", 1, "")+`,"annotations":{"a":"b"}}`))
	f.Add(mediaTypeIndex, []byte(`{"schemaVersion":2,"manifests":[`+desc(ociImage, 3, "")+`]}`))
	f.Add("", []byte(`{"mediaType":"x"}`))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		m, err := ParseManifest(contentType, body)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Status != 400 {
				t.Fatalf("refused without a 400: %v", err)
			}
			return
		}
		if !json.Valid(body) {
			t.Fatal("taken, though it is not JSON")
		}
		for _, d := range m.Refers {
			if d.Digest.IsZero() || d.Size < 0 {
				t.Errorf("descriptor %+v", d)
			}
		}
	})
}
