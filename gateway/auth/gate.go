package auth

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"strings"
)

// Credentials are what a request says of who sends it. At most one of user and
// password, bearer, and certificate, is there: what the header says counts, and is not
// made good by a certificate.
type Credentials struct {
	User, Password string // Basic (RFC 7617)
	Bearer         string // RFC 6750
	// Certificate is the client's, verified in the TLS handshake; nil without one.
	Certificate *x509.Certificate
	Remote      netip.Addr // of the client
}

// Method is one way to say who one is. Known is false where the credentials are not
// of its kind: another method is asked. An error is [ErrCredentials], or that it
// cannot be told now.
type Method interface {
	Identify(context.Context, Credentials) (p Principal, known bool, err error)
}

// Gate finds out who asks. The zero Gate, and none, let everybody do everything.
type Gate struct {
	// Methods are asked in turn. Without any, everybody is [Anonymous].
	Methods []Method
	// Anonymous is what who gives no credentials may do.
	Anonymous []Grant
	// Throttle slows who sends credentials that are not good; nil slows nobody.
	Throttle *Throttle
	// Issuer signs tokens for who was let in, and is asked before the methods; nil
	// signs none.
	Issuer *Issuer
}

// Open reports whether nobody is asked who they are.
func (g *Gate) Open() bool { return g == nil || len(g.Methods) == 0 }

// Signs reports whether there are tokens to be had.
func (g *Gate) Signs() bool { return !g.Open() && g.Issuer != nil }

// Identify returns who sends a request, or [ErrCredentials], a [*Slowed], or why it
// cannot be told now. Wrong credentials are never taken for none.
func (g *Gate) Identify(r *http.Request, remote netip.Addr) (Principal, error) {
	if g.Open() {
		return Anonymous, nil
	}
	c, err := credentials(r)
	if err != nil {
		return Principal{}, g.failed(remote, err)
	}
	c.Remote = remote
	return g.Know(r.Context(), c)
}

// Know is [Gate.Identify] for credentials that stand elsewhere than in the header.
func (g *Gate) Know(ctx context.Context, c Credentials) (Principal, error) {
	p, err := g.know(ctx, c)
	if err != nil {
		return Principal{}, g.failed(c.Remote, err)
	}
	return p, nil
}

// failed counts credentials that were not good.
func (g *Gate) failed(remote netip.Addr, err error) error {
	if errors.Is(err, ErrCredentials) {
		if slowed := g.Throttle.failed(remote); slowed != nil {
			return slowed
		}
	}
	return err
}

func (g *Gate) know(ctx context.Context, c Credentials) (Principal, error) {
	if g.Issuer != nil {
		p, known, err := g.Issuer.Identify(ctx, c)
		p.Authenticated = p.Name != Anonymous.Name // for whom tokens are signed too
		if known || err != nil {
			return p, err
		}
	}
	for _, m := range g.Methods {
		p, known, err := m.Identify(ctx, c)
		if err != nil {
			return Principal{}, err
		}
		if known {
			p.Authenticated = true
			return p, nil
		}
	}
	if c.User != "" || c.Password != "" || c.Bearer != "" {
		return Principal{}, ErrCredentials
	}
	return Principal{Name: Anonymous.Name, Grants: g.Anonymous}, nil
}

// credentials reads a request's.
func credentials(r *http.Request) (c Credentials, err error) {
	fields := r.Header.Values("Authorization")
	if len(fields) == 0 {
		if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
			c.Certificate = r.TLS.VerifiedChains[0][0]
		}
		return c, nil
	}
	scheme, rest, _ := strings.Cut(fields[0], " ")
	switch {
	case len(fields) > 1:
		return c, ErrCredentials
	case strings.EqualFold(scheme, "Bearer"):
		if c.Bearer = strings.TrimSpace(rest); c.Bearer == "" {
			return c, ErrCredentials
		}
		return c, nil
	}
	var ok bool
	if c.User, c.Password, ok = r.BasicAuth(); !ok || c.User == "" && c.Password == "" {
		return c, ErrCredentials
	}
	return c, nil
}

// Secret returns what a request's sender was let in by: a bearer, or a password; ""
// where it is neither.
func Secret(r *http.Request) string {
	c, err := credentials(r)
	if err != nil || c.Bearer != "" {
		return c.Bearer
	}
	return c.Password
}
