package auth

import (
	"context"
	"crypto/x509"
	"path"
	"time"
)

// Certificates knows client certificates, which the TLS handshake has verified: that
// an authority of the configuration made them for clients. They are looked at again
// for each request, since a connection may outlast a certificate.
type Certificates struct {
	Rules []CertificateRule // the first match wins; what none matches is refused
	Now   func() time.Time
}

// CertificateRule says what who has a certificate may do.
type CertificateRule struct {
	// Name is a pattern of path.Match over a name of the certificate: its common
	// name, or else a DNS name or a URI that it also has (subject alternative names).
	// What it matches is the principal, written as of a claim (see [OIDC]).
	Name   string
	Grants []Grant
}

// Identify implements [Method] for client certificates.
func (k *Certificates) Identify(_ context.Context, c Credentials) (Principal, bool, error) {
	if c.Certificate == nil {
		return Principal{}, false, nil
	}
	if now := k.Now(); now.Before(c.Certificate.NotBefore) || now.After(c.Certificate.NotAfter) {
		return Principal{}, false, ErrCredentials
	}
	names := namesOf(c.Certificate)
	for _, rule := range k.Rules {
		for _, name := range names {
			if ok, err := path.Match(rule.Name, name); err != nil || !ok {
				continue
			}
			principal, err := principalName(name)
			if err != nil {
				return Principal{}, false, ErrCredentials
			}
			return Principal{Name: principal, Grants: rule.Grants}, true, nil
		}
	}
	return Principal{}, false, ErrCredentials
}

// namesOf are the names of a certificate, its common name first.
func namesOf(c *x509.Certificate) (all []string) {
	if c.Subject.CommonName != "" {
		all = append(all, c.Subject.CommonName)
	}
	all = append(all, c.DNSNames...)
	for _, u := range c.URIs {
		all = append(all, u.String())
	}
	return all
}

var _ Method = (*Certificates)(nil)
