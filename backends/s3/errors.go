package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"artifactstore/backends"
)

// Kind is what is wrong with a backend, for programs.
type Kind string

// The kinds of a Problem.
const (
	Unreachable   Kind = "unreachable"    // no connection, or no answer in time
	TLS           Kind = "tls"            // the certificate is not trusted, or it is no TLS server
	Credentials   Kind = "credentials"    // the keys cannot be read or are refused
	Permission    Kind = "permission"     // the keys are good, but may not do this
	BucketMissing Kind = "bucket_missing" // the bucket does not exist
	ClockSkew     Kind = "clock_skew"     // the clocks differ too much
	WrongRegion   Kind = "wrong_region"   // the bucket is in another region
	StorageClass  Kind = "storage_class"  // the storage class is not known there
	Encryption    Kind = "encryption"     // the server-side encryption is refused
	Busy          Kind = "busy"           // the service asks to be called less, or is failing
	Unexpected    Kind = "unexpected"     // anything else it said
)

// Problem is a failure of the backend with a sentence on which an operator can
// act. It is backends.ErrUnavailable, and the error beneath.
type Problem struct {
	Kind     Kind
	Sentence string
	err      error
}

// Error is the sentence and what the server or the network said.
func (p *Problem) Error() string { return p.Sentence + " (" + p.err.Error() + ")" }

// Unwrap makes a Problem backends.ErrUnavailable.
func (p *Problem) Unwrap() []error { return []error{backends.ErrUnavailable, p.err} }

// code is the error code of an answer, "" where there was none.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// status is the HTTP status of an answer, 0 where there was none.
func status(err error) int {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// absent reports whether an answer says that the object is not there. A missing
// bucket, or an account that is not known, is not absence.
func absent(err error) bool { return code(err) == "NoSuchKey" }

// notFound is the answer to HEAD, which has no body to say what is not there.
func notFound(err error) bool {
	return code(err) == "NotFound" || code(err) == "" && status(err) == 404
}

func refusesKeys(code string) bool {
	switch code {
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "XAdminUserNotFound", "InvalidSecurity", "ExpiredToken", "InvalidToken", "UnrecognizedClientException":
		return true
	}
	return false
}

// fail turns an error of the SDK into one of the contract, with verb and subject.
func (b *Backend) fail(ctx context.Context, verb, subject string, err error) error {
	return fmt.Errorf("%s %s in bucket %s: %w", verb, subject, b.options.Bucket, b.meaning(ctx, err))
}

func (b *Backend) meaning(ctx context.Context, err error) error {
	var problem *Problem
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &problem), errors.Is(err, errEnded), contractual(err):
		return err
	case absent(err):
		return fs.ErrNotExist
	case code(err) == "NoSuchUpload":
		return backends.ErrUploadUnknown
	case full(err):
		return fmt.Errorf("%w (%s)", backends.ErrFull, said(err))
	}
	return b.problem(err)
}

// contractual reports whether an error has its meaning already.
func contractual(err error) bool {
	for _, known := range []error{backends.ErrShort, backends.ErrFull, backends.ErrUploadUnknown, backends.ErrKeyInvalid, backends.ErrUnavailable} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

func full(err error) bool {
	switch code(err) {
	case "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage", "EntityTooLarge":
		return true
	}
	return status(err) == http.StatusInsufficientStorage
}

// said is what the server answered, without the SDK's framing.
func said(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) {
		return fmt.Errorf("HTTP %d %s: %s", status(err), api.ErrorCode(), api.ErrorMessage())
	}
	return err
}

// problem finds the sentence for a failure.
func (b *Backend) problem(err error) *Problem {
	kind, sentence := b.diagnose(err)
	return &Problem{kind, sentence, said(err)}
}

func (b *Backend) diagnose(err error) (Kind, string) {
	o := b.options
	if errors.Is(err, errCredentials) {
		return Credentials, "the access key or the secret key cannot be read: check access_key_ref and secret_key_ref"
	}
	switch c := code(err); {
	case c == "NoSuchBucket":
		return BucketMissing, fmt.Sprintf("bucket %q does not exist at %s: create it, or correct bucket", o.Bucket, o.where())
	case c == "SignatureDoesNotMatch":
		return Credentials, "the secret key is wrong for this access key: check secret_key_ref"
	case refusesKeys(c):
		return Credentials, "the access key is not known there: check access_key_ref"
	case c == "RequestTimeTooSkewed" || c == "RequestExpired":
		return ClockSkew, "the clocks of this machine and of the service differ by more than it allows: check both against NTP"
	case c == "AuthorizationHeaderMalformed" || c == "PermanentRedirect" || c == "IllegalLocationConstraintException" || status(err) == http.StatusMovedPermanently || status(err) == http.StatusTemporaryRedirect:
		return WrongRegion, fmt.Sprintf("the service does not accept region %q for this bucket: correct region", o.Region)
	case c == "AccessDenied" || status(err) == http.StatusForbidden:
		return Permission, fmt.Sprintf("the keys are refused or may not do this in bucket %q: check both keys and the bucket's policy", o.Bucket)
	case c == "InvalidStorageClass" || c == "InvalidArgument" && o.StorageClass != "":
		return StorageClass, fmt.Sprintf("the service refuses the arguments; most likely storage class %q is not configured there: correct storage_class", o.StorageClass)
	case o.SSE != "" && (c == "InvalidRequest" || c == "NotImplemented" || c == "InvalidEncryptionAlgorithmError" || c == "KMS.NotFoundException"):
		return Encryption, fmt.Sprintf("the service refuses server-side encryption %q (some want https for it): correct sse and sse_kms_key_id", o.SSE)
	case c == "SlowDown" || status(err) >= 500 || status(err) == http.StatusTooManyRequests:
		return Busy, fmt.Sprintf("%s is failing or asks to be called less", o.where())
	case c == "" && status(err) == 0:
		return b.diagnoseNetwork(err)
	}
	return Unexpected, fmt.Sprintf("%s answered in a way that is not expected", o.where())
}

func (b *Backend) diagnoseNetwork(err error) (Kind, string) {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		verify    *tls.CertificateVerificationError
		dns       *net.DNSError
	)
	where := b.options.where()
	switch {
	case errors.As(err, &authority):
		return TLS, fmt.Sprintf("the certificate of %s is from an authority that this machine does not trust: set ca_file", where)
	case errors.As(err, &hostname):
		return TLS, fmt.Sprintf("the certificate of %s is for another name: correct endpoint_url or path_style", where)
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return TLS, fmt.Sprintf("%s does not speak TLS: correct the scheme of endpoint_url", where)
	case errors.As(err, &invalid), errors.As(err, &verify):
		return TLS, fmt.Sprintf("the certificate of %s is not valid", where)
	case errors.As(err, &dns):
		return Unreachable, fmt.Sprintf("the name of %s cannot be resolved: correct endpoint_url or path_style", where)
	}
	return Unreachable, fmt.Sprintf("%s cannot be reached, or the connection broke", where)
}
