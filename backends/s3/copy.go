package s3

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// copy makes the first size bytes of one object another, on the server, and
// looks whether they are there. On RGW a copy moves no data. Where one call cannot
// do it (an object beyond 5 GiB, a service that refuses, only a part of the
// object) it goes in parallel parts.
func (b *Backend) copy(ctx context.Context, from, to, nonce string, size int64, cut bool) error {
	if !cut && size <= b.copyOnce {
		err := b.copyObject(ctx, from, to)
		if err == nil || absent(err) || ctx.Err() != nil {
			return b.copied(ctx, from, to, nonce, size, err)
		}
		if !refused(err) && status(err) != 501 && status(err) != 0 {
			return err
		}
		b.options.Log.Warn("one copy call was refused; copying in parts", "object", to, "error", err)
	}
	if size == 0 {
		return b.put(ctx, to, nonce, &buffer{})
	}
	return b.copyParts(ctx, from, to, nonce, size)
}

// copied looks at the target. After a failure it must be this upload's: the
// staging object may be gone because an earlier Commit came this far and its
// reply was lost. After a success it must be there and whole; by now it may be
// that of another upload to the same key.
func (b *Backend) copied(ctx context.Context, from, to, nonce string, size int64, failed error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	head, err := b.headOnce(ctx, to)
	switch {
	case failed != nil && (err != nil || head.Metadata[marker] != nonce || aws.ToInt64(head.ContentLength) != size):
		return fmt.Errorf("copy from %s: %v", from, failed) // its absence is not the target's
	case err != nil && !notFound(err):
		return err
	case err != nil || failed == nil && aws.ToInt64(head.ContentLength) == 0 && size > 0:
		return errors.New("the copy was reported done, but the object is not there")
	}
	return nil
}

func (b *Backend) copyObject(ctx context.Context, from, to string) error {
	input := &s3.CopyObjectInput{
		Bucket: b.bucket(), Key: &to, CopySource: aws.String(b.options.Bucket + "/" + from),
		StorageClass: types.StorageClass(b.options.StorageClass),
	}
	input.ServerSideEncryption, input.SSEKMSKeyId = b.encryption()
	_, err := b.calls.CopyObject(ctx, input)
	return err
}

func (b *Backend) copyParts(ctx context.Context, from, to, nonce string, size int64) error {
	m, err := b.newMultipart(ctx, to, nonce)
	if err != nil {
		return err
	}
	chunk := max(b.copyChunk, ceil(size, partsMost))
	parts := make([]part, ceil(size, chunk))
	certain := true
	if err = b.copyEach(ctx, m, from, parts, chunk, size); err == nil {
		certain, err = m.complete(ctx, parts, size)
	}
	if err != nil && certain {
		err = errors.Join(err, m.abort(context.WithoutCancel(ctx)))
	}
	return err
}

// copyEach copies the parts, atOnce of them at once; the first failure stops it.
func (b *Backend) copyEach(ctx context.Context, m *multipart, from string, parts []part, chunk, size int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	places := make(chan struct{}, atOnce)
	for i := range parts {
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			off := int64(i) * chunk
			var err error
			if parts[i], err = m.copyPart(ctx, i+1, from, off, min(chunk, size-off)); err != nil {
				cancel(err)
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

func (m *multipart) copyPart(ctx context.Context, n int, from string, off, length int64) (part, error) {
	p := part{size: length}
	err := m.b.answered(ctx, func() (*string, error) {
		out, err := m.b.calls.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
			Bucket: m.b.bucket(), Key: &m.key, UploadId: &m.id, PartNumber: aws.Int32(int32(n)),
			CopySource:      aws.String(m.b.options.Bucket + "/" + from),
			CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+length-1)),
		})
		if err != nil || out.CopyPartResult == nil {
			return nil, err
		}
		p.etag = aws.ToString(out.CopyPartResult.ETag)
		return out.CopyPartResult.ETag, nil
	})
	return p, err
}
