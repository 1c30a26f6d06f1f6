package gateway_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
	"artifactstore/gateway"
	"artifactstore/gateway/auth"
)

// registered are the signing keys and the tokens of a store that is there later.
type registered struct{ store *cas.Store }

func (k *registered) SigningKeys(ctx context.Context) (all []auth.SigningKey, err error) {
	list, err := k.store.SigningKeys(ctx)
	for _, one := range list {
		all = append(all, auth.SigningKey(one))
	}
	return all, err
}

func (k *registered) AddSigningKey(ctx context.Context, s auth.SigningKey) error {
	return k.store.AddSigningKey(ctx, cas.SigningKey(s))
}

func (k *registered) DropSigningKeys(ctx context.Context, before time.Time) error {
	return k.store.DropSigningKeys(ctx, before)
}

func (k *registered) find(ctx context.Context, sum [sha256.Size]byte) (auth.RegisteredToken, error) {
	t, err := k.store.TokenByHash(ctx, digest.New(digest.SHA256, sum[:]))
	if errors.Is(err, cas.ErrTokenUnknown) {
		return auth.RegisteredToken{}, auth.ErrCredentials
	}
	return auth.RegisteredToken{Principal: t.Principal, Grants: t.Grants, ExpiresAt: t.ExpiresAt, RevokedAt: t.RevokedAt}, err
}

func (k *registered) gate() *auth.Gate {
	tokens := &auth.Tokens{Now: time.Now, Find: k.find}
	return &auth.Gate{Methods: []auth.Method{tokens}, Issuer: auth.NewIssuer(k, tokens.Holder, time.Now)}
}

// An API token that is revoked at one gateway ends at once what another signed for it,
// and what would sign more. Nothing of it is in the log of events.
func TestRevokedEverywhereAtOnce(t *testing.T) {
	everyHouse(t, func(t *testing.T, at shapes.House) {
		k := &registered{}
		h := open(t, changes{at: at, gate: k.gate()})
		k.store = h.store
		other := httptest.NewServer(gateway.New(gateway.Options{Store: h.store, Gate: k.gate(), Log: slog.New(slog.DiscardHandler)}))
		t.Cleanup(other.Close)
		second := *h
		second.url = other.URL

		text := auth.NewToken()
		sum := sha256.Sum256([]byte(text))
		_, err := h.store.CreateToken(t.Context(), cas.Token{ID: "t1", Principal: "ci", Hash: digest.New(digest.SHA256, sum[:]), Grants: []string{"pull:*", "push:team"}}, "admin")
		if err != nil {
			t.Fatal(err)
		}
		query := "?offline_token=true&" + url.Values{"scope": {"repository:team/app:pull,push"}}.Encode()
		got := h.token("GET", query, "", "Authorization", basic("x", text))
		const path = "/v2/team/app/blobs/uploads/"
		second.do(202, "POST", path, "", "Authorization", "Bearer "+got.Token)
		refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}}.Encode()
		again := second.token("POST", "", refresh+"&scope=repository:team/app:push")
		h.do(202, "POST", path, "", "Authorization", "Bearer "+again.Token)

		if err := h.store.RevokeToken(t.Context(), "t1", "admin"); err != nil {
			t.Fatal(err)
		}
		for _, g := range []*house{h, &second} {
			for _, secret := range []string{got.Token, again.Token, text} {
				g.do(401, "POST", path, "", "Authorization", "Bearer "+secret)
			}
			g.do(401, "POST", "/v1/auth/token", refresh, "Content-Type", "application/x-www-form-urlencoded")
			g.do(401, "GET", "/v1/auth/token"+query, "", "Authorization", basic("x", text))
		}
		keys, err := h.store.SigningKeys(t.Context())
		if err != nil || len(keys) != 1 {
			t.Errorf("%d keys, %v", len(keys), err)
		}
	})
}
