package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"artifactstore/cmd/config"
	"artifactstore/gateway/auth"
)

// issuers knows the tokens of the configured issuers, none of which is asked yet.
func issuers(list []config.Issuer, log *slog.Logger) (*auth.OIDC, error) {
	var all []auth.OIDCIssuer
	for i, one := range list {
		at := fmt.Sprintf("auth.oidc[%d]", i)
		to := auth.OIDCIssuer{URL: one.Issuer, Audience: one.Audience, PrincipalClaim: one.PrincipalClaim}
		for j, r := range one.Rules {
			allow, err := grants(fmt.Sprintf("%s.rules[%d].allow", at, j), r.Allow)
			if err != nil {
				return nil, err
			}
			to.Rules = append(to.Rules, auth.ClaimRule{Claims: r.Claims, Principal: r.Principal, Grants: allow})
		}
		if one.CAFile != "" {
			pool, err := authorities(at+".ca_file", one.CAFile)
			if err != nil {
				return nil, err
			}
			transport := http.DefaultTransport.(*http.Transport).Clone()
			transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
			to.Transport = transport
		}
		all = append(all, to)
	}
	return auth.NewOIDC(all, time.Now, log), nil
}

// certificates knows client certificates. That an authority made them the TLS
// handshake finds out.
func certificates(c config.Certificates) (*auth.Certificates, error) {
	k := &auth.Certificates{Now: time.Now}
	for i, p := range c.Principals {
		allow, err := grants(fmt.Sprintf("auth.certificates.principals[%d].allow", i), p.Allow)
		if err != nil {
			return nil, err
		}
		k.Rules = append(k.Rules, auth.CertificateRule{Name: p.Name, Grants: allow})
	}
	return k, nil
}

// authorities reads certificates in PEM from a file that the configuration names at a
// path.
func authorities(at, name string) (*x509.CertPool, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: %s has no certificate in PEM", at, name)
	}
	return pool, nil
}
