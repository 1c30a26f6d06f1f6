package auth

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"testing"
	"time"
)

func TestCertificates(t *testing.T) {
	c := newClock()
	k := &Certificates{Now: c.now, Rules: []CertificateRule{
		{"build-*", grants(t, "push:build")},
		{"*.ci.example.org", grants(t, "push:ci")},
		{"spiffe://example.org/*", grants(t, "pull:*")},
		{"*", grants(t, "pull:public")},
	}}
	certificate := func(cn string, dns []string, uris ...string) *x509.Certificate {
		x := &x509.Certificate{Subject: pkix.Name{CommonName: cn}, DNSNames: dns, NotBefore: c.at.Add(-time.Hour), NotAfter: c.at.Add(time.Hour)}
		for _, text := range uris {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			x.URIs = append(x.URIs, u)
		}
		return x
	}
	for what, tc := range map[string]struct {
		certificate *x509.Certificate
		name, may   string // name "" is refused
	}{
		"a common name":        {certificate("build-7", nil), "build-7", "push:build"},
		"a DNS name":           {certificate("", []string{"a.ci.example.org"}), "a.ci.example.org", "push:ci"},
		"a URI":                {certificate("", nil, "spiffe://example.org/web"), "spiffe+3A+2F+2Fexample.org+2Fweb", "pull:*"},
		"another, with signs":  {certificate("Ann Example", nil), "Ann+20Example", "pull:public"},
		"the first rule wins":  {certificate("x", []string{"a.ci.example.org", "build-8"}), "build-8", "push:build"},
		"a longer URI":         {certificate("", nil, "spiffe://example.org/a/b"), "", ""},
		"no name":              {certificate("", nil), "", ""},
		"anonymous":            {certificate("anonymous", nil), "", ""},
		"no beginning of name": {certificate("-x", nil), "", ""},
	} {
		p, known, err := k.Identify(t.Context(), Credentials{Certificate: tc.certificate})
		switch {
		case tc.name == "" && (known || !errors.Is(err, ErrCredentials)):
			t.Errorf("%s: %+v, %v", what, p, err)
		case tc.name != "" && (!known || err != nil || p.Name != tc.name || p.Grants[0].String() != tc.may):
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
	good := Credentials{Certificate: certificate("build-7", nil)}
	c.advance(time.Hour + 1)
	if _, known, err := k.Identify(t.Context(), good); known || !errors.Is(err, ErrCredentials) {
		t.Errorf("expired on an old connection: %v, %v", known, err)
	}
	c.advance(-2*time.Hour - 2)
	if _, known, err := k.Identify(t.Context(), good); known || !errors.Is(err, ErrCredentials) {
		t.Errorf("not yet good: %v, %v", known, err)
	}
	if _, known, err := k.Identify(t.Context(), Credentials{User: "build-7"}); known || err != nil {
		t.Errorf("without one: %v, %v", known, err)
	}
}

// A certificate that the handshake did not verify is none, and one that it did does
// not stand for wrong credentials in the header.
func TestCertificateOfConnection(t *testing.T) {
	c := newClock()
	g := &Gate{Methods: []Method{&Certificates{Now: c.now, Rules: []CertificateRule{{"*", nil}}}}}
	x := &x509.Certificate{Subject: pkix.Name{CommonName: "ann"}, NotBefore: c.at, NotAfter: c.at}
	r := &http.Request{Header: http.Header{}, TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{x}}}
	if p, err := g.Identify(r, netip.Addr{}); err != nil || p.Authenticated {
		t.Errorf("not verified: %+v, %v", p, err)
	}
	r.TLS.VerifiedChains = [][]*x509.Certificate{{x}}
	if p, err := g.Identify(r, netip.Addr{}); err != nil || p.Name != "ann" || !p.Authenticated {
		t.Errorf("verified: %+v, %v", p, err)
	}
	r.Header.Set("Authorization", "Bearer wrong")
	if p, err := g.Identify(r, netip.Addr{}); !errors.Is(err, ErrCredentials) {
		t.Errorf("beside wrong credentials: %+v, %v", p, err)
	}
}
