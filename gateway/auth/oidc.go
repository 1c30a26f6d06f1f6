package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// OIDC knows the JSON web tokens of OpenID Connect issuers, such as those that CI
// systems give their jobs, as bearers and as passwords of any name.
//
// A token is good that its issuer signed with one of the keys it publishes now, by an
// asymmetric algorithm, for the configured audience, within its time, and whose claims
// a rule matches. Why one is not is logged, and not told. An issuer need not be there
// when the gateway starts.
type OIDC struct {
	issuers map[string][]*issuer // by their URL
	now     func() time.Time
	log     *slog.Logger
	seen    *bounded[[sha256.Size]byte, shown]
}

// OIDCIssuer is one whose tokens are taken.
type OIDCIssuer struct {
	URL      string // that tokens must name, letter by letter
	Audience string // that tokens must be for
	// PrincipalClaim is the claim that names the principal where a rule does not.
	PrincipalClaim string
	Rules          []ClaimRule // the first match wins
	// Transport reaches the issuer; nil is the usual one.
	Transport http.RoundTripper
}

// issuer is one of an OIDC.
type issuer struct {
	OIDCIssuer
	keys   *keySet
	verify *oidc.IDTokenVerifier
}

// shown is a token that was good, and the keys that said so.
type shown struct {
	Principal
	expires time.Time
	keys    *published
}

// algorithms are what issuers may sign with: those whose keys for checking are no
// secret. "none", and HMAC with a public key as its secret, are so no algorithms.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.PS256, oidc.PS384, oidc.PS512,
	oidc.ES256, oidc.ES384, oidc.ES512, oidc.EdDSA,
}

// notBefore is how far an issuer's clock may be ahead.
const notBefore = time.Minute

// NewOIDC returns what knows the tokens of some issuers. It asks none of them yet.
func NewOIDC(list []OIDCIssuer, now func() time.Time, log *slog.Logger) *OIDC {
	o := &OIDC{issuers: map[string][]*issuer{}, now: now, log: log, seen: newBounded[[sha256.Size]byte, shown](maxSeen)}
	for _, one := range list {
		keys := newKeySet(one.URL, one.Transport, now, log)
		o.issuers[one.URL] = append(o.issuers[one.URL], &issuer{one, keys, oidc.NewVerifier(one.URL, keys, &oidc.Config{
			ClientID: one.Audience, SupportedSigningAlgs: algorithms, Now: now,
		})})
	}
	return o
}

// Identify implements [Method] for tokens of the issuers.
func (o *OIDC) Identify(ctx context.Context, c Credentials) (Principal, bool, error) {
	text := c.Bearer
	if text == "" {
		text = c.Password
	}
	issuers := o.issuers[issuerOf(text)]
	if len(issuers) == 0 {
		return Principal{}, false, nil
	}
	err := ErrCredentials
	for _, one := range issuers { // they differ in their audience
		var p Principal
		if p, err = o.identify(ctx, one, text); err == nil {
			return p, true, nil
		}
		if !errors.Is(err, ErrCredentials) {
			return Principal{}, false, err
		}
	}
	return Principal{}, false, err
}

func (o *OIDC) identify(ctx context.Context, by *issuer, text string) (Principal, error) {
	now, err := by.keys.current(ctx)
	if err != nil {
		return Principal{}, err
	}
	sum := sha256.Sum256([]byte(by.Audience + "\x00" + text))
	if s, ok := o.seen.get(sum); ok && s.keys == now && o.now().Before(s.expires) {
		return s.Principal, nil
	}
	s, err := o.check(ctx, by, text)
	switch {
	case errors.Is(err, ErrUnavailable):
		return Principal{}, err
	case err != nil:
		o.log.Info("a token of an issuer is not taken", "issuer", by.URL, "audience", by.Audience, "error", fmt.Sprintf("%.500s", err.Error()))
		return Principal{}, ErrCredentials
	}
	s.keys = now // not those that were perhaps read meanwhile: then it is checked once more
	if len(text) <= maxSeenBytes {
		o.seen.put(sum, s)
	}
	return s.Principal, nil
}

// check says who has a token.
func (o *OIDC) check(ctx context.Context, by *issuer, text string) (s shown, err error) {
	var away error // go-oidc does not wrap the errors of a key set
	token, err := by.verify.Verify(context.WithValue(ctx, awayKey{}, &away), text)
	if away != nil {
		return s, away
	}
	if err != nil {
		return s, err
	}
	var claims map[string]json.RawMessage
	if err := token.Claims(&claims); err != nil {
		return s, err
	}
	var begins struct {
		NotBefore float64 `json:"nbf"`
	}
	if err := token.Claims(&begins); err != nil {
		return s, err
	}
	if o.now().Add(notBefore).Before(time.Unix(int64(begins.NotBefore), 0)) {
		return s, errors.New("it is not good yet")
	}
	s.expires = token.Expiry
	s.Principal, err = by.principal(claims)
	return s, err
}

// principal says who has certain claims, by the first rule that matches them.
func (i *issuer) principal(claims map[string]json.RawMessage) (Principal, error) {
	for _, rule := range i.Rules {
		if !rule.matches(claims) {
			continue
		}
		name := rule.Principal
		if name == "" {
			values := texts(claims[i.PrincipalClaim])
			if len(values) != 1 {
				return Principal{}, fmt.Errorf("its claim %.80q is not there, or no text: write principal in the rule, or another principal_claim", i.PrincipalClaim)
			}
			var err error
			if name, err = principalName(values[0]); err != nil {
				return Principal{}, fmt.Errorf("its claim %.80q: %w: write principal in the rule, or another principal_claim", i.PrincipalClaim, err)
			}
		}
		return Principal{Name: name, Grants: rule.Grants}, nil
	}
	return Principal{}, errors.New("no rule matches its claims")
}

var _ Method = (*OIDC)(nil)
