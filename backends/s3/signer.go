package s3

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// signer signs with the secret that it is given. The client's own keeps the key that
// it derives from a secret by access key and day alone: it would go on all day with a
// secret that was wrong, or has been replaced under the same access key.
type signer struct {
	current atomic.Pointer[derived]
}

// derived is a signer that has seen one secret.
type derived struct {
	secret string
	*v4.Signer
}

// SignHTTP signs as the client's own signer of this service does.
func (s *signer) SignHTTP(ctx context.Context, keys aws.Credentials, r *http.Request, payloadHash, service, region string, at time.Time, options ...func(*v4.SignerOptions)) error {
	d := s.current.Load()
	if d == nil || d.secret != keys.SecretAccessKey {
		d = &derived{keys.SecretAccessKey, v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })}
		s.current.Store(d)
	}
	return d.Signer.SignHTTP(ctx, keys, r, payloadHash, service, region, at, options...)
}
