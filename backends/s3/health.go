package s3

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	// healthName is what Health writes and reads below the staging folder.
	healthName = "health"
	// healthWrites is how often Health writes; between, it only reads.
	healthWrites = 30 * time.Second
	// skewMost is less than the 15 minutes that services allow, so that a clock
	// that walks off is told before they refuse.
	skewMost = 5 * time.Minute
)

type health struct {
	mu      sync.Mutex
	written time.Time
}

// Health writes a small object, with the storage class and encryption of all
// others, at most every half minute, reads it back, and where it has written, lists
// it. It tries each call twice only, to say soon what is wrong. Its error is a *Problem,
// or backends.ErrFull where everything works but for want of room.
func (b *Backend) Health(ctx context.Context) error {
	writes := b.health.due(b.options.Now())
	var noRoom error
	if writes {
		err := b.put(ctx, b.prefix+staging+healthName, "health", &buffer{}, twice)
		switch {
		case err == nil:
			b.health.done(b.options.Now())
		case full(err):
			noRoom = b.fail(ctx, "write", healthName, err)
		default:
			return b.fail(ctx, "write", healthName, err)
		}
	}
	key := b.prefix + staging + healthName
	out, err := b.reads.GetObject(ctx, &s3.GetObjectInput{Bucket: b.bucket(), Key: &key}, twice)
	if absent(err) {
		b.health.done(time.Time{}) // somebody removed it: write again next time
		return noRoom
	}
	if err != nil {
		b.health.done(time.Time{})
		return b.fail(ctx, "read", healthName, err)
	}
	out.Body.Close()
	if want, _ := b.encryption(); out.ServerSideEncryption != want && want != "" {
		b.health.done(time.Time{})
		return &Problem{Encryption, fmt.Sprintf("the service takes server-side encryption %q and drops it: objects would lie there unencrypted; configure its keys, or correct sse", want),
			fmt.Errorf("stored with %q", out.ServerSideEncryption)}
	}
	if err := b.clocks(out); err != nil || !writes {
		return err
	}
	if err := b.listed(ctx, key); err != nil {
		b.health.done(time.Time{})
		return err
	}
	return noRoom
}

// listed asks for a list, which is a right of its own, and the only call to notice an
// address that has the bucket's name in it already: objects go below that name then.
func (b *Backend) listed(ctx context.Context, key string) error {
	_, err := b.calls.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b.bucket(), Prefix: &key, MaxKeys: aws.Int32(1)}, twice)
	if absent(err) {
		return &Problem{BucketMissing, fmt.Sprintf("%s takes objects, but lists no bucket %q: correct endpoint_url, which must not name the bucket, or path_style", b.options.where(), b.options.Bucket), said(err)}
	}
	if err != nil {
		return b.fail(ctx, "list", healthName, err)
	}
	return nil
}

func (h *health) due(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.written.IsZero() || now.Sub(h.written) >= healthWrites
}

func (h *health) done(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.written = now
}

// clocks compares the service's Date with this machine's clock.
func (b *Backend) clocks(out *s3.GetObjectOutput) error {
	there, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !ok {
		return nil
	}
	here := b.options.Now()
	if skew := here.Sub(there); skew.Abs() > skewMost {
		return &Problem{ClockSkew, "the clocks of this machine and of the service differ by more than five minutes: check both against NTP",
			fmt.Errorf("here %s, there %s", here.UTC().Format(time.RFC3339), there.UTC().Format(time.RFC3339))}
	}
	return nil
}
