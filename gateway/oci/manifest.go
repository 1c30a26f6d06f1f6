package oci

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"unicode"

	"artifactstore/cas/digest"
)

// Manifest is what the registry needs to know of a manifest's bytes.
type Manifest struct {
	MediaType    string
	ArtifactType string // of the manifest, or an image's config media type; "" without either
	Subject      string // the digest of the subject as it is written; "" without one
	Annotations  map[string]string
	Refers       []Descriptor // what must be in the repository, in the manifest's order
}

// Descriptor is what a manifest says of something else.
type Descriptor struct {
	MediaType  string
	Digest     digest.Digest
	Size       int64
	IsManifest bool // a manifest of an index, not a blob
}

// form says where a kind of manifest keeps its descriptors.
type form struct{ config, list string }

// forms are the media types taken, with the members of their descriptors
// (image-spec manifest.md, image-index.md; docker's image manifest V2, schema 2;
// the artifact manifest of image-spec 1.1.0-rc2, which some tools still push).
var forms = map[string]form{
	mediaTypeImage: {"config", "layers"},
	"application/vnd.docker.distribution.manifest.v2+json": {"config", "layers"},
	mediaTypeIndex: {"", "manifests"},
	"application/vnd.docker.distribution.manifest.list.v2+json": {"", "manifests"},
	"application/vnd.oci.artifact.manifest.v1+json":             {"", "blobs"},
}

const (
	mediaTypeImage = "application/vnd.oci.image.manifest.v1+json"
	mediaTypeIndex = "application/vnd.oci.image.index.v1+json"
)

// ParseManifest reads a manifest that was pushed with a Content-Type field, which
// may be "" where the manifest says its media type itself. It is pure. Members
// it does not know are nobody's business; the bytes are stored as they are.
func ParseManifest(contentType string, body []byte) (Manifest, error) {
	if err := checkJSON(body); err != nil {
		return Manifest{}, invalid("%v", err)
	}
	top, err := members(body, "the manifest")
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{}
	if m.MediaType, err = mediaType(contentType, top); err != nil {
		return m, err
	}
	f, known := forms[m.MediaType]
	if !known {
		return m, invalid("%.120q is not a media type of a manifest that is taken here", m.MediaType)
	}
	if err := checkVersion(m.MediaType, top); err != nil {
		return m, err
	}
	if m.Refers, err = references(f, top); err != nil {
		return m, err
	}
	if m.Annotations, err = annotations(top["annotations"]); err != nil {
		return m, err
	}
	if m.ArtifactType, err = artifactType(f, top); err != nil {
		return m, err
	}
	m.Subject, err = subject(top["subject"])
	return m, err
}

func invalid(format string, args ...any) error {
	return refuse(http.StatusBadRequest, ManifestInvalid, format, args...)
}

// mediaType returns what the field and the manifest say, which must agree. The
// field's parameters are ignored, as the spec asks.
func mediaType(field string, top map[string]json.RawMessage) (string, error) {
	said, err := text(top["mediaType"], "mediaType")
	if err != nil {
		return "", err
	}
	if field == "" {
		if said == "" {
			return "", invalid("neither Content-Type nor mediaType says what the manifest is")
		}
		return said, nil
	}
	media, _, err := mime.ParseMediaType(field)
	if err != nil && media == "" {
		return "", invalid("Content-Type %.120q is not a media type", field)
	}
	if said != "" && !strings.EqualFold(said, media) {
		return "", invalid("Content-Type is %.120q and the manifest's mediaType %.120q", media, said)
	}
	return media, nil
}

// checkVersion demands schemaVersion 2, except of the artifact manifest, which
// has none.
func checkVersion(media string, top map[string]json.RawMessage) error {
	raw, given := top["schemaVersion"]
	if !given && media == "application/vnd.oci.artifact.manifest.v1+json" {
		return nil
	}
	if string(raw) != "2" {
		return invalid("schemaVersion is %.20q, want 2", raw)
	}
	return nil
}

// references returns the descriptors that must be there: not the subject, which
// may come later, and not layers that are to be fetched elsewhere.
func references(f form, top map[string]json.RawMessage) ([]Descriptor, error) {
	var all []Descriptor
	if raw, given := top[f.config]; f.config != "" && given {
		d, err := descriptor(raw, f.config)
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	} else if f.config != "" {
		return nil, invalid("an image manifest has a config")
	}
	var list []json.RawMessage
	if raw, given := top[f.list]; given {
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, invalid("%s is not a list", f.list)
		}
	}
	for _, raw := range list {
		if elsewhere(raw) {
			continue
		}
		d, err := descriptor(raw, f.list)
		if err != nil {
			return nil, err
		}
		_, known := forms[d.MediaType] // an index may list blobs too, as build caches do
		d.IsManifest = f.list == "manifests" && known
		all = append(all, d)
	}
	return all, nil
}

// elsewhere reports whether a layer is one that registries need not have
// (image-spec layer.md, "Non-Distributable Layers", and docker's foreign ones).
func elsewhere(raw json.RawMessage) bool {
	var d struct {
		MediaType string   `json:"mediaType"`
		URLs      []string `json:"urls"`
	}
	if json.Unmarshal(raw, &d) != nil {
		return false
	}
	return len(d.URLs) > 0 || strings.Contains(d.MediaType, ".nondistributable.") || strings.Contains(d.MediaType, ".foreign.")
}

func descriptor(raw json.RawMessage, where string) (d Descriptor, err error) {
	top, err := members(raw, where)
	if err != nil {
		return d, err
	}
	name, err := text(top["digest"], where+".digest")
	if err != nil {
		return d, err
	}
	if d.Digest, err = digest.Parse(name); err != nil {
		return d, invalid("%s: %v", where, err)
	}
	if d.MediaType, err = text(top["mediaType"], where+".mediaType"); err != nil {
		return d, err
	}
	if err := json.Unmarshal(top["size"], &d.Size); err != nil || d.Size < 0 {
		return d, invalid("%s: a descriptor has a size in bytes", where)
	}
	return d, nil
}

func annotations(raw json.RawMessage) (map[string]string, error) {
	if raw == nil || string(raw) == "null" {
		return nil, nil
	}
	var m map[string]string
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, invalid("annotations are not texts by name")
	}
	if len(m) > maxAnnotations {
		return nil, invalid("%d annotations: %d at most", len(m), maxAnnotations)
	}
	for name, value := range m {
		if strings.ContainsRune(name+value, 0) {
			return nil, invalid("the annotation %.80q has a NUL", name)
		}
	}
	return m, nil
}

// maxAnnotations is far beyond what is in use.
const maxAnnotations = 10_000

// artifactType is what a list of referrers shows and filters by.
func artifactType(f form, top map[string]json.RawMessage) (string, error) {
	t, err := text(top["artifactType"], "artifactType")
	if t != "" || err != nil || f.config == "" {
		return t, err
	}
	config, err := members(top[f.config], f.config)
	if err != nil {
		return "", err
	}
	return text(config["mediaType"], "config.mediaType")
}

func subject(raw json.RawMessage) (string, error) {
	if raw == nil || string(raw) == "null" {
		return "", nil
	}
	d, err := descriptor(raw, "subject")
	return d.Digest.String(), err
}

// members returns the members of an object by their exact names: encoding/json
// would take "Layers" for "layers", and two readers must never see two
// manifests in the same bytes.
func members(raw json.RawMessage, what string) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return nil, invalid("%s is not a JSON object", what)
	}
	return m, nil
}

func text(raw json.RawMessage, what string) (string, error) {
	if raw == nil {
		return "", nil
	}
	var s *string
	if err := json.Unmarshal(raw, &s); err != nil || s == nil {
		return "", invalid("%s is not a text", what)
	}
	if len(*s) > 255 {
		return "", invalid("%s is longer than 255 bytes", what)
	}
	if strings.ContainsFunc(*s, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return "", invalid("%s has characters that cannot be printed", what)
	}
	return *s, nil
}
