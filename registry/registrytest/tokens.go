package registrytest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// tokenHash is the hash of the n-th token.
func tokenHash(n int) digest.Digest {
	sum := sha256.Sum256(fmt.Appendf(nil, "token %d", n))
	return digest.New(digest.SHA256, sum[:])
}

func token(id string, n int) registry.TokenCreated {
	return registry.TokenCreated{ID: id, Principal: "ci-7", SHA256: tokenHash(n), Grants: []string{"push:ci-7", `pull:"<&>☃`}}
}

func expiring(d registry.TokenCreated, at time.Time) registry.TokenCreated {
	d.ExpiresAt = at
	return d
}

func revoked(id string) registry.TokenRevoked { return registry.TokenRevoked{ID: id} }

// admission is what a registry answers about tokens beside what its model does.
type admission struct {
	t     reporter
	ctx   context.Context
	reg   registry.Auth
	model *registry.Model
}

func (a admission) token(id string) {
	a.t.Helper()
	got, err := a.reg.Token(a.ctx, id)
	want, wantErr := a.model.Token(id)
	same(comparison{t: a.t}, "Token "+id, got, err, want, wantErr)
}

func (a admission) hash(hash digest.Digest) {
	a.t.Helper()
	got, err := a.reg.TokenByHash(a.ctx, hash)
	want, wantErr := a.model.TokenByHash(hash)
	same(comparison{t: a.t}, "TokenByHash "+hash.String(), got, err, want, wantErr)
}

// agreesTokens checks that the view of tokens is the replay of the log.
func agreesTokens(t *testing.T, r registry.Auth, log []registry.Record, m *registry.Model) {
	t.Helper()
	a := admission{t, t.Context(), r, m}
	for _, rec := range log {
		if d, ok := rec.Data.(registry.TokenCreated); ok {
			a.token(d.ID)
			a.hash(d.SHA256)
		}
	}
	got, err := r.Tokens(t.Context(), "", 1<<20)
	same(comparison{t: t}, "Tokens", got, err, m.Tokens("", 1<<20), nil)
}

// testTokens asks for a token through its life, on another handle than that which
// changes it.
func testTokens(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	unknown := func() {
		t.Helper()
		for _, id := range []string{"t1", "", "T1", "t1\x00", "t\xff"} {
			_, err := other.Token(t.Context(), id)
			wantError(t, fmt.Sprintf("token %q", id), err, fs.ErrNotExist)
		}
		for _, hash := range []digest.Digest{tokenHash(1), {}, stored(1).BLAKE3, digest.New(digest.BLAKE3, tokenHash(2).Sum())} {
			_, err := other.TokenByHash(t.Context(), hash)
			wantError(t, "token with hash "+hash.String(), err, fs.ErrNotExist)
		}
	}
	unknown()
	mustAppend(t, r, append(by("ann", token("t2", 2)), by("bob ☃", expiring(token("t3", 3), day(3)))...)...)
	unknown()
	got := func(id string, n int) registry.Token {
		t.Helper()
		byID, err := other.Token(t.Context(), id)
		byHash, err2 := other.TokenByHash(t.Context(), tokenHash(n))
		if err != nil || err2 != nil {
			t.Fatalf("%s: %v, %v", id, err, err2)
		}
		diff(t, id+" by its hash", byHash, byID)
		return byID
	}
	log := records(t, r, 0)
	want := registry.Token{ID: "t3", Principal: "ci-7", Hash: tokenHash(3), Grants: token("", 3).Grants, CreatedBy: "bob ☃", CreatedAt: log[1].Time, ExpiresAt: day(3)}
	diff(t, "t3", got("t3", 3), want)
	want.ID, want.Hash, want.CreatedBy, want.CreatedAt, want.ExpiresAt = "t2", tokenHash(2), "ann", log[0].Time, time.Time{}
	diff(t, "t2", got("t2", 2), want)
	got("t2", 2).Grants[0] = "*:*" // the caller's own
	diff(t, "t2 again", got("t2", 2), want)
	mustAppend(t, r, by("eve", revoked("t2"))...)
	want.RevokedAt = records(t, r, 2)[0].Time
	diff(t, "t2 once it is revoked", got("t2", 2), want)
	mustAppend(t, r, put("local", 1)...)
	diff(t, "t2 later", got("t2", 2), want)
	agrees(t, other)
}

func testTokenConflicts(t *testing.T, db *database) {
	r := db.open()
	mustAppend(t, r, by("ann", token("t1", 1), expiring(token("t2", 2), over), token("t3", 3), revoked("t3"))...)
	for what, d := range map[string]registry.Data{
		"a taken id":                  token("t1", 9),
		"a taken hash":                token("t9", 1),
		"both":                        token("t1", 1),
		"id of one, hash of another":  token("t1", 2),
		"the id of an expired token":  token("t2", 9),
		"the hash of an expired one":  token("t9", 2),
		"the id of a revoked token":   token("t3", 9),
		"the hash of a revoked one":   token("t9", 3),
		"an unknown one revoked":      revoked("t9"),
		"a revoked one revoked":       revoked("t3"),
		"another case of id, revoked": revoked("T1"),
	} {
		refused(t, r, what, d)
		_, err := r.Append(t.Context(), append(put("local", 1), by("ann", d)...)...)
		wantError(t, what+", behind what fits", err, registry.ErrConflict)
	}
	for what, call := range map[string][]registry.Data{
		"one id twice":             {token("t9", 8), token("t9", 9)},
		"one hash twice":           {token("t8", 9), token("t9", 9)},
		"revoked before it is":     {revoked("t9"), token("t9", 9)},
		"revoked twice":            {token("t9", 9), revoked("t9"), revoked("t9")},
		"created anew, as it ends": {revoked("t1"), token("t1", 1)},
	} {
		_, err := r.Append(t.Context(), by("ann", call...)...)
		wantError(t, what, err, registry.ErrConflict)
	}
	mustAppend(t, r, by("ann", token("T1", 9), revoked("T1"), revoked("t2"))...)
	agrees(t, r)
}

// testTokensListed walks the tokens, whose order is that of bytes.
func testTokensListed(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	ids := []string{"0", "A", "B-", "B.", "B0", "Bb", "_", "a", "aB", "ab", "z"} // "_" begins no id
	for i, id := range ids {
		if id != "_" {
			mustAppend(t, r, by("ann", token(id, i))...)
		}
	}
	mustAppend(t, r, by("ann", revoked("ab"))...)
	m := replay(t, records(t, r, 0))
	for _, after := range append(ids, "", "zz", "B") {
		for _, limit := range []int{0, 1, 3, 100} {
			got, err := other.Tokens(t.Context(), after, limit)
			same(comparison{t: t}, fmt.Sprintf("%d tokens after %q", limit, after), got, err, m.Tokens(after, limit), nil)
		}
	}
}

// testTokensReplayed rebuilds the view, which finds nothing to mend.
func testTokensReplayed(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	mustAppend(t, r, by("ann", token("t1", 1), expiring(token("t2", 2), day(2)), token("t3", 3), revoked("t3"))...)
	for what, read := range map[string]func() (registry.Report, error){
		"Check":   func() (registry.Report, error) { return other.Check(t.Context(), nil) },
		"Rebuild": func() (registry.Report, error) { return other.Rebuild(t.Context(), nil) },
	} {
		report, err := read()
		if err != nil || len(report.Problems) > 0 {
			t.Errorf("%s: %v, %v", what, report.Problems, err)
		}
		agrees(t, r)
	}
	mustAppend(t, r, by("ann", revoked("t1"))...)
	agrees(t, other)
}
