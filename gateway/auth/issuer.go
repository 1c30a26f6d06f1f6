package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Service is the name of the gateways among those who sign tokens: all that share a
// registry are one service.
const Service = "artifactstore"

// How long signed tokens are good.
const (
	// AccessLife is how long a token for a scope is: so long it outlives at most what
	// its holder was let in by.
	AccessLife = 5 * time.Minute
	// RefreshLife is how long another one can be had without credentials.
	RefreshLife = 90 * 24 * time.Hour
	// skew is how far the clocks of two gateways may be apart.
	skew = 30 * time.Second
)

// maxSigned bounds a signed token, in bytes. It must fit into a header.
const maxSigned = 32 << 10

// refreshAudience makes of a token one that is good for having another, and for
// nothing else.
const refreshAudience = Service + "/refresh"

// Issuer signs tokens that carry a part of what a principal may do for a short time,
// and knows them again: JSON web tokens (RFC 7519) with Ed25519 (RFC 8037) and no other
// algorithm, by keys that all gateways share.
//
// A token that was given for an API token names it by its hash, and is good only as
// long as that: revoking the one ends the other at once. What was given for other
// credentials is good until it expires.
type Issuer struct {
	ring   *keyring
	holder func(context.Context, [sha256.Size]byte) (Principal, error)
	now    func() time.Time
	seen   *bounded[[sha256.Size]byte, signed] // whose signature was good
}

// Bounds of what is remembered: some 10 MiB.
const (
	maxSeen      = 1 << 12 // signatures
	maxSeenBytes = 2 << 10 // of a token
)

// NewIssuer returns an issuer. holder says who has an API token by the SHA-256 of its
// text, [ErrCredentials] where nobody has; nil knows none. ErrCredentials of it is for
// ever.
func NewIssuer(keys SigningKeys, holder func(context.Context, [sha256.Size]byte) (Principal, error), now func() time.Time) *Issuer {
	if holder == nil {
		holder = func(context.Context, [sha256.Size]byte) (Principal, error) { return Principal{}, ErrCredentials }
	}
	return &Issuer{
		ring: &keyring{keys: keys, now: now, unknown: budget{burst: burst, every: unknownEach}}, holder: holder, now: now,
		seen: newBounded[[sha256.Size]byte, signed](maxSeen),
	}
}

// signed is what a token says.
type signed struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"` // the principal's name
	Audience  string   `json:"aud"`
	ID        string   `json:"jti"`
	IssuedAt  int64    `json:"iat"` // seconds since 1970, as all times
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
	Access    []string `json:"access,omitempty"`    // grants
	APIToken  string   `json:"api_token,omitempty"` // the hexadecimal SHA-256 of its text

	key    string
	grants []Grant
}

// Given is what a client gets.
type Given struct {
	Access   string
	IssuedAt time.Time
	Refresh  string // empty where none was asked for, or can be
}

// Give signs a token for what of some scopes a principal may do: nothing else, and no
// error where that is nothing. secret is what the principal was let in by, which the
// token then depends on where it is an API token; only for such a one can a refreshing
// token be had, since the gateway can ask for no other whether it is still good.
func (i *Issuer) Give(ctx context.Context, p Principal, secret string, scopes []Scope, refreshing bool) (Given, error) {
	sum, known, err := i.apiToken(ctx, secret)
	if err != nil {
		return Given{}, err
	}
	g, err := i.give(ctx, p, sum, known, scopes)
	if err != nil || !refreshing || !known {
		return g, err
	}
	g.Refresh, err = i.sign(ctx, signed{Subject: p.Name, Audience: refreshAudience, APIToken: hex.EncodeToString(sum[:])}, RefreshLife)
	return g, err
}

// Refresh signs a token for who has a refreshing one. It is [ErrCredentials] where
// that, or the API token behind it, is not or no longer good.
func (i *Issuer) Refresh(ctx context.Context, text string, scopes []Scope) (Given, error) {
	t, err := i.verify(ctx, text, refreshAudience)
	if err != nil {
		return Given{}, err
	}
	p, sum, err := i.behind(ctx, t)
	if err != nil {
		return Given{}, err
	}
	return i.give(ctx, p, sum, true, scopes)
}

func (i *Issuer) give(ctx context.Context, p Principal, sum [sha256.Size]byte, known bool, scopes []Scope) (Given, error) {
	t := signed{Subject: p.Name, Audience: Service}
	for _, g := range p.cut(scopes) {
		t.Access = append(t.Access, g.String())
	}
	if known {
		t.APIToken = hex.EncodeToString(sum[:])
	}
	at := i.now().Truncate(time.Second)
	text, err := i.sign(ctx, t, AccessLife)
	return Given{Access: text, IssuedAt: at}, err
}

// apiToken reports whether a secret is an API token. Of what has not the form of one a
// hash is given to nobody: it might be guessed.
func (i *Issuer) apiToken(ctx context.Context, secret string) (sum [sha256.Size]byte, known bool, err error) {
	if !isToken(secret) {
		return sum, false, nil
	}
	sum = sha256.Sum256([]byte(secret))
	_, err = i.holder(ctx, sum)
	if err == nil {
		return sum, true, nil
	}
	return sum, false, unlessBad(err)
}

// behind returns who has the API token that a signed one depends on.
func (i *Issuer) behind(ctx context.Context, t signed) (p Principal, sum [sha256.Size]byte, err error) {
	raw, err := hex.DecodeString(t.APIToken)
	if err != nil || len(raw) != len(sum) {
		return p, sum, ErrCredentials
	}
	sum = [sha256.Size]byte(raw)
	if p, err = i.holder(ctx, sum); err == nil && p.Name != t.Subject {
		err = ErrCredentials
	}
	return p, sum, err
}

// sign completes what a token says and signs it.
func (i *Issuer) sign(ctx context.Context, t signed, life time.Duration) (string, error) {
	key, err := i.ring.signing(ctx)
	if err != nil {
		return "", err
	}
	now := i.now()
	t.Issuer, t.ID = Service, rand.Text()
	t.IssuedAt, t.NotBefore, t.Expires = now.Unix(), now.Unix(), now.Add(life).Unix()
	payload, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	by := jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: key.private, KeyID: key.id}}
	with, err := jose.NewSigner(by, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	object, err := with.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	text, err := object.CompactSerialize()
	if err == nil && len(text) > maxSigned {
		return "", ErrTooMuch
	}
	return text, err
}
