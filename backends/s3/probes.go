package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"artifactstore/backends/doctor"
)

var _ doctor.Prober = (*Backend)(nil)

// Probes look at what services that speak this protocol do differently. They
// work below the staging folder and clean up.
func (b *Backend) Probes() []doctor.Probe {
	p := &prober{b: b, folder: b.prefix + staging + "doctor-" + newNonce() + "/"}
	return []doctor.Probe{
		{Name: "clocks", Run: p.clocks},
		{Name: "a byte changed on the way is refused", Run: p.checksPayload},
		{Name: "x-amz-checksum-* is checked", Run: p.checksChecksums},
		{Name: "put if absent", Run: p.conditionalPut},
		{Name: "parts may be left out of a completion", Run: p.leavesOutParts},
		{Name: "completing again, or what is unknown", Run: p.completesTwice},
		{Name: "unfinished uploads are listed by prefix", Run: p.listsUploads},
		{Name: "copy of 16 MiB beside its upload", Run: p.copies},
		{Name: "copy in parts", Run: p.copiesParts},
		{Name: "storage class", Run: p.storageClass},
		{Name: "server-side encryption", Run: p.encryption},
		{Name: "keys a and a/b", Run: p.nestedKeys},
		{Name: "versioning", Run: p.versioning},
		{Name: "lifecycle rules", Run: p.lifecycle},
		{Name: "speed of 4 KiB", Run: p.latency},
	}
}

type prober struct {
	b      *Backend
	folder string
}

// answer is what a probe returns.
type answer = doctor.Verdict

// failed is the answer of a probe that could not look.
func failed(err error) (string, answer, string) {
	return "could not be looked at", doctor.Warn, said(err).Error()
}

func outcome(err error) string {
	if err == nil {
		return "accepted"
	}
	return said(err).Error()
}

func (p *prober) put(ctx context.Context, name string, body []byte, change func(*s3.PutObjectInput), options ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	in := &s3.PutObjectInput{Bucket: p.b.bucket(), Key: aws.String(p.folder + name), Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body)))}
	if change != nil {
		change(in)
	}
	return p.b.calls.PutObject(ctx, in, options...)
}

// remove cleans up after a probe, also when its time is over.
func (p *prober) remove(ctx context.Context, names ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.b.options.IdleTimeout)
	defer cancel()
	for _, name := range names {
		if err := p.b.remove(ctx, p.folder+name); err != nil {
			p.b.options.Log.Warn("a scratch object could not be removed; sweeping will", "object", p.folder+name, "error", err)
		}
	}
}

func (p *prober) clocks(ctx context.Context) (string, answer, string) {
	out, err := p.put(ctx, "clock", nil, nil)
	if err != nil {
		return failed(err)
	}
	defer p.remove(ctx, "clock")
	there, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !ok {
		return "no Date in the answer", doctor.Warn, "clock skew cannot be watched"
	}
	skew := p.b.options.Now().Sub(there).Round(time.Second)
	if skew.Abs() > time.Minute {
		return skew.String() + " apart", doctor.Warn, "services refuse 15 minutes: check both clocks against NTP"
	}
	return skew.String() + " apart", doctor.OK, ""
}

func (p *prober) checksPayload(ctx context.Context) (string, answer, string) {
	_, err := p.put(ctx, "payload", []byte("abc"), nil, withSum(strings.Repeat("0", 64)), once)
	defer p.remove(ctx, "payload")
	if err == nil {
		return "accepted", doctor.Warn, "the service compares no x-amz-content-sha256: bytes damaged on the way are found by verification only"
	}
	return outcome(err), doctor.OK, ""
}

func (p *prober) checksChecksums(ctx context.Context) (string, answer, string) {
	_, err := p.put(ctx, "checksum", []byte("abc"), func(in *s3.PutObjectInput) {
		in.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	}, once)
	defer p.remove(ctx, "checksum")
	return outcome(err), doctor.OK, "not relied on"
}

func (p *prober) conditionalPut(ctx context.Context) (string, answer, string) {
	if _, err := p.put(ctx, "conditional", []byte("a"), nil); err != nil {
		return failed(err)
	}
	defer p.remove(ctx, "conditional")
	_, err := p.put(ctx, "conditional", []byte("b"), func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }, once)
	return outcome(err), doctor.OK, "not relied on"
}

// upload begins a multipart upload with some parts of 5 MiB.
func (p *prober) upload(ctx context.Context, name string, n int) (*multipart, []part, error) {
	m, err := p.b.newMultipart(ctx, p.folder+name, newNonce())
	if err != nil {
		return nil, nil, err
	}
	body, err := p.b.Memory().reserve(ctx, partLeast)
	if err != nil {
		return m, nil, err
	}
	defer body.release()
	body.pad(partLeast)
	var parts []part
	for i := range n {
		sent, err := m.send(ctx, i+1, body)
		if err != nil {
			return m, nil, err
		}
		parts = append(parts, sent)
	}
	return m, parts, nil
}

// drop ends an upload of a probe.
func (p *prober) drop(ctx context.Context, m *multipart, name string) {
	if m != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.b.options.IdleTimeout)
		defer cancel()
		if err := m.abort(ctx); err != nil {
			p.b.options.Log.Warn("a scratch upload could not be removed; sweeping will", "error", err)
		}
	}
	p.remove(ctx, name)
}

func (p *prober) leavesOutParts(ctx context.Context) (string, answer, string) {
	m, parts, err := p.upload(ctx, "parts", 2)
	defer p.drop(ctx, m, "parts")
	if err != nil {
		return failed(err)
	}
	err = m.completeOnce(ctx, parts[:1])
	if err != nil {
		return outcome(err), doctor.OK, "parts of an attempt that was given up are overwritten, or cut off by the copy"
	}
	return outcome(err), doctor.OK, ""
}

func (p *prober) completesTwice(ctx context.Context) (string, answer, string) {
	m, parts, err := p.upload(ctx, "twice", 1)
	defer p.drop(ctx, m, "twice")
	if err == nil {
		err = m.completeOnce(ctx, parts)
	}
	if err != nil {
		return failed(err)
	}
	again := m.completeOnce(ctx, parts)
	unknown := &multipart{p.b, m.key, m.id + "x", m.nonce}
	return fmt.Sprintf("again: %s; unknown: %s", outcome(again), outcome(unknown.completeOnce(ctx, parts))), doctor.OK, "every uncertain completion is looked into"
}

func (p *prober) listsUploads(ctx context.Context) (string, answer, string) {
	m, _, err := p.upload(ctx, "listed", 0)
	defer p.drop(ctx, m, "listed")
	if err != nil {
		return failed(err)
	}
	page, err := p.b.calls.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: p.b.bucket(), Prefix: &p.folder})
	if err != nil {
		return failed(err)
	}
	if !slices.ContainsFunc(page.Uploads, func(u types.MultipartUpload) bool { return aws.ToString(u.UploadId) == m.id }) {
		return "no", doctor.Warn, "sweeping cannot find abandoned uploads there: let a lifecycle rule or the service itself abort them after some days"
	}
	return "yes", doctor.OK, ""
}

func (p *prober) copies(ctx context.Context) (string, answer, string) {
	body := make([]byte, 16*mib)
	start := time.Now()
	if _, err := p.put(ctx, "source", body, nil); err != nil {
		return failed(err)
	}
	defer p.remove(ctx, "source", "copy")
	upload := time.Since(start)
	start = time.Now()
	if err := p.b.copyObject(ctx, p.folder+"source", p.folder+"copy"); err != nil {
		return outcome(err), doctor.Warn, "an upload whose digest is not announced is copied in parts"
	}
	took := time.Since(start)
	return fmt.Sprintf("%v beside %v", took.Round(time.Millisecond), upload.Round(time.Millisecond)), doctor.OK, ""
}

func (p *prober) copiesParts(ctx context.Context) (string, answer, string) {
	if _, err := p.put(ctx, "whole", make([]byte, partLeast+1), nil); err != nil {
		return failed(err)
	}
	err := p.b.copyParts(ctx, p.folder+"whole", p.folder+"part", newNonce(), partLeast)
	defer p.remove(ctx, "whole", "part")
	if err != nil {
		return outcome(err), doctor.Warn, "an object beyond 5 GiB whose digest is not announced cannot be committed"
	}
	return "accepted", doctor.OK, ""
}

func (p *prober) storageClass(ctx context.Context) (string, answer, string) {
	want := types.StorageClass(p.b.options.StorageClass)
	if want == "" {
		return "none asked for", doctor.OK, ""
	}
	if _, err := p.put(ctx, "class", nil, func(in *s3.PutObjectInput) { in.StorageClass = want }); err != nil {
		return outcome(err), doctor.Fail, "the class is not configured there: correct storage_class"
	}
	defer p.remove(ctx, "class")
	head, err := p.b.headOnce(ctx, p.folder+"class")
	if err != nil {
		return failed(err)
	}
	if head.StorageClass != want && (head.StorageClass != "" || want != types.StorageClassStandard) {
		return fmt.Sprintf("asked %s, stored as %q", want, head.StorageClass), doctor.Warn, "the service drops the class silently"
	}
	return string(want), doctor.OK, ""
}

func (p *prober) encryption(ctx context.Context) (string, answer, string) {
	sse, id := p.b.encryption()
	if sse == "" {
		return "none asked for", doctor.OK, ""
	}
	if _, err := p.put(ctx, "encrypted", nil, func(in *s3.PutObjectInput) { in.ServerSideEncryption, in.SSEKMSKeyId = sse, id }); err != nil {
		return outcome(err), doctor.Fail, "the service refuses it (RGW wants https, and a key management service for aws:kms): correct sse"
	}
	defer p.remove(ctx, "encrypted")
	head, err := p.b.headOnce(ctx, p.folder+"encrypted")
	if err != nil {
		return failed(err)
	}
	if head.ServerSideEncryption != sse {
		return fmt.Sprintf("asked %s, stored with %q", sse, head.ServerSideEncryption), doctor.Fail, "the service drops it silently: objects lie there unencrypted"
	}
	return string(sse), doctor.OK, ""
}

func (p *prober) nestedKeys(ctx context.Context) (string, answer, string) {
	_, err1 := p.put(ctx, "a", nil, nil)
	_, err2 := p.put(ctx, "a/b", nil, nil)
	defer p.remove(ctx, "a/b", "a")
	if err := errors.Join(err1, err2); err != nil {
		return outcome(err), doctor.Warn, "keys are file paths there; the gateway's own layout does not need both"
	}
	return "both", doctor.OK, ""
}

func (p *prober) versioning(ctx context.Context) (string, answer, string) {
	out, err := p.b.calls.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: p.b.bucket()})
	switch {
	case err != nil:
		return failed(err)
	case out.Status == types.BucketVersioningStatusEnabled:
		return "enabled", doctor.Warn, "deleting frees no space until a lifecycle rule expires noncurrent versions"
	}
	return "off", doctor.OK, ""
}

func (p *prober) lifecycle(ctx context.Context) (string, answer, string) {
	out, err := p.b.calls.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: p.b.bucket()})
	if code(err) == "NoSuchLifecycleConfiguration" {
		return "none", doctor.Warn, "a rule that aborts incomplete uploads after some days is a good second line behind sweeping"
	}
	if err != nil {
		return failed(err)
	}
	aborts := false
	for _, r := range out.Rules {
		if r.Status != types.ExpirationStatusEnabled {
			continue
		}
		aborts = aborts || r.AbortIncompleteMultipartUpload != nil
		if p.reaches(r) && (r.Expiration != nil && (r.Expiration.Days != nil || r.Expiration.Date != nil)) {
			return "a rule expires objects", doctor.Fail, fmt.Sprintf("rule %q deletes objects under key prefix %q behind the gateway's back: remove it", aws.ToString(r.ID), p.b.prefix)
		}
	}
	if !aborts {
		return "none aborts incomplete uploads", doctor.Warn, "such a rule is a good second line behind sweeping"
	}
	return "incomplete uploads are aborted", doctor.OK, ""
}

// reaches reports whether a rule's prefix touches this backend's keys.
func (p *prober) reaches(r types.LifecycleRule) bool {
	prefix := aws.ToString(r.Prefix)
	if r.Filter != nil && r.Filter.Prefix != nil {
		prefix = *r.Filter.Prefix
	}
	return strings.HasPrefix(prefix, p.b.prefix) || strings.HasPrefix(p.b.prefix, prefix)
}

// latency takes medians of eleven.
func (p *prober) latency(ctx context.Context) (string, answer, string) {
	var puts, gets []time.Duration
	defer p.remove(ctx, "speed")
	for range 11 {
		start := time.Now()
		if _, err := p.put(ctx, "speed", make([]byte, 4096), nil); err != nil {
			return failed(err)
		}
		puts = append(puts, time.Since(start))
		start = time.Now()
		r, err := p.b.open(ctx, p.folder+"speed", 0, 4096)
		if err != nil {
			return failed(err)
		}
		r.Close()
		gets = append(gets, time.Since(start))
	}
	slices.Sort(puts)
	slices.Sort(gets)
	result := fmt.Sprintf("put %v, get %v", puts[5].Round(time.Microsecond*100), gets[5].Round(time.Microsecond*100))
	if gets[5] > 30*time.Millisecond {
		return result, doctor.Warn, "over 30 ms: on RGW, look for tcp_nodelay=1 in rgw_frontends"
	}
	return result, doctor.OK, ""
}
