package auth

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"
)

func hashOf(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

// passwords is an Htpasswd under test, with its clock and its log.
type passwords struct {
	*Htpasswd
	*clock
	file string
	log  bytes.Buffer
}

func newPasswords(t *testing.T, lines ...string) *passwords {
	t.Helper()
	p := &passwords{clock: newClock(), file: filepath.Join(t.TempDir(), "htpasswd")}
	p.write(t, lines...)
	var err error
	p.Htpasswd, err = NewHtpasswd(HtpasswdOptions{
		File: p.file, Users: map[string][]Grant{"ann": grants(t, "push:ann"), "gone": grants(t, "*:*")},
		Now: p.now, Log: slog.New(slog.NewTextHandler(&p.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *passwords) write(t *testing.T, lines ...string) {
	t.Helper()
	if err := os.WriteFile(p.file+".new", []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p.file+".new", p.file); err != nil {
		t.Fatal(err)
	}
}

func (p *passwords) login(t *testing.T, from int, user, password string) (Principal, error) {
	t.Helper()
	who, known, err := p.Identify(t.Context(), Credentials{User: user, Password: password, Remote: addr(from)})
	if known != (err == nil) {
		t.Errorf("%s is known: %v, with %v", user, known, err)
	}
	return who, err
}

func TestHtpasswd(t *testing.T) {
	p := newPasswords(t, "# people", "ann:"+hashOf(t, "right"), "", "bob:"+strings.Replace(hashOf(t, "b"), "$2a$", "$2y$", 1))
	want := Principal{Name: "ann", Grants: grants(t, "push:ann")}
	for range 2 { // compared, and remembered
		who, err := p.login(t, 1, "ann", "right")
		if diff := cmp.Diff(want, who); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	if who, err := p.login(t, 1, "bob", "b"); err != nil || who.Name != "bob" || len(who.Grants) != 0 {
		t.Errorf("without grants: %+v, %v", who, err)
	}
	for _, wrong := range [][2]string{{"ann", "wrong"}, {"ann", ""}, {"ANN", "right"}, {"gone", "right"}, {"bob", "right"}, {"", "right"}, {"ann:x", "right"}} {
		if who, err := p.login(t, 2, wrong[0], wrong[1]); !errors.Is(err, ErrCredentials) {
			t.Errorf("%q: %+v, %v", wrong, who, err)
		}
	}
	if _, known, err := p.Identify(t.Context(), Credentials{Bearer: "right"}); known || err != nil {
		t.Errorf("a bearer token is taken for a password: %v, %v", known, err)
	}
}

// A name that is not there costs a comparison too, even with nobody in the file.
func TestHtpasswdUnknownNameIsCompared(t *testing.T) {
	p := newPasswords(t, "ann:"+hashOf(t, "right"))
	if hash, known := p.users.hash("nobody-of-that-name"); known || hash != p.users.hashes["ann"] {
		t.Errorf("compared with %q, %v", hash, known)
	}
	if _, err := p.login(t, 1, "nobody-of-that-name", "right"); !errors.Is(err, ErrCredentials) {
		t.Errorf("another one's password: %v", err)
	}
	if cost, err := bcrypt.Cost([]byte(nobody)); err != nil || cost != bcrypt.DefaultCost {
		t.Errorf("cost %d, %v", cost, err)
	}
	if err := bcrypt.CompareHashAndPassword([]byte(nobody), []byte("x")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		t.Errorf("a hash of nobody's that is not compared: %v", err)
	}
}

// A good password is not compared again for a while, at its own network, and never
// after its hash has changed.
func TestHtpasswdRemembers(t *testing.T) {
	right := hashOf(t, "right")
	p := newPasswords(t, "ann:"+right)
	compared := func() bool { // whether ann's login from network 1 would be
		key := p.sum(Credentials{User: "ann", Password: "right", Remote: addr(1)}, right)
		return !p.remembers(key)
	}
	if !compared() {
		t.Fatal("remembered before it was compared")
	}
	p.login(t, 1, "ann", "right")
	if compared() {
		t.Error("not remembered")
	}
	for _, c := range []Credentials{
		{User: "ann", Password: "wrong", Remote: addr(1)}, {User: "bob", Password: "right", Remote: addr(1)}, {User: "ann", Password: "right", Remote: addr(2)},
		{User: "annr", Password: "ight", Remote: addr(1)},
	} {
		if p.remembers(p.sum(c, right)) {
			t.Errorf("%+v counts as remembered", c)
		}
	}
	if p.remembers(p.sum(Credentials{User: "ann", Password: "right", Remote: addr(1)}, hashOf(t, "right"))) {
		t.Error("remembered for another hash")
	}
	p.advance(remembered)
	if !compared() {
		t.Error("remembered too long")
	}
	// Not the password itself, nor a sum that another process would make.
	if fmt.Sprint(p.good.m) == fmt.Sprint(newPasswords(t).good.m) || strings.Contains(fmt.Sprintf("%s", p.good.m), "right") {
		t.Error("what is remembered says something")
	}
}

func TestHtpasswdIsReadAgain(t *testing.T) {
	p := newPasswords(t, "ann:"+hashOf(t, "old"), "bob:"+hashOf(t, "b"))
	p.login(t, 1, "ann", "old")
	p.login(t, 1, "bob", "b")
	p.write(t, "ann:"+hashOf(t, "new"))
	p.advance(lookEvery)
	if _, err := p.login(t, 1, "ann", "old"); !errors.Is(err, ErrCredentials) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := p.login(t, 1, "bob", "b"); !errors.Is(err, ErrCredentials) {
		t.Errorf("who was taken out: %v", err)
	}
	if _, err := p.login(t, 1, "ann", "new"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	// What is not well formed changes nothing, and is logged once.
	const secret = "{SHA}dEnTsHsYsTeM"
	p.write(t, "ann:"+secret)
	for range 3 {
		p.advance(lookEvery)
		if _, err := p.login(t, 1, "ann", "new"); err != nil {
			t.Errorf("after a slip: %v", err)
		}
	}
	if said := p.log.String(); strings.Count(said, "not taken") != 1 || strings.Contains(said, secret) || !strings.Contains(said, "htpasswd:1: ann") {
		t.Errorf("logged:\n%s", said)
	}
	p.write(t, "bob:"+hashOf(t, "b"))
	p.advance(lookEvery)
	if _, err := p.login(t, 1, "bob", "b"); err != nil {
		t.Errorf("mended: %v", err)
	}
}

// Who guesses is slowed, also with the right password at last; others, and ann
// herself from elsewhere, are not.
func TestHtpasswdSlowsGuessing(t *testing.T) {
	p := newPasswords(t, "ann:"+hashOf(t, "right"), "bob:"+hashOf(t, "b"))
	p.login(t, 3, "ann", "right")
	for i := range ofNameAt.burst {
		if _, err := p.login(t, 1, "ann", fmt.Sprint("guess", i)); !errors.Is(err, ErrCredentials) {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	var slowed *Slowed
	for _, password := range []string{"another guess", "right"} {
		if _, err := p.login(t, 1, "ann", password); !errors.As(err, &slowed) || slowed.For != ofNameAt.every {
			t.Errorf("%s: %v", password, err)
		}
	}
	for who, from := range map[string]int{"elsewhere": 2, "where she was before": 3} {
		if _, err := p.login(t, from, "ann", "right"); err != nil {
			t.Errorf("ann from %s: %v", who, err)
		}
	}
	if _, err := p.login(t, 1, "bob", "b"); err != nil {
		t.Errorf("bob: %v", err)
	}
	p.advance(ofNameAt.every)
	if _, err := p.login(t, 1, "ann", "right"); err != nil {
		t.Errorf("after an interval: %v", err)
	}
}

// That a password is remembered is no quick way to guess it from the same network.
func TestHtpasswdRememberedIsNoOracle(t *testing.T) {
	p := newPasswords(t, "ann:"+hashOf(t, "right"))
	p.login(t, 1, "ann", "right")
	for i := range ofNameAt.burst {
		p.login(t, 1, "ann", fmt.Sprint("guess", i))
	}
	var slowed *Slowed
	if _, err := p.login(t, 1, "ann", "right"); !errors.As(err, &slowed) {
		t.Errorf("a guess that is right is told at once: %v", err)
	}
}

// Successes are never counted, wherever they come from; what another one's password
// did not get in for is no success.
func TestHtpasswdCountsFailuresOnly(t *testing.T) {
	p := newPasswords(t, "ann:"+hashOf(t, "right"))
	for i := range 2 * ofName.burst {
		if _, err := p.login(t, i, "ann", "right"); err != nil {
			t.Fatalf("login %d: %v", i, err)
		}
	}
	for range ofNameAt.burst {
		p.login(t, 1, "unknown", "right")
	}
	var slowed *Slowed
	if _, err := p.login(t, 1, "unknown", "right"); !errors.As(err, &slowed) {
		t.Errorf("a name that is not there is not slowed: %v", err)
	}
}

// Many at once with one good password are one comparison, and count as no failures.
func TestHtpasswdManyAtOnce(t *testing.T) {
	p := newPasswords(t, "ann:"+hashOf(t, "right"))
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			if _, err := p.login(t, 1, "ann", "right"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s := p.o.Throttle.take(p.o.Throttle.password(addr(1), "ann")); s != nil {
		t.Error(s)
	}
}

func TestParseHtpasswd(t *testing.T) {
	good := hashOf(t, "x")
	for text, want := range map[string]map[string]string{
		"":                                       {},
		"# a\n\n  \n":                            {},
		"ann:" + good:                            {"ann": good},
		"ann:" + good + "\r\nb.b+b:" + good:      {"ann": good, "b.b+b": good},
		"ann:" + good + " \t\n#bob:" + "nothing": {"ann": good},
	} {
		if got, err := parseHtpasswd(text); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"ann":                                 "1: ann: the hash is not of bcrypt",
		"ann:":                                "1: ann: the hash is not of bcrypt",
		"\nann:secret":                        "2: ann: the hash is not of bcrypt",
		"ann:$apr1$x$secret":                  "1: ann: the hash is not of bcrypt",
		"ann:" + good + "x":                   "1: ann: the hash is not of bcrypt",
		"ann:" + good + ":secret":             "1: ann: the hash is not of bcrypt",
		"ann:$2b$17$" + good[7:]:              "1: ann: the hash has cost 17: want 16 at most",
		"ann:$2b$99$" + good[7:]:              "1: ann: the hash is damaged",
		"ann:" + good + "\nann:" + good:       "2: ann is there twice",
		"a b:" + good:                         "1: \"a b\" is not a name",
		":" + good:                            "1: \"\" is not a name",
		"anonymous:" + good:                   "1: anonymous is not to be had as a name",
		"rebuild:" + good:                     "1: rebuild is not to be had as a name",
		strings.Repeat("a", 200) + ":" + good: "1: \"aaa",
	} {
		if _, err := parseHtpasswd(text); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v; want %s", text, err, want)
		}
	}
}

func TestNewHtpasswdSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, bytes.Repeat([]byte("#\n"), maxHtpasswd), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{filepath.Join(dir, "none"): "no such file", large: "is larger than", dir: "is a directory"} {
		if _, err := NewHtpasswd(HtpasswdOptions{File: file, Now: time.Now}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", file, err, want)
		}
	}
}

// FuzzHtpasswd reads any file: what it takes has names and hashes of their forms, and
// what it says of others repeats no hash.
func FuzzHtpasswd(f *testing.F) {
	good := hashOf(f, "x")
	for _, seed := range []string{"ann:" + good, "# x\nann:" + good + "\n\nbob:" + good, "ann", ":", "ann:$2y$31$" + good[7:], "a:" + good + "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		users, err := parseHtpasswd(text)
		if err != nil && strings.Contains(err.Error(), "$2") && !strings.Contains(err.Error(), "is not a name") {
			t.Errorf("%v", err)
		}
		for name, hash := range users {
			cost, err := bcrypt.Cost([]byte(hash))
			if err != nil || cost > maxCost || CheckName(name) != nil {
				t.Errorf("%q has %q", name, hash)
			}
		}
	})
}
