package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
)

// newClient returns a client with a connection pool of its own.
func newClient(o Options, keys *credentials) (*s3.Client, error) {
	transport, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	options := s3.Options{
		Region:       o.Region,
		UsePathStyle: o.PathStyle,
		Credentials:  keys,
		HTTPSignerV4: &signer{},
		HTTPClient:   &http.Client{Transport: transport, CheckRedirect: noRedirect},
		Retryer:      newRetryer(o, keys),
		Logger:       logging.Nop{},
		// RGW refuses the trailing checksums of the default over https and checks
		// no checksum header at all: see withSum for what proves the bytes.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		// A wrong clock is to be told, not worked around.
		DisableClockSkewCorrection: true,
	}
	if o.EndpointURL != "" {
		options.BaseEndpoint = aws.String(o.EndpointURL)
	}
	return s3.New(options), nil
}

// noRedirect hands a redirection to the caller: another region's answer must be
// told, and a signature is for one host.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// newTransport makes a pool that uses no proxy of the environment: a backend is
// where its configuration says.
func newTransport(o Options) (*http.Transport, error) {
	roots, err := certificates(o.CAFile)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &idleConn{conn, o.IdleTimeout}, nil
		},
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   10 * time.Second,
		MaxConnsPerHost:       o.MaxConnections,
		MaxIdleConns:          o.MaxConnections,
		MaxIdleConnsPerHost:   o.MaxConnections,
		IdleConnTimeout:       min(o.IdleTimeout, 30*time.Second),
		ResponseHeaderTimeout: o.IdleTimeout,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
		WriteBufferSize:       slabBytes,
		ReadBufferSize:        slabBytes,
	}, nil
}

// certificates returns the system's authorities and those of a file, nil where
// there is no file.
func certificates(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the CA file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("the CA file %s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// idleConn ends a connection on which the other side is silent, or takes
// nothing, for longer than idle.
type idleConn struct {
	net.Conn
	idle time.Duration
}

func (c *idleConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *idleConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// resend are refusals that say that the bytes did not arrive as they were sent,
// or that the service is in its own way: versitygw finds a directory in place of an
// object where another request has just removed the folder that it is in.
var resend = map[string]struct{}{
	"XAmzContentSHA256Mismatch": {}, "BadDigest": {}, "IncompleteBody": {}, "RequestTimeout": {}, "InvalidDigest": {},
	"SlowDown": {}, "ServiceUnavailable": {}, "OperationAborted": {}, "ConcurrentModification": {}, "InternalError": {},
	"ExistingObjectIsDirectory": {},
}

// newRetryer bounds the attempts of one call. There is no token bucket besides:
// connections bound what a failing service is asked.
func newRetryer(o Options, keys *credentials) aws.Retryer {
	return retry.NewStandard(func(s *retry.StandardOptions) {
		s.MaxAttempts = o.MaxAttempts
		s.MaxBackoff = o.maxBackoff
		s.RateLimiter = noLimit{}
		s.Retryables = append([]retry.IsErrorRetryable{
			retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
				var torn *smithy.DeserializationError
				if errors.As(err, &torn) {
					return aws.TrueTernary // the answer ended early, in good order
				}
				if c := code(err); refusesKeys(c) || c == "Forbidden" {
					return aws.BoolTernary(keys.rotated())
				}
				return aws.UnknownTernary
			}),
			retry.RetryableErrorCode{Codes: resend},
		}, s.Retryables...)
	})
}

type noLimit struct{}

func (noLimit) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (noLimit) AddTokens(uint) error { return nil }

// withSum signs the given SHA-256 as x-amz-content-sha256. RGW, like every
// server measured, compares it with the bytes that came, over http and https
// alike; it costs a third of the CPU of Content-MD5 (SHA-NI 0.6 s/GiB against
// 1.6), and is computed once for all attempts.
func withSum(sum string) func(*s3.Options) {
	return func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("artifactstorePayloadSum",
				func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					return next.HandleInitialize(v4.SetPayloadHash(ctx, sum), in)
				}), middleware.Before)
		})
	}
}

// once makes a call without the client's own retries: for calls that must be
// looked into before they are made again.
func once(o *s3.Options) { o.RetryMaxAttempts, o.Retryer = 1, aws.NopRetryer{} }

// twice makes a call with one repetition at most.
func twice(o *s3.Options) { o.RetryMaxAttempts = min(2, o.Retryer.MaxAttempts()) }
