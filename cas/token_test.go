package cas_test

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

func hashOf(text string) digest.Digest {
	sum := sha256.Sum256([]byte(text))
	return digest.New(digest.SHA256, sum[:])
}

// A token is made, found, listed and revoked, each as the store beside it sees it.
func TestTokens(t *testing.T) {
	everyHouse(t, func(t *testing.T, at shapes.House) {
		h := open(t, options{at: at})
		ctx := t.Context()
		ends := time.Date(2030, 1, 2, 3, 4, 5, 6789, time.FixedZone("east", 3600))
		made, err := h.store.CreateToken(ctx, cas.Token{ID: "t2", Principal: "ci-7", Hash: hashOf("two"), Grants: []string{"push:ci-7"},
			ExpiresAt: ends, CreatedBy: "eve", RevokedAt: ends}, "operator")
		if err != nil {
			t.Fatal(err)
		}
		if made.CreatedBy != "operator" || made.CreatedAt.IsZero() || !made.RevokedAt.IsZero() || !made.ExpiresAt.Equal(ends.Truncate(time.Microsecond)) {
			t.Errorf("made: %+v", made)
		}
		forever, err := h.store.CreateToken(ctx, cas.Token{ID: "t1", Principal: "ann", Hash: hashOf("one"), Grants: []string{"*:*"}}, "operator")
		if err != nil || !forever.ExpiresAt.IsZero() {
			t.Errorf("one that never expires: %+v, %v", forever, err)
		}
		for what, taken := range map[string]cas.Token{
			"id":   {ID: "t1", Principal: "eve", Hash: hashOf("three"), Grants: []string{"*:*"}},
			"hash": {ID: "t3", Principal: "eve", Hash: hashOf("one"), Grants: []string{"*:*"}},
		} {
			if _, err := h.store.CreateToken(ctx, taken, "operator"); err == nil {
				t.Errorf("a token with a taken %s", what)
			} else {
				wantError(t, err, registry.ErrConflict)
			}
		}
		if found, err := h.store.TokenByHash(ctx, hashOf("two")); err != nil || found.ID != "t2" || found.Principal != "ci-7" || !found.ExpiresAt.Equal(made.ExpiresAt) {
			t.Errorf("by its hash: %+v, %v", found, err)
		}
		_, err = h.store.TokenByHash(ctx, hashOf("three"))
		wantError(t, err, cas.ErrTokenUnknown)
		wantTokens(t, h.store, "", "t1", "t2")
		wantTokens(t, h.store, "t1", "t2")
		testRevoke(t, ctx, h.store)
		h.audit()
	})
}

func wantTokens(t *testing.T, s *cas.Store, after string, ids ...string) {
	t.Helper()
	found, err := s.Tokens(t.Context(), after, 100)
	if err != nil || len(found) != len(ids) {
		t.Fatalf("tokens after %q: %+v, %v", after, found, err)
	}
	for i, id := range ids {
		if found[i].ID != id {
			t.Errorf("token %d after %q is %s, want %s", i, after, found[i].ID, id)
		}
	}
}

func testRevoke(t *testing.T, ctx context.Context, s *cas.Store) {
	t.Helper()
	for _, unknown := range []string{"t3", "", "T1", "t1\n"} {
		wantError(t, s.RevokeToken(ctx, unknown, "operator"), cas.ErrTokenUnknown)
	}
	if err := s.RevokeToken(ctx, "t1", "operator"); err != nil {
		t.Fatal(err)
	}
	first, err := s.TokenByHash(ctx, hashOf("one"))
	if err != nil || first.RevokedAt.IsZero() {
		t.Errorf("revoked: %+v, %v", first, err)
	}
	if err := s.RevokeToken(ctx, "t1", "operator"); err != nil {
		t.Errorf("revoked again: %v", err)
	}
	if again, err := s.TokenByHash(ctx, hashOf("one")); err != nil || !again.RevokedAt.Equal(first.RevokedAt) {
		t.Errorf("revoked again: %+v, %v, want what it was: %+v", again, err, first)
	}
	if other, err := s.TokenByHash(ctx, hashOf("two")); err != nil || !other.RevokedAt.IsZero() {
		t.Errorf("another token: %+v, %v", other, err)
	}
}

// Of many who revoke a token at once each hears that it is revoked, and the log has
// one event of it.
func TestTokenRevokedAtOnce(t *testing.T) {
	h := open(t, options{})
	ctx := t.Context()
	if _, err := h.store.CreateToken(ctx, cas.Token{ID: "t1", Principal: "ci", Hash: hashOf("one"), Grants: []string{"*:*"}}, "operator"); err != nil {
		t.Fatal(err)
	}
	answers := make(chan error)
	for range 8 {
		go func() { answers <- h.store.RevokeToken(ctx, "t1", "operator") }()
	}
	for range 8 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	revoked := 0
	for r, err := range h.store.Events(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Data.Type() == registry.TypeTokenRevoked {
			revoked++
		}
	}
	if revoked != 1 {
		t.Errorf("%d events of the end of one token", revoked)
	}
}

// What keeps the gateways' keys is what the registry says, in the store's errors.
func TestSigningKeys(t *testing.T) {
	h := open(t, options{})
	ctx := t.Context()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	k := cas.SigningKey{ID: "k", Secret: []byte{1, 2, 3}, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	if err := h.store.AddSigningKey(ctx, k); err != nil {
		t.Fatal(err)
	}
	wantError(t, h.store.AddSigningKey(ctx, k), registry.ErrConflict)
	for _, c := range []struct {
		before time.Time
		left   int
	}{{k.ExpiresAt, 1}, {k.ExpiresAt.Add(time.Microsecond), 0}} {
		if err := h.store.DropSigningKeys(ctx, c.before); err != nil {
			t.Fatal(err)
		}
		keys, err := h.store.SigningKeys(ctx)
		if err != nil || len(keys) != c.left || c.left == 1 && (string(keys[0].Secret) != "\x01\x02\x03" || !keys[0].ExpiresAt.Equal(k.ExpiresAt)) {
			t.Errorf("keys, those that end before %s dropped: %+v, %v", c.before, keys, err)
		}
	}
}
