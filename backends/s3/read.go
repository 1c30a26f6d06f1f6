package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"artifactstore/backends"
)

// Open makes one call; a connection that breaks is taken up again at the byte
// where it broke.
func (b *Backend) Open(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	object, err := b.object(key)
	if err != nil {
		return nil, err
	}
	r, err := b.open(ctx, object, off, n)
	if err != nil {
		if errors.Is(err, backends.ErrShort) {
			return nil, fmt.Errorf("open %s in bucket %s: %w", key, b.options.Bucket, err)
		}
		return nil, b.fail(ctx, "open", key, err)
	}
	return r, nil
}

func (b *Backend) open(ctx context.Context, object string, off, n int64) (io.ReadCloser, error) {
	if off < 0 {
		return nil, errors.New("negative offset")
	}
	if n == 0 {
		return b.openNothing(ctx, object, off)
	}
	r := &reader{b: b, ctx: ctx, key: object, off: off, end: -1}
	if n > 0 {
		r.end = off + n
	}
	err := r.connect()
	if code(err) == "InvalidRange" || status(err) == http.StatusRequestedRangeNotSatisfiable {
		if n < 0 { // the end itself is no mistake
			return b.openNothing(ctx, object, off)
		}
		return nil, backends.ErrShort
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// openNothing reads no bytes at an offset, which must be within the object.
func (b *Backend) openNothing(ctx context.Context, object string, off int64) (io.ReadCloser, error) {
	head, err := b.head(ctx, object)
	if err != nil {
		return nil, err
	}
	if off > aws.ToInt64(head.ContentLength) {
		return nil, backends.ErrShort
	}
	return http.NoBody, nil
}

// reader reads the bytes from off to end of an object.
type reader struct {
	b    *Backend
	ctx  context.Context
	key  string
	off  int64 // of the next byte
	end  int64 // -1 until the answer has said it
	etag string

	body   io.ReadCloser
	failed int // connections that broke without a byte
	err    error
}

// connect opens the rest of the range and checks that the answer is it.
func (r *reader) connect() error {
	input := &s3.GetObjectInput{Bucket: r.b.bucket(), Key: &r.key}
	if span := r.span(); span != "" {
		input.Range = &span
	}
	var out *s3.GetObjectOutput
	err := r.b.answered(r.ctx, func() (_ *string, err error) {
		if out, err = r.b.reads.GetObject(r.ctx, input); err != nil {
			return nil, err
		}
		if out.ETag == nil {
			out.Body.Close()
		}
		return out.ETag, nil
	})
	if err != nil {
		return err
	}
	if err := r.check(input.Range != nil, out); err != nil {
		out.Body.Close()
		return err
	}
	r.body = out.Body
	return nil
}

func (r *reader) span() string {
	switch {
	case r.end >= 0:
		return fmt.Sprintf("bytes=%d-%d", r.off, r.end-1)
	case r.off > 0:
		return fmt.Sprintf("bytes=%d-", r.off)
	}
	return "" // some services refuse 0- of an empty object
}

// check compares the answer with the question.
func (r *reader) check(ranged bool, out *s3.GetObjectOutput) error {
	length := aws.ToInt64(out.ContentLength)
	whole := length
	if ranged {
		first, total, ok := contentRange(aws.ToString(out.ContentRange))
		if !ok || first != r.off {
			return fmt.Errorf("the service answered range %q to %s", aws.ToString(out.ContentRange), r.span())
		}
		whole = total
	}
	if out.ContentLength == nil || length < 0 {
		return errors.New("the service did not say how long the answer is")
	}
	etag := aws.ToString(out.ETag)
	if r.etag != "" && etag != r.etag {
		return errors.New("the object changed while it was read")
	}
	r.etag = etag
	if r.end < 0 {
		r.end = whole
	}
	if r.end > whole {
		return backends.ErrShort
	}
	if length != r.end-r.off {
		return fmt.Errorf("the service announced %d bytes where %d were asked for", length, r.end-r.off)
	}
	return nil
}

// contentRange parses "bytes FIRST-LAST/TOTAL".
func contentRange(field string) (first, total int64, ok bool) {
	span, whole, ok1 := strings.Cut(strings.TrimPrefix(field, "bytes "), "/")
	from, _, ok2 := strings.Cut(span, "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	total, err2 := strconv.ParseInt(whole, 10, 64)
	return first, total, ok1 && ok2 && err1 == nil && err2 == nil
}

// Read returns io.EOF at the end of the range and nowhere else.
func (r *reader) Read(p []byte) (n int, err error) {
	if r.err == nil && r.ctx.Err() != nil {
		r.err = context.Cause(r.ctx)
	}
	for r.err == nil && n == 0 && len(p) > 0 {
		if r.off == r.end {
			return 0, io.EOF
		}
		n, err = r.body.Read(p[:min(int64(len(p)), r.end-r.off)])
		r.off += int64(n)
		if n > 0 {
			r.failed = 0
		}
		if err != nil && r.off < r.end {
			r.err = r.again(err)
		}
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, r.err
}

// again connects once more after a connection broke, as often as one call is
// tried, and returns the error that ends the reader.
func (r *reader) again(broke error) error {
	r.body.Close()
	for {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		r.failed++
		if r.failed >= r.b.options.MaxAttempts {
			return r.b.fail(r.ctx, "read", r.key, fmt.Errorf("at byte %d: %w", r.off, broken(broke)))
		}
		r.b.options.Log.Warn("a read broke and is taken up again", "object", r.key, "at", r.off, "error", broke)
		if err := r.b.pause(r.ctx, r.failed); err != nil {
			return err
		}
		if err := r.connect(); err == nil {
			return nil
		} else if refused(err) || errors.Is(err, backends.ErrShort) {
			return r.b.fail(r.ctx, "read", r.key, err)
		} else {
			broke = err
		}
	}
}

// broken names an end of the connection that is not the end of the object.
func broken(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Close ends the reading; the second time it does nothing.
func (r *reader) Close() error {
	if r.err == nil {
		r.err = errors.New("read after close")
	}
	return r.body.Close()
}
