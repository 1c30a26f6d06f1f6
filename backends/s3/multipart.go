package s3

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"artifactstore/backends"
)

// multipart is a multipart upload that has been begun.
type multipart struct {
	b     *Backend
	key   string // in the bucket
	id    string
	nonce string
}

// part is one that the service holds.
type part struct {
	etag string
	size int64
}

func (b *Backend) newMultipart(ctx context.Context, key, nonce string) (*multipart, error) {
	input := &s3.CreateMultipartUploadInput{
		Bucket: b.bucket(), Key: &key, Metadata: map[string]string{marker: nonce},
		ContentType: aws.String("application/octet-stream"), StorageClass: types.StorageClass(b.options.StorageClass),
	}
	input.ServerSideEncryption, input.SSEKMSKeyId = b.encryption()
	out, err := b.calls.CreateMultipartUpload(ctx, input)
	if err != nil {
		return nil, err
	}
	if aws.ToString(out.UploadId) == "" {
		return nil, errors.New("the answer names no upload: it is not the service's")
	}
	return &multipart{b, key, *out.UploadId, nonce}, nil
}

// send stores a buffer as part n.
func (m *multipart) send(ctx context.Context, n int, body *buffer) (part, error) {
	sum := withSum(body.sum())
	p := part{size: body.size}
	err := m.b.answered(ctx, func() (*string, error) {
		out, err := m.b.calls.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: m.b.bucket(), Key: &m.key, UploadId: &m.id, PartNumber: aws.Int32(int32(n)),
			Body: body.reader(), ContentLength: aws.Int64(body.size),
		}, sum)
		if err != nil {
			return nil, err
		}
		p.etag = aws.ToString(out.ETag)
		return out.ETag, nil
	})
	return p, err
}

// parts lists the parts that the service holds. Numbers without a part have an
// empty ETag. An upload that is gone is ErrUploadUnknown. newest is when the
// last of them was written.
func (m *multipart) parts(ctx context.Context) (list []part, newest time.Time, err error) {
	last := 0
	for {
		out, err := m.b.calls.ListParts(ctx, &s3.ListPartsInput{
			Bucket: m.b.bucket(), Key: &m.key, UploadId: &m.id,
			PartNumberMarker: aws.String(itoa(last)),
		})
		if absent(err) || code(err) == "NoSuchUpload" { // RGW says NoSuchKey
			return nil, newest, backends.ErrUploadUnknown
		}
		if err != nil {
			return nil, newest, err
		}
		before := last
		for _, p := range out.Parts {
			n := int(aws.ToInt32(p.PartNumber))
			if n <= last || n > partsMost {
				return nil, newest, errors.New("the parts are listed out of order")
			}
			for len(list) < n {
				list = append(list, part{})
			}
			list[n-1] = part{aws.ToString(p.ETag), aws.ToInt64(p.Size)}
			last = n
			if at := aws.ToTime(p.LastModified); at.After(newest) {
				newest = at
			}
		}
		if !aws.ToBool(out.IsTruncated) || last == before {
			return list, newest, nil
		}
	}
}

// complete makes the parts one object. It returns certain = false where it failed and
// the object may yet appear: then nobody may abort the upload for now.
//
// The client's own retries are off. After every failure it looks: the object
// may be there (the reply was lost), or the upload may be gone; only where it is
// still there it is completed again. RGW answers 500 for an upload that is gone,
// but 200 where an object is at the key, whoever made it; so the caller has
// just seen the upload there: a part was accepted, or its parts were listed.
func (m *multipart) complete(ctx context.Context, parts []part, size int64) (certain bool, err error) {
	for attempt := 1; ; attempt++ {
		err = m.completeOnce(ctx, parts)
		if err == nil {
			return true, nil
		}
		done, open, looked := m.look(ctx, size)
		switch {
		case looked != nil:
			return false, errors.Join(err, looked)
		case done:
			return true, nil
		case !open:
			return true, backends.ErrUploadUnknown
		case refused(err):
			return true, err
		case attempt >= m.b.options.MaxAttempts:
			return false, err
		}
		if err := m.b.pause(ctx, attempt); err != nil {
			return false, err
		}
	}
}

func (m *multipart) completeOnce(ctx context.Context, parts []part) error {
	var list []types.CompletedPart
	for i, p := range parts {
		if p.etag != "" {
			list = append(list, types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: &p.etag})
		}
	}
	out, err := m.b.calls.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: m.b.bucket(), Key: &m.key, UploadId: &m.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: list},
	}, once)
	if err == nil && aws.ToString(out.ETag) == "" && aws.ToString(out.Location) == "" && aws.ToString(out.Key) == "" {
		return errNoETag // RGW sometimes leaves the ETag empty, never all three
	}
	return err
}

// look finds out what became of a completion.
func (m *multipart) look(ctx context.Context, size int64) (done, open bool, err error) {
	if done, err = m.b.made(ctx, m.key, m.nonce, size); done || err != nil {
		return done, false, err
	}
	_, _, err = m.parts(ctx)
	if errors.Is(err, backends.ErrUploadUnknown) {
		// It may have been completed between the two looks.
		done, err = m.b.made(ctx, m.key, m.nonce, size)
		return done, false, err
	}
	return false, err == nil, err
}

// refused reports whether an answer means that the same call cannot succeed.
func refused(err error) bool {
	if _, again := resend[code(err)]; again {
		return false
	}
	s := status(err)
	return s >= 400 && s < 500 && s != 408 && s != 409 && s != 429 && code(err) != "NoSuchUpload"
}

// abort ends an upload that is certainly not completed; a missing one is success.
func (m *multipart) abort(ctx context.Context) error {
	_, err := m.b.calls.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: m.b.bucket(), Key: &m.key, UploadId: &m.id})
	if code(err) == "NoSuchUpload" || absent(err) {
		return nil
	}
	return err
}

// pause waits before the next attempt: 100 ms, doubled each time, up to the bound.
func (b *Backend) pause(ctx context.Context, attempt int) error {
	timer := time.NewTimer(min(b.options.maxBackoff, 50*time.Millisecond<<attempt))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fingerprint identifies a list of parts: what a state says of them.
func fingerprint(parts []part) [sha256.Size]byte {
	h := sha256.New()
	for _, p := range parts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(p.size))
		h.Write(size[:])
		h.Write([]byte(strings.Trim(p.etag, `"`)))
		h.Write([]byte{0})
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func total(parts []part) (n int64) {
	for _, p := range parts {
		n += p.size
	}
	return n
}
