package s3

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// marker is the metadata field that says which upload made an object.
const marker = "artifactstore-upload"

// errNoETag is an answer of success that lacks what a success has: something
// between us and the service answered in its place.
var errNoETag = errors.New("the answer has no ETag: it is not the service's")

// put stores a buffer as one object.
func (b *Backend) put(ctx context.Context, key, nonce string, body *buffer, options ...func(*s3.Options)) error {
	input := &s3.PutObjectInput{
		Bucket: b.bucket(), Key: &key, Metadata: map[string]string{marker: nonce},
		ContentLength: aws.Int64(body.size), ContentType: aws.String("application/octet-stream"),
		StorageClass: types.StorageClass(b.options.StorageClass),
	}
	input.ServerSideEncryption, input.SSEKMSKeyId = b.encryption()
	options = append(options, withSum(body.sum()))
	return b.answered(ctx, func() (etag *string, err error) {
		input.Body = body.reader()
		out, err := b.calls.PutObject(ctx, input, options...)
		if err != nil {
			return nil, err
		}
		return out.ETag, nil
	})
}

func (b *Backend) encryption() (types.ServerSideEncryption, *string) {
	if b.options.SSEKMSKeyID == "" {
		return types.ServerSideEncryption(b.options.SSE), nil
	}
	return types.ServerSideEncryption(b.options.SSE), aws.String(b.options.SSEKMSKeyID)
}

// answered makes a call again while its success carries no ETag.
func (b *Backend) answered(ctx context.Context, call func() (etag *string, err error)) error {
	for range b.options.MaxAttempts {
		etag, err := call()
		if err != nil {
			return err
		}
		if aws.ToString(etag) != "" {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return errNoETag
}

// made reports whether the object under a key is the whole of what an upload made.
func (b *Backend) made(ctx context.Context, key, nonce string, size int64) (bool, error) {
	head, err := b.headOnce(ctx, key)
	if notFound(err) || absent(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return head.Metadata[marker] == nonce && aws.ToInt64(head.ContentLength) == size, nil
}

// headOnce describes an object by HEAD alone.
func (b *Backend) headOnce(ctx context.Context, key string) (head *s3.HeadObjectOutput, err error) {
	err = b.answered(ctx, func() (*string, error) {
		head, err = b.calls.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b.bucket(), Key: &key})
		if err != nil {
			return nil, err
		}
		return head.ETag, nil
	})
	return head, err
}

// remove deletes an object; a missing one is success.
func (b *Backend) remove(ctx context.Context, key string) error {
	_, err := b.calls.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b.bucket(), Key: &key})
	if absent(err) {
		return nil
	}
	return err
}
