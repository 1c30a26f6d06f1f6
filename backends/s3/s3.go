// Package s3 keeps objects in a bucket of an S3-compatible service: Ceph RGW
// before all, MinIO-like servers, AWS S3. It is the only room that knows what a
// bucket, a multipart upload or a storage class is.
//
// # Layout
//
//	<key_prefix>/<key>                                    an object
//	<key_prefix>/.staging/<nonce>/data                            an object on its way whose key is not known yet
//	<key_prefix>/.staging/<nonce>/tail-<parts>-<offset>-<token>   the last bytes of a suspended upload
//	<key_prefix>/.staging/health                                  written by Health
//
// A nonce is 128 random bits in hexadecimal; each object carries that of the upload that
// made it in its metadata (artifactstore-upload).
//
// # How an upload goes
//
// Bytes wait in memory up to the multipart threshold; a Commit within it is one
// put to the final key. Beyond it a multipart upload is begun, on the final key
// where the hint has it, otherwise on a staging key, and parts go out as they
// fill, some at once. Nothing is visible before Commit completes it. From a
// staging key Commit makes a server-side copy, looks at it, and only then deletes the
// staging object. A crash leaves an unfinished upload or an object below
// .staging: Sweep finds both by age.
//
// Suspend sends what fills a part and keeps the rest, less than the smallest
// part, as a tail object beside the upload; so a state is small and any process
// can go on with it. What came after a state is overwritten part by part when
// it is resumed, because RGW refuses to complete an upload while leaving out any part
// of it (see uploads.leftover).
//
// # Integrity
//
// Every put and part carries a signed x-amz-content-sha256, which RGW compares
// with what arrived; see withSum. No body is sent that cannot be sent again.
//
// A completion that may or may not have taken effect (a lost reply, a time-out,
// a 5xx) is looked into before anything else is done, and never aborted by its upload; only
// Sweep does, when it is old.
package s3

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"artifactstore/backends"
)

// Options say where a bucket is and how to use it. Zero values are defaults
// where a default is named.
type Options struct {
	EndpointURL string // "" means AWS's own for the region
	Region      string // default us-east-1; RGW's is its zonegroup, or anything
	Bucket      string
	KeyPrefix   string // folder for everything, without slashes at its ends; may be ""

	// Credentials returns the key pair. It is asked again when the last answer is
	// ten seconds old and when a key is refused, so a rotated file is noticed. Where it
	// fails later than the first time, the pair before is used on.
	Credentials func(ctx context.Context) (access, secret string, err error)

	StorageClass string // "" leaves it to the service
	SSE          string // "", AES256 or aws:kms
	SSEKMSKeyID  string // with aws:kms, "" means the service's default key

	MultipartThreshold int64 // bytes up to which an object is one put, default 16 MiB
	MultipartChunk     int64 // bytes of a part, default 8 MiB; grown where 10,000 do not suffice
	PathStyle          bool  // bucket in the path, not in the host name
	CAFile             string
	MaxConnections     int           // for calls, and as many again for reading bodies; default 256
	MaxAttempts        int           // of one call, default 4
	IdleTimeout        time.Duration // longest silence of the service within a call, default 60 s

	Memory *Memory          // bound on buffered bytes, shared among backends
	Now    func() time.Time // default time.Now
	Log    *slog.Logger     // default: nothing is logged

	maxBackoff time.Duration
}

// Backend is a bucket as a backends.Backend.
type Backend struct {
	options Options
	prefix  string
	calls   *s3.Client // everything but bodies of objects
	// reads has connections of its own: a slow reader keeps its connection for
	// long, and an upload that is fed from a read must not wait for it.
	reads     *s3.Client
	copyOnce  int64 // largest object that one copy call takes
	copyChunk int64 // part of a copy in parts
	health    health
}

var _ backends.Backend = (*Backend)(nil)

// Open checks the options and returns the backend. It makes no call: Health
// says whether the bucket can be used.
func Open(_ context.Context, o Options) (*Backend, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	keys := &credentials{read: o.Credentials, now: o.Now, log: o.Log}
	calls, err := newClient(o, keys)
	if err != nil {
		return nil, err
	}
	reads, err := newClient(o, keys)
	if err != nil {
		return nil, err
	}
	b := &Backend{options: o, calls: calls, reads: reads, copyOnce: 5 << 30, copyChunk: 512 * mib}
	if o.KeyPrefix != "" {
		b.prefix = o.KeyPrefix + "/"
	}
	return b, nil
}

func (o Options) withDefaults() Options {
	o.Region = orDefault(o.Region, "us-east-1")
	o.KeyPrefix = strings.Trim(o.KeyPrefix, "/")
	o.MultipartThreshold = orDefault(o.MultipartThreshold, 16*mib)
	o.MultipartChunk = orDefault(o.MultipartChunk, 8*mib)
	o.MaxConnections = orDefault(o.MaxConnections, 256)
	o.MaxAttempts = orDefault(o.MaxAttempts, 4)
	o.IdleTimeout = orDefault(o.IdleTimeout, 60*time.Second)
	o.maxBackoff = orDefault(o.maxBackoff, 2*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

func (o Options) check() error {
	switch {
	case o.Bucket == "":
		return errors.New("no bucket")
	case o.Credentials == nil:
		return errors.New("no credentials")
	case o.Memory == nil || o.Memory.capacity < MemoryLeast:
		return fmt.Errorf("the bound on buffered bytes is below %d", int64(MemoryLeast))
	case o.MultipartChunk < partLeast || o.MultipartChunk > 5<<30:
		return fmt.Errorf("multipart_chunk_bytes %d is not between 5 MiB and 5 GiB", o.MultipartChunk)
	case o.MultipartThreshold < partLeast || o.MultipartThreshold > 5<<30:
		return fmt.Errorf("multipart_threshold_bytes %d is not between 5 MiB and 5 GiB", o.MultipartThreshold)
	case o.SSE != "" && o.SSE != "AES256" && o.SSE != "aws:kms":
		return fmt.Errorf("sse %q is neither AES256 nor aws:kms", o.SSE)
	case o.SSEKMSKeyID != "" && o.SSE != "aws:kms":
		return errors.New("sse_kms_key_id without sse: aws:kms")
	case o.MaxConnections < 1 || o.MaxAttempts < 1:
		return errors.New("the limits of connections and attempts must be positive")
	}
	if o.KeyPrefix != "" {
		if err := backends.CheckKey(o.KeyPrefix); err != nil {
			return fmt.Errorf("key_prefix: %w", err)
		}
	}
	return checkEndpoint(o.EndpointURL)
}

func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return fmt.Errorf("endpoint_url %q is not http://HOST or https://HOST", endpoint)
	}
	return nil
}

// where names the service in sentences.
func (o Options) where() string { return orDefault(o.EndpointURL, "AWS S3 in "+o.Region) }

func (b *Backend) bucket() *string { return aws.String(b.options.Bucket) }

func newNonce() string {
	var n [16]byte
	rand.Read(n[:])
	return hex.EncodeToString(n[:])
}
