package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Identify implements [Method] for tokens that a gateway signed.
func (i *Issuer) Identify(ctx context.Context, c Credentials) (Principal, bool, error) {
	if c.Bearer == "" || !i.sawIt(c.Bearer) && issuerOf(c.Bearer) != Service {
		return Principal{}, false, nil
	}
	t, err := i.verify(ctx, c.Bearer, Service)
	if err != nil {
		return Principal{}, false, err
	}
	if t.APIToken != "" {
		if _, _, err := i.behind(ctx, t); err != nil {
			return Principal{}, false, err
		}
	}
	return Principal{Name: t.Subject, Grants: t.grants, Scoped: true}, true, nil
}

func (i *Issuer) sawIt(text string) bool {
	_, ok := i.seen.get(sha256.Sum256([]byte(text)))
	return ok
}

// verify returns what a token says that is good for an audience now. The signature is
// looked at once: to do that for each request would cost more than the request.
func (i *Issuer) verify(ctx context.Context, text, audience string) (signed, error) {
	if len(text) > maxSigned {
		return signed{}, ErrCredentials
	}
	sum := sha256.Sum256([]byte(text))
	t, ok := i.seen.get(sum)
	if ok {
		if _, err := i.ring.find(ctx, t.key); err != nil {
			return signed{}, err
		}
	} else {
		var err error
		if t, err = i.open(ctx, text); err != nil {
			return signed{}, err
		}
		if len(text) <= maxSeenBytes {
			i.seen.put(sum, t)
		}
	}
	now := i.now()
	if t.Issuer != Service || t.Audience != audience || t.Subject == "" ||
		now.Before(time.Unix(t.NotBefore, 0).Add(-skew)) || !now.Before(time.Unix(t.Expires, 0)) {
		return signed{}, ErrCredentials
	}
	return t, nil
}

// open checks a token's signature and reads it.
func (i *Issuer) open(ctx context.Context, text string) (t signed, err error) {
	object, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil || len(object.Signatures) != 1 {
		return t, ErrCredentials
	}
	id := object.Signatures[0].Protected.KeyID
	key, err := i.ring.find(ctx, id)
	if err != nil {
		return t, err
	}
	payload, err := object.Verify(key.public)
	if err != nil || json.Unmarshal(payload, &t) != nil {
		return t, ErrCredentials
	}
	t.key = id
	for _, text := range t.Access {
		g, err := ParseGrant(text)
		if err != nil {
			return t, ErrCredentials
		}
		t.grants = append(t.grants, g)
	}
	return t, nil
}

// issuerOf returns who a JSON web token says has signed it, of which nothing is
// checked, or "". It tells only which method has to look at it.
func issuerOf(text string) string {
	if len(text) > maxSigned {
		return ""
	}
	_, rest, _ := strings.Cut(text, ".")
	middle, last, two := strings.Cut(rest, ".")
	if !two || strings.Contains(last, ".") {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(middle)
	if err != nil {
		return ""
	}
	var says struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(raw, &says) != nil {
		return ""
	}
	return says.Issuer
}

var _ Method = (*Issuer)(nil)
