package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"artifactstore/cas/digest"
)

// Content is bytes whose identity is known before they are sent.
type Content struct {
	digest.Identity
	// Open returns the bytes from their start. It is called again for every try.
	Open func() (io.ReadCloser, error)
}

// Bytes returns the content that p is. p must not change until it is sent.
func Bytes(p []byte) Content {
	h := digest.NewHasher()
	h.Write(p)
	id := h.Identity()
	h.Release()
	return Content{id, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p)), nil }}
}

func (r *call) text(p []byte) {
	r.size = int64(len(p))
	r.body = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p)), nil }
}

// StoredFile is the gateway's answer to a file.
type StoredFile struct {
	Path    string        `json:"path"`
	Digest  digest.Digest `json:"digest"`
	Digests struct {
		SHA256 string `json:"sha256"`
		BLAKE3 string `json:"blake3"`
	} `json:"digests"`
	Size      int64  `json:"size"`    // bytes
	Existed   bool   `json:"existed"` // the path had these bytes
	BackendID string `json:"backend_id"`
}

// askFirst is the size from which a client asks before it sends: the bytes that a
// refusal would waste are worth a round trip then.
const askFirst = 1 << 20

// PutFile puts content at a path of an open package, in place of what is there. The
// gateway refuses bytes that are not the content (ErrDigestMismatch), and an answer
// that names others is ErrDamaged. A package that does not exist is created with the
// default class.
func (c *Client) PutFile(ctx context.Context, n PackageName, path string, content Content) (StoredFile, error) {
	r := call{method: http.MethodPut, path: n.file(path), size: content.Size, body: content.Open}
	r.header = http.Header{"Repr-Digest": {reprDigest(content.SHA256)}, "Content-Type": {"application/octet-stream"}}
	if content.Size >= askFirst {
		r.header["Expect"] = []string{"100-continue"}
	}
	return c.putFile(ctx, r, content.Identity)
}

// blobReference is the media type of a body that names a blob.
const blobReference = "application/vnd.artifactstore.blob-reference+json"

// AttachFile puts a blob that the gateway has at a path of an open package, without
// sending its bytes. One that it has not, or not readable, is ErrBlobUnknown or
// ErrBlobUnavailable.
func (c *Client) AttachFile(ctx context.Context, n PackageName, path string, id digest.Identity) (StoredFile, error) {
	r := call{method: http.MethodPut, path: n.file(path)}
	body := struct {
		Digest digest.Digest `json:"digest"`
	}{id.SHA256}
	if err := r.json(body, blobReference); err != nil {
		return StoredFile{}, err
	}
	return c.putFile(ctx, r, id)
}

// putFile sends a file and compares what was stored with what it is.
func (c *Client) putFile(ctx context.Context, r call, id digest.Identity) (s StoredFile, err error) {
	if _, err := c.ask(ctx, r, &s, http.StatusOK, http.StatusCreated); err != nil {
		return s, err
	}
	if s.Digest != id.SHA256 || s.Size != id.Size || s.Digests.BLAKE3 != id.BLAKE3.Hex() {
		return s, fmt.Errorf("%w: sent %s, the gateway stored %s", ErrDamaged, id.SHA256, s.Digest)
	}
	return s, nil
}

// RemoveFile takes a file out of an open package. One that is not there is as it
// should be: an earlier try may have done it.
func (c *Client) RemoveFile(ctx context.Context, n PackageName, path string) error {
	_, err := c.ask(ctx, call{method: http.MethodDelete, path: n.file(path)}, nil, http.StatusNoContent)
	if errors.Is(err, ErrFileUnknown) {
		return nil
	}
	return err
}
