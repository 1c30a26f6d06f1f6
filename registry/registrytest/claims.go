package registrytest

import (
	"bytes"
	"fmt"
	"io/fs"
	"sync/atomic"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// Claiming is a registry with claims.
type Claiming interface {
	registry.Registry
	registry.Claims
}

// RunClaims runs the suite of claims and states; otherwise it is as [Run].
func RunClaims(t *testing.T, fresh func(t *testing.T) func(t *testing.T) Claiming) {
	for _, c := range claimCases {
		t.Run(c.name, func(t *testing.T) {
			open := fresh(t)
			c.test(t, &database{t, func(t *testing.T) registry.Registry { return open(t) }})
		})
	}
}

var claimCases = []testCase{
	{"Claim", testClaim},
	{"ClaimEnds", testClaimEnds},
	{"ClaimRenewed", testClaimRenewed},
	{"ClaimedAtOnce", testClaimedAtOnce},
	{"ClaimStates", testClaimStates},
	{"ClaimsAreNoView", testClaimsAreNoView},
}

// claiming returns one more handle, as open does.
func (db *database) claiming() Claiming {
	db.t.Helper()
	return db.open().(Claiming)
}

func claim(t *testing.T, r Claiming, name string, lasting time.Duration) (uint64, bool) {
	t.Helper()
	token, ok, err := r.Claim(t.Context(), name, "a gateway", lasting)
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	return token, ok
}

func mustClaim(t *testing.T, r Claiming, name string, lasting time.Duration) uint64 {
	t.Helper()
	token, ok := claim(t, r, name, lasting)
	if !ok {
		t.Fatalf("%s is claimed", name)
	}
	return token
}

// claimEnded claims a name as soon as the claim on it, which is short, has ended.
func claimEnded(t *testing.T, r Claiming, name string) uint64 {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		if token, ok := claim(t, r, name, time.Hour); ok {
			return token
		}
		if time.Now().After(deadline) {
			t.Fatalf("the claim of %s does not end", name)
		}
	}
}

func refuseClaim(t *testing.T, r Claiming, what, name string) {
	t.Helper()
	if _, ok := claim(t, r, name, time.Hour); ok {
		t.Fatalf("%s: %s is claimed by two", what, name)
	}
}

func testClaim(t *testing.T, db *database) {
	r, other := db.claiming(), db.claiming()
	first := mustClaim(t, r, "verify local", time.Hour)
	refuseClaim(t, other, "claimed by another", "verify local")
	refuseClaim(t, r, "claimed by itself", "verify local")
	mustClaim(t, other, "verify Local", time.Hour)
	mustClaim(t, other, "verify", time.Hour)

	release := func(token uint64) {
		t.Helper()
		if err := other.Release(t.Context(), "verify local", token); err != nil {
			t.Errorf("Release: %v", err)
		}
	}
	release(first + 1)
	refuseClaim(t, r, "released by nobody who has it", "verify local")
	release(first)
	release(first) // twice is once
	second := mustClaim(t, other, "verify local", time.Hour)
	if second <= first {
		t.Errorf("token %d after token %d", second, first)
	}
	release(first)
	refuseClaim(t, r, "released by who had it before", "verify local")
	if err := r.Release(t.Context(), "unknown", 1); err != nil {
		t.Errorf("Release of an unknown name: %v", err)
	}
}

func testClaimEnds(t *testing.T, db *database) {
	r, other := db.claiming(), db.claiming()
	first := mustClaim(t, r, "collect", time.Microsecond)
	second := claimEnded(t, other, "collect")
	if second <= first {
		t.Errorf("token %d after token %d", second, first)
	}
	wantError(t, "renewal of a claim that another has taken", r.Renew(t.Context(), "collect", first, time.Hour), registry.ErrConflict)
	wantError(t, "state by a claim that another has taken", r.SetState(t.Context(), "collect", first, nil), registry.ErrConflict)
	if err := r.Release(t.Context(), "collect", first); err != nil {
		t.Errorf("Release: %v", err)
	}
	refuseClaim(t, r, "released by who lost it", "collect")
}

func testClaimRenewed(t *testing.T, db *database) {
	r, other := db.claiming(), db.claiming()
	renew := func(name string, token uint64, lasting time.Duration) {
		t.Helper()
		if err := other.Renew(t.Context(), name, token, lasting); err != nil {
			t.Errorf("Renew: %v", err)
		}
	}
	token := mustClaim(t, r, "short", time.Microsecond)
	renew("short", token, time.Hour) // ended perhaps, but nobody has taken it
	refuseClaim(t, other, "renewed", "short")
	renew("short", token, time.Microsecond) // from now, not from its end
	again := claimEnded(t, r, "short")
	if again <= token {
		t.Errorf("token %d after token %d", again, token)
	}
	for what, n := range map[string]uint64{"an old token": token, "a token of the future": again + 1, "no token": 0} {
		wantError(t, what, r.Renew(t.Context(), "short", n, time.Hour), registry.ErrConflict)
	}
	if err := r.Release(t.Context(), "short", again); err != nil {
		t.Errorf("Release: %v", err)
	}
	wantError(t, "renewal of a released claim", r.Renew(t.Context(), "short", again, time.Hour), registry.ErrConflict)
	wantError(t, "renewal of an unknown name", r.Renew(t.Context(), "unknown", 1, time.Hour), registry.ErrConflict)
	mustClaim(t, other, "short", time.Hour)
}

func testClaimedAtOnce(t *testing.T, db *database) {
	handles := []Claiming{db.claiming(), db.claiming()}
	var last uint64
	for round := range 5 {
		var winner atomic.Uint64
		together(12, func(i int) {
			token, ok, err := handles[i%2].Claim(t.Context(), "collect", fmt.Sprint(i), time.Hour)
			if err != nil {
				t.Errorf("Claim: %v", err)
			}
			if ok && !winner.CompareAndSwap(0, token) {
				t.Errorf("round %d: two have the claim", round)
			}
		})
		if winner.Load() <= last {
			t.Fatalf("round %d: token %d after token %d", round, winner.Load(), last)
		}
		last = winner.Load()
		if err := handles[round%2].Release(t.Context(), "collect", last); err != nil {
			t.Errorf("Release: %v", err)
		}
	}
}

func testClaimStates(t *testing.T, db *database) {
	r, other := db.claiming(), db.claiming()
	state := func(want []byte) {
		t.Helper()
		got, err := other.State(t.Context(), "verify")
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("State: %.40q, %v, want %.40q", got, err, want)
		}
	}
	set := func(token uint64, value []byte) {
		t.Helper()
		if err := r.SetState(t.Context(), "verify", token, value); err != nil {
			t.Errorf("SetState: %v", err)
		}
		state(value)
	}
	_, err := r.State(t.Context(), "verify")
	wantError(t, "state of an unknown name", err, fs.ErrNotExist)
	wantError(t, "state set without a claim", r.SetState(t.Context(), "verify", 1, nil), registry.ErrConflict)
	token := mustClaim(t, r, "verify", time.Hour)
	_, err = other.State(t.Context(), "verify")
	wantError(t, "state never set", err, fs.ErrNotExist)
	set(token, []byte{})
	set(token, []byte("one\x00\xff"))
	set(token, bytes.Repeat([]byte{0, 1}, 1<<19))
	set(token, []byte("two"))
	for what, n := range map[string]uint64{"another token": token + 1, "no token": 0} {
		wantError(t, what, other.SetState(t.Context(), "verify", n, []byte("three")), registry.ErrConflict)
	}
	wantError(t, "token of another name", other.SetState(t.Context(), "collect", token, nil), registry.ErrConflict)
	state([]byte("two"))
	if err := r.Release(t.Context(), "verify", token); err != nil {
		t.Errorf("Release: %v", err)
	}
	wantError(t, "state set after the release", r.SetState(t.Context(), "verify", token, []byte("three")), registry.ErrConflict)
	state([]byte("two")) // it outlives the claim
	next := mustClaim(t, other, "verify", time.Hour)
	state([]byte("two"))
	wantError(t, "state set by who had it before", r.SetState(t.Context(), "verify", token, []byte("three")), registry.ErrConflict)
	set(next, []byte("three"))
	_, err = r.State(t.Context(), "Verify")
	wantError(t, "state of another name", err, fs.ErrNotExist)
}

// testClaimsAreNoView shows that claims leave no trace in the log, and are left alone
// by what reads it.
func testClaimsAreNoView(t *testing.T, db *database) {
	r, other := db.claiming(), db.claiming()
	mustAppend(t, r, put("local", 1)...)
	before := whole(t, r)
	token := mustClaim(t, r, "verify", time.Hour)
	if err := r.SetState(t.Context(), "verify", token, []byte("here")); err != nil {
		t.Errorf("SetState: %v", err)
	}
	diff(t, "after a claim", whole(t, other), before)
	for what, read := range map[string]func() (registry.Report, error){
		"Check":   func() (registry.Report, error) { return other.Check(t.Context(), nil) },
		"Rebuild": func() (registry.Report, error) { return other.Rebuild(t.Context(), nil) },
	} {
		report, err := read()
		if err != nil || len(report.Problems) > 0 {
			t.Errorf("%s beside a claim: %v, %v", what, report.Problems, err)
		}
	}
	refuseClaim(t, other, "after a rebuild", "verify")
	if got, err := other.State(t.Context(), "verify"); err != nil || string(got) != "here" {
		t.Errorf("State after a rebuild: %q, %v", got, err)
	}
	diff(t, "blobs", blobs(t, r, digest.Digest{}), before.Blobs)
}
