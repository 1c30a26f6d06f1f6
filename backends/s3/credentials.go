package s3

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// credentialsAge is how long a key pair is used without asking for it again:
// long enough that a file is not read for every call, short enough that a
// rotated key is noticed before the old one is withdrawn.
const credentialsAge = 10 * time.Second

// credentials keeps the key pair that Options.Credentials returns.
type credentials struct {
	read func(context.Context) (access, secret string, err error)
	now  func() time.Time
	log  *slog.Logger

	mu      sync.Mutex
	current aws.Credentials
	at      time.Time
}

// Retrieve returns the key pair, read again when it is old. One that cannot be read
// then, a file that is being replaced for one, leaves the last in use: the service
// says when that is not good any more.
func (c *credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && c.now().Sub(c.at) < credentialsAge {
		return c.current, nil
	}
	if err := c.refresh(ctx); err != nil {
		if c.at.IsZero() {
			return aws.Credentials{}, err
		}
		c.log.Error("the keys cannot be read again; the last ones stay in use", "error", err)
		c.at = c.now()
	}
	return c.current, nil
}

// errCredentials marks that no key pair could be read.
var errCredentials = errors.New("the keys could not be read")

func (c *credentials) refresh(ctx context.Context) error {
	access, secret, err := c.read(ctx)
	if err != nil {
		return errors.Join(errCredentials, err)
	}
	if access == "" || secret == "" {
		return errors.Join(errCredentials, errors.New("the access key or the secret key is empty"))
	}
	c.current = aws.Credentials{AccessKeyID: access, SecretAccessKey: secret, Source: "configuration"}
	c.at = c.now()
	return nil
}

// rotated reads the key pair again and reports whether it has changed: then a
// call that was refused is worth another try.
func (c *credentials) rotated() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.current
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return c.refresh(ctx) == nil && c.current != before
}
