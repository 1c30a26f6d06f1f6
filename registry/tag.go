package registry

import "artifactstore/cas/digest"

// The event types of tags.
const (
	TypeTagSet     = "v1.tag.set"
	TypeTagRemoved = "v1.tag.removed"
)

// TagSet makes a tag of a repository name a manifest, whatever it named before; a new
// one only where it named no other. The manifest must be a package of the repository.
type TagSet struct {
	Repository string        `json:"repository" cbor:"repository"`
	Tag        string        `json:"tag" cbor:"tag"`
	Manifest   digest.Digest `json:"manifest" cbor:"manifest"`             // primary
	Named      digest.Digest `json:"named,omitzero" cbor:"named,omitzero"` // the digest it was pushed by, where not the primary one
	New        bool          `json:"new,omitempty" cbor:"new,omitempty"`
}

// TagRemoved removes a tag, which must exist. The manifest stays.
type TagRemoved struct {
	Repository string `json:"repository" cbor:"repository"`
	Tag        string `json:"tag" cbor:"tag"`
}

// Type returns the event's type.
func (TagSet) Type() string     { return TypeTagSet }
func (TagRemoved) Type() string { return TypeTagRemoved }

// Subject returns the tag as "repository:tag".
func (d TagSet) Subject() string     { return d.Repository + ":" + d.Tag }
func (d TagRemoved) Subject() string { return d.Repository + ":" + d.Tag }
