// Package manifest is the list of what a sealed package holds.
//
// A manifest is one CBOR map in the core deterministic encoding (RFC 8949
// §4.2.1), so that one package has one manifest and its digest names the package
// for ever:
//
//	{
//	  "schema":   1,
//	  "producer": text, "name": text, "version": text,
//	  "class":    text,                      the retention class when it was sealed
//	  "labels":   {text: text, …},           absent without labels
//	  "files":    [{"path": text,            in byte order of their paths, none twice
//	                "size": bytes,
//	                "sha256": 32 bytes, "blake3": 32 bytes}, …]
//	}
//
// [Decode] takes nothing that [Encode] would not have written. The package does
// no I/O.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"artifactstore/cas/digest"
)

// MediaType is what a manifest is served as.
const MediaType = "application/vnd.artifactstore.manifest.v1+cbor"

// schema is the version of the form.
const schema = 1

// Manifest is what a sealed package holds.
type Manifest struct {
	Producer string            `json:"producer"`
	Name     string            `json:"name"`
	Version  string            `json:"version"`
	Class    string            `json:"retention_class"`
	Labels   map[string]string `json:"labels,omitempty"`
	Files    []File            `json:"files"` // in byte order of their paths
}

// File is one path of a package.
type File struct {
	Path   string        `json:"path"`
	Size   int64         `json:"size"` // bytes
	SHA256 digest.Digest `json:"sha256"`
	BLAKE3 digest.Digest `json:"blake3"`
}

// ErrInvalid is wrapped by every error of this package.
var ErrInvalid = errors.New("invalid manifest")

// wire and wireFile are the encoded form.
type wire struct {
	Schema   int               `cbor:"schema"`
	Producer string            `cbor:"producer"`
	Name     string            `cbor:"name"`
	Version  string            `cbor:"version"`
	Class    string            `cbor:"class"`
	Labels   map[string]string `cbor:"labels,omitempty"`
	Files    []wireFile        `cbor:"files"`
}

type wireFile struct {
	Path   string `cbor:"path"`
	Size   int64  `cbor:"size"`
	SHA256 []byte `cbor:"sha256"`
	BLAKE3 []byte `cbor:"blake3"`
}

var encoding, decoding = modes()

// maxFiles bounds what a decoder makes room for, and so what is encoded.
const maxFiles = 1 << 20

func modes() (cbor.EncMode, cbor.DecMode) {
	encoding, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	decoding, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   6,
		MaxArrayElements:  maxFiles,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return encoding, decoding
}

// Encode returns the canonical bytes. Files out of order, twice, or without their
// digests are ErrInvalid.
func Encode(m Manifest) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	w := wire{schema, m.Producer, m.Name, m.Version, m.Class, m.Labels, make([]wireFile, 0, len(m.Files))}
	for _, f := range m.Files {
		w.Files = append(w.Files, wireFile{f.Path, f.Size, f.SHA256.Sum(), f.BLAKE3.Sum()})
	}
	return encoding.Marshal(w)
}

// Decode reads canonical bytes and nothing else.
func Decode(b []byte) (Manifest, error) {
	var w wire
	if err := decoding.Unmarshal(b, &w); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if w.Schema != schema {
		return Manifest{}, fmt.Errorf("%w: schema %d, want %d", ErrInvalid, w.Schema, schema)
	}
	m := Manifest{w.Producer, w.Name, w.Version, w.Class, w.Labels, make([]File, 0, len(w.Files))}
	for _, f := range w.Files {
		if len(f.SHA256) != digest.SHA256.Size() || len(f.BLAKE3) != digest.BLAKE3.Size() {
			return Manifest{}, fmt.Errorf("%w: a digest of %q has another length", ErrInvalid, f.Path)
		}
		m.Files = append(m.Files, File{f.Path, f.Size, digest.New(digest.SHA256, f.SHA256), digest.New(digest.BLAKE3, f.BLAKE3)})
	}
	canonical, err := Encode(m)
	if err != nil {
		return Manifest{}, err
	}
	if !bytes.Equal(b, canonical) {
		return Manifest{}, fmt.Errorf("%w: not in the canonical encoding", ErrInvalid)
	}
	return m, nil
}

func (m Manifest) check() error {
	if len(m.Files) > maxFiles {
		return fmt.Errorf("%w: %d files, %d at most", ErrInvalid, len(m.Files), maxFiles)
	}
	for i, f := range m.Files {
		switch {
		case f.Path == "" || f.Size < 0:
			return fmt.Errorf("%w: file %d: path %q, size %d", ErrInvalid, i, f.Path, f.Size)
		case f.SHA256.Algorithm() != digest.SHA256 || f.BLAKE3.Algorithm() != digest.BLAKE3:
			return fmt.Errorf("%w: %q lacks a digest", ErrInvalid, f.Path)
		case i > 0 && m.Files[i-1].Path >= f.Path:
			return fmt.Errorf("%w: %q comes after %q", ErrInvalid, f.Path, m.Files[i-1].Path)
		}
	}
	return nil
}

// JSON renders the manifest for people and for programs without CBOR. It is not
// canonical, and its digest names nothing.
func (m Manifest) JSON() ([]byte, error) {
	if m.Files == nil {
		m.Files = []File{}
	}
	return json.MarshalIndent(m, "", "  ")
}
