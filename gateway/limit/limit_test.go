package limit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"artifactstore/cas"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/origin"
)

// of is the context of a request: of a principal with a name, or, where it begins
// with "@", of nobody at an address.
func of(t *testing.T, who string) context.Context {
	if at, ok := strings.CutPrefix(who, "@"); ok {
		a, _ := netip.ParseAddr(at)
		return auth.With(origin.With(t.Context(), origin.Origin{Client: a}), auth.Anonymous)
	}
	return auth.With(t.Context(), auth.Principal{Name: who, Authenticated: true})
}

func TestWho(t *testing.T) {
	for who, want := range map[string]string{
		"ann":             "ann",
		"anonymous":       "anonymous", // one who is called so is not nobody
		"@192.0.2.1":      "@192.0.2.1",
		"@2001:db8::1":    "@2001:db8::",
		"@2001:db8::2:1":  "@2001:db8::",
		"@2001:db8:0:1::": "@2001:db8:0:1::",
		"@":               "@",
	} {
		if got := Who(of(t, who)); got != want {
			t.Errorf("%s: %s, want %s", who, got, want)
		}
	}
}

func TestUploads(t *testing.T) {
	put := httptest.NewRequest("PUT", "/", strings.NewReader("x"))
	u := &Uploads{Most: 2}
	begin := func(who string, r *http.Request) (func(), error) { return u.Begin(of(t, who), r) }
	one, err := begin("ann", put)
	two, err2 := begin("ann", put)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	_, err = begin("ann", put)
	var over *Exceeded
	if !errors.As(err, &over) || over.What != "uploads" || over.Most != 2 || over.Retry <= 0 {
		t.Fatalf("%v", err)
	}
	for _, other := range []string{"bob", "@192.0.2.1", "@192.0.2.2", "@2001:db8::1"} {
		done, err := begin(other, put)
		if err != nil {
			t.Errorf("%s: %v", other, err)
		}
		defer done()
	}
	unbounded := httptest.NewRequest("POST", "/", nil)
	unbounded.ContentLength = -1
	if _, err := begin("ann", unbounded); err == nil {
		t.Error("a body of unknown length is not counted")
	}
	for _, r := range []*http.Request{httptest.NewRequest("GET", "/", nil), httptest.NewRequest("POST", "/", nil), httptest.NewRequest("DELETE", "/", strings.NewReader("x"))} {
		if _, err := begin("ann", r); err != nil {
			t.Errorf("%s without a body: %v", r.Method, err)
		}
	}
	one()
	three, err := begin("ann", put)
	if err != nil {
		t.Error("the place of one that ended is not free")
	}
	two()
	three()
	if n, there := u.now["ann"]; there {
		t.Errorf("%d are left", n)
	}
	for _, none := range []*Uploads{nil, {}} {
		for range 3 {
			if _, err := none.Begin(of(t, "ann"), put); err != nil {
				t.Error(err)
			}
		}
	}
}

// store knows which sessions are open.
type store struct {
	ended map[string]bool
	asked int
}

func (s *store) open(_ context.Context, id cas.Session) bool {
	s.asked++
	return !s.ended[id.ID]
}

func sessionsOf(most int) (*Sessions, *store, *time.Time) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := &store{ended: map[string]bool{}}
	return &Sessions{Most: most, Keep: time.Hour, Open: at.open, Now: func() time.Time { return now }}, at, &now
}

func begin(t *testing.T, s *Sessions, who, id string) error {
	t.Helper()
	began, err := s.Begin(of(t, who))
	if err == nil {
		began(cas.Session{ID: id})
	}
	return err
}

func TestSessions(t *testing.T) {
	s, at, _ := sessionsOf(3)
	for i := range 3 {
		if err := begin(t, s, "ann", fmt.Sprint("a", i)); err != nil {
			t.Fatal(err)
		}
	}
	err := begin(t, s, "ann", "a3")
	var over *Exceeded
	if !errors.As(err, &over) || over.What != "sessions" || over.Retry <= 0 {
		t.Fatalf("%v", err)
	}
	if at.asked == 0 || at.asked > looks {
		t.Errorf("%d were looked up", at.asked)
	}
	if err := begin(t, s, "bob", "b0"); err != nil {
		t.Error(err)
	}
	s.End("a1")
	s.End("a1")
	s.End("unheard of")
	if err := begin(t, s, "ann", "a3"); err != nil {
		t.Error("the place of one that ended is not free")
	}
	if err := begin(t, s, "ann", "a4"); err == nil {
		t.Error("one end made room for two")
	}
	at.ended["a2"] = true // on another gateway
	if err := begin(t, s, "ann", "a4"); err != nil {
		t.Error("one that ended elsewhere stands in the way")
	}
	// One that could not be opened takes no place.
	s.End("a4")
	began, err := s.Begin(of(t, "ann"))
	if err != nil {
		t.Fatal(err)
	}
	if err := begin(t, s, "ann", "a5"); err == nil {
		t.Error("a place was given twice")
	}
	began(cas.Session{})
	if err := begin(t, s, "ann", "a5"); err != nil {
		t.Error(err)
	}
}

// However many are open, each attempt looks up a few, and all of them in turn.
func TestSessionsAreLookedUpInTurn(t *testing.T) {
	s, at, now := sessionsOf(20)
	for i := range 20 {
		begin(t, s, "ann", fmt.Sprint("a", i))
		*now = now.Add(time.Second)
	}
	at.ended["a17"] = true
	for tries := 1; ; tries++ {
		before := at.asked
		err := begin(t, s, "ann", "new")
		if at.asked-before > looks {
			t.Fatalf("%d were looked up at once", at.asked-before)
		}
		if err == nil {
			break
		}
		if tries > 5 {
			t.Fatal("the one that ended is not found")
		}
	}
}

// What nothing is heard of is forgotten, and takes no memory.
func TestSessionsAreForgotten(t *testing.T) {
	s, _, now := sessionsOf(3)
	for i := range 100 {
		begin(t, s, fmt.Sprint("p", i), fmt.Sprint("s", i))
	}
	*now = now.Add(50 * time.Minute)
	s.Heard("s7")
	*now = now.Add(20 * time.Minute)
	begin(t, s, "ann", "a")
	if len(s.known) != 2 || len(s.of) != 2 || s.known["s7"] == nil {
		t.Errorf("%d sessions of %d principals are still counted", len(s.known), len(s.of))
	}
}

func TestNoBoundOfSessions(t *testing.T) {
	for _, s := range []*Sessions{nil, {}} {
		for range 3 {
			if err := begin(t, s, "ann", "x"); err != nil {
				t.Error(err)
			}
		}
		s.Heard("x")
		s.End("x")
	}
}
