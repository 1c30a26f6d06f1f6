package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"testing"

	"artifactstore/registry"
)

func tokenEvent(d registry.Data) registry.Event { return registry.Event{Actor: "ann", Data: d} }

// TestTokenIsRemembered: a token is looked up once between two commits. What another
// handle commits, as another process does, is seen by the next look-up.
func TestTokenIsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	r, other := open(t, path), open(t, path)
	if r.tokens.index == nil {
		if runtime.GOOS == "linux" {
			t.Fatal("the mark of the database cannot be read")
		}
		return // every look-up asks SQLite
	}
	hash := blob(1).SHA256
	mustAppend(t, r, tokenEvent(registry.TokenCreated{ID: "t1", Principal: "ci", SHA256: hash, Grants: []string{"pull:*"}}))
	if _, err := r.TokenByHash(gone(t), hash); !errors.Is(err, context.Canceled) {
		t.Fatalf("a first look-up asks SQLite: %v", err)
	}
	look := func(ctx context.Context) registry.Token {
		t.Helper()
		found, err := r.TokenByHash(ctx, hash)
		if err != nil || found.ID != "t1" || found.Grants[0] != "pull:*" {
			t.Fatalf("the token: %+v, %v", found, err)
		}
		return found
	}
	look(t.Context()).Grants[0] = "spoiled"
	look(gone(t)).Grants[0] = "spoiled"
	if !look(gone(t)).RevokedAt.IsZero() {
		t.Error("it is revoked")
	}
	mustAppend(t, other, tokenEvent(registry.TokenRevoked{ID: "t1"}))
	if _, err := r.TokenByHash(gone(t), hash); !errors.Is(err, context.Canceled) {
		t.Errorf("a look-up after a commit: %v", err)
	}
	if look(t.Context()).RevokedAt.IsZero() || look(gone(t)).RevokedAt.IsZero() {
		t.Error("it is not revoked")
	}
	if _, err := r.TokenByHash(t.Context(), blob(2).SHA256); !errors.Is(err, errAbsent) {
		t.Fatalf("an unknown token: %v", err)
	}
	mustAppend(t, other, tokenEvent(registry.TokenCreated{ID: "t2", Principal: "ci", SHA256: blob(2).SHA256, Grants: []string{"pull:*"}}))
	if _, err := r.TokenByHash(t.Context(), blob(2).SHA256); err != nil {
		t.Errorf("what was unknown, once it is there: %v", err)
	}
}
