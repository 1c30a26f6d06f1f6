package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"time"

	"artifactstore/cmd/config"
	"artifactstore/gateway"
	"artifactstore/gateway/ops"
	"artifactstore/gateway/origin"
)

// expirySoon is how long before its end a certificate is warned of.
const expirySoon = 14 * 24 * time.Hour

// keyPair reads the configured certificate and key, and again when they change.
func keyPair(c *config.Config, log *slog.Logger) (*gateway.KeyPair, error) {
	return gateway.NewKeyPair(func() (certificate, key string, err error) {
		env := os.Environ()
		if certificate, err = c.TLS.CertificateRef.Read(env); err != nil {
			return "", "", fmt.Errorf("tls.certificate_ref: %w", err)
		}
		if key, err = c.TLS.KeyRef.Read(env); err != nil {
			return "", "", fmt.Errorf("tls.key_ref: %w", err)
		}
		return certificate, key, nil
	}, log)
}

// encryption is how connections are encrypted, nil where they are not. It says in
// the log what will soon be wrong with the certificate, and in the metrics when.
func encryption(c *config.Config, metrics *ops.Metrics, log *slog.Logger) (*tls.Config, error) {
	if !c.TLS.On() {
		return nil, nil
	}
	pair, err := keyPair(c, log)
	if err != nil {
		return nil, err
	}
	if err := validity(pair.Leaf(), time.Now(), 0); err != nil {
		log.Error("clients will refuse the certificate", "reason", err)
	} else if err := validity(pair.Leaf(), time.Now(), expirySoon); err != nil {
		log.Warn("the certificate has to be replaced soon", "reason", err)
	}
	clients, err := clientAuthorities(c)
	if err != nil {
		return nil, err
	}
	metrics.WatchCertificate(pair.Expires)
	return pair.Config(clients), nil
}

// clientAuthorities are those whose client certificates are taken, nil for none.
func clientAuthorities(c *config.Config) (*x509.CertPool, error) {
	if !c.Auth.Mode.Has(config.ModeCertificates) {
		return nil, nil
	}
	return authorities("auth.certificates.ca_file", c.Auth.Certificates.CAFile)
}

// checkEncryption looks whether serve could encrypt: a mistake is an error, and what
// will be one soon a warning.
func checkEncryption(c *config.Config, now time.Time) (warnings []string, err error) {
	if !c.TLS.On() {
		return nil, nil
	}
	pair, err := keyPair(c, slog.New(slog.DiscardHandler))
	if err == nil {
		_, err = clientAuthorities(c)
	}
	if err == nil {
		err = validity(pair.Leaf(), now, 0)
	}
	if err != nil {
		return nil, err
	}
	if err := validity(pair.Leaf(), now, expirySoon); err != nil {
		warnings = append(warnings, err.Error())
	}
	return warnings, nil
}

// validity is nil for a certificate that clients take now, and for some time.
func validity(leaf *x509.Certificate, now time.Time, ahead time.Duration) error {
	switch {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("tls.certificate_ref: the certificate is valid only from %s on", leaf.NotBefore.Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("tls.certificate_ref: the certificate expired on %s", leaf.NotAfter.Format(time.RFC3339))
	case now.Add(ahead).After(leaf.NotAfter):
		return fmt.Errorf("tls.certificate_ref: the certificate expires on %s", leaf.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// proxies are the networks whose hosts are believed whom they forward for.
func proxies(c *config.Config) (networks origin.Proxies) {
	for _, n := range c.Proxies {
		networks = append(networks, n.Prefix())
	}
	return networks
}
