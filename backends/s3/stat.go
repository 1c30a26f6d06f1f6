package s3

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"artifactstore/backends"
)

// Stat makes one call, and a second where the first says that nothing is there.
func (b *Backend) Stat(ctx context.Context, key string) (backends.Info, error) {
	object, err := b.object(key)
	if err != nil {
		return backends.Info{}, err
	}
	head, err := b.head(ctx, object)
	if err != nil {
		return backends.Info{}, b.fail(ctx, "stat", key, err)
	}
	return backends.Info{Key: key, Size: aws.ToInt64(head.ContentLength), ModTime: aws.ToTime(head.LastModified)}, nil
}

// head describes an object. An answer to HEAD has no body, so "not found" does
// not say whether object, bucket or account is missing: a GET does.
func (b *Backend) head(ctx context.Context, object string) (*s3.HeadObjectOutput, error) {
	for range b.options.MaxAttempts {
		head, err := b.headOnce(ctx, object)
		if !notFound(err) {
			return head, err
		}
		get, err := b.reads.GetObject(ctx, &s3.GetObjectInput{Bucket: b.bucket(), Key: &object})
		if err != nil {
			return nil, err
		}
		get.Body.Close() // it came between the two calls
	}
	return nil, fmt.Errorf("%s is there for GET and not for HEAD", object)
}

// Delete removes an object.
func (b *Backend) Delete(ctx context.Context, key string) error {
	object, err := b.object(key)
	if err != nil {
		return err
	}
	if err := b.remove(ctx, object); err != nil {
		return b.fail(ctx, "delete", key, err)
	}
	return nil
}

// List leaves out what is not an object of this backend: the staging folder and
// keys that CheckKey refuses.
func (b *Backend) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Info, error] {
	return func(yield func(backends.Info, error) bool) {
		if strings.Trim(prefix, keyBytes) != "" {
			return // no key has it
		}
		if after != "" {
			after = b.prefix + printable(after)
		}
		for o, err := range b.objects(ctx, b.prefix+prefix, after) {
			if err != nil {
				yield(backends.Info{}, b.fail(ctx, "list", prefix+"*", err))
				return
			}
			key := strings.TrimPrefix(o.key, b.prefix)
			if backends.CheckKey(key) == nil && !yield(backends.Info{Key: key, Size: o.size, ModTime: o.written}, nil) {
				return
			}
		}
	}
}

// keyBytes are those that CheckKey lets a key have.
const keyBytes = "abcdefghijklmnopqrstuvwxyz0123456789._-/"

// printable returns a string of printable ASCII that parts the keys in the same
// two: RGW repeats it in its answer, which is no XML with other bytes in it.
func printable(after string) string {
	for i := range len(after) {
		switch c := after[i]; {
		case c < ' ':
			return after[:i] // and what goes on with a byte of a key comes later
		case c >= '~':
			return after[:i] + "~"
		}
	}
	return after
}

// object as the bucket lists it.
type object struct {
	key     string
	size    int64
	written time.Time
}

// objects lists the bucket page by page, by the last key and not by a token, so
// that it can go on from any key.
func (b *Backend) objects(ctx context.Context, prefix, after string) iter.Seq2[object, error] {
	return func(yield func(object, error) bool) {
		for {
			input := &s3.ListObjectsV2Input{Bucket: b.bucket(), Prefix: &prefix}
			if after != "" {
				input.StartAfter = aws.String(after)
			}
			page, err := b.calls.ListObjectsV2(ctx, input)
			if err != nil {
				yield(object{}, err)
				return
			}
			for _, o := range page.Contents {
				key := aws.ToString(o.Key)
				if key <= after || !strings.HasPrefix(key, prefix) {
					yield(object{}, fmt.Errorf("the service lists %q after %q for prefix %q", key, after, prefix))
					return
				}
				after = key
				if !yield(object{key, aws.ToInt64(o.Size), aws.ToTime(o.LastModified)}, nil) {
					return
				}
			}
			if !aws.ToBool(page.IsTruncated) || len(page.Contents) == 0 {
				return
			}
		}
	}
}
