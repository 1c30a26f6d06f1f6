package s3test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Bare sends and reads with the SDK and nothing besides: the reference of
// benchmarks.
type Bare struct {
	Server Server
	Chunk  int // bytes of a part
	AtOnce int // parts on their way
	client *s3.Client
}

// NewBare returns a reference before a server.
func NewBare(server Server, chunk, atOnce int) *Bare {
	return &Bare{server, chunk, atOnce, server.Client()}
}

// Upload sends size bytes in parts: first, then content repeated.
func (b *Bare) Upload(ctx context.Context, key string, first, content []byte, size int64) error {
	bucket := &b.Server.Bucket
	m, err := b.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: &key})
	if err != nil {
		return err
	}
	parts := make([]types.CompletedPart, (size+int64(b.Chunk)-1)/int64(b.Chunk))
	errs := make([]error, len(parts))
	source := &repeated{first, content}
	places := make(chan []byte, b.AtOnce)
	for range b.AtOnce {
		places <- make([]byte, b.Chunk)
	}
	var all sync.WaitGroup
	for i := range parts {
		place := <-places
		body := place[:min(int64(b.Chunk), size-int64(i)*int64(b.Chunk))]
		source.fill(body, int64(i)*int64(b.Chunk))
		all.Go(func() {
			defer func() { places <- place }()
			n := aws.Int32(int32(i + 1))
			out, err := b.client.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: &key, UploadId: m.UploadId, PartNumber: n, Body: bytes.NewReader(body)})
			if err != nil {
				errs[i] = err
				return
			}
			parts[i] = types.CompletedPart{PartNumber: n, ETag: out.ETag}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err = b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: bucket, Key: &key, UploadId: m.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return err
}

// repeated is first and then content over and over.
type repeated struct{ first, content []byte }

// fill copies what is at an offset to p.
func (r *repeated) fill(p []byte, off int64) {
	if off < int64(len(r.first)) {
		n := copy(p, r.first[off:])
		p, off = p[n:], off+int64(n)
	}
	for off -= int64(len(r.first)); len(p) > 0; {
		n := copy(p, r.content[off%int64(len(r.content)):])
		p, off = p[n:], off+int64(n)
	}
}

// Download reads an object and returns its size in bytes.
func (b *Bare) Download(ctx context.Context, key string) (int64, error) {
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.Server.Bucket, Key: &key})
	if err != nil {
		return 0, err
	}
	defer out.Body.Close()
	return io.CopyBuffer(struct{ io.Writer }{io.Discard}, out.Body, make([]byte, 256<<10))
}

// Delete removes an object.
func (b *Bare) Delete(ctx context.Context, key string) error {
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.Server.Bucket, Key: &key})
	return err
}
