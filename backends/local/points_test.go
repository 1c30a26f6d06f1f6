package local

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artifactstore/backends"
)

const someName = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

func FuzzState(f *testing.F) {
	for _, seed := range []string{
		"", state{someName, 0, someName}.String(), state{someName, math.MaxInt64, someName}.String(),
		"local1 ../../../../../../etc/passwd 0 " + someName, "local1 " + someName + " -1 " + someName, "local1 " + someName + " 00 " + someName,
		"local1 " + someName + " 9223372036854775808 " + someName, "local2 " + someName + " 0 " + someName, "local1 " + someName + "  0 " + someName,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseState(text)
		if err != nil {
			wantError(t, "parse", err, backends.ErrUploadUnknown)
			return
		}
		if s.String() != string(text) || s.off < 0 || filepath.Base(s.id) != s.id || len(s.id) != nameLen || s.id[0] == '.' {
			t.Errorf("%q is taken for %+v", text, s)
		}
	})
}

func suspend(t *testing.T, u *upload) []byte {
	t.Helper()
	state, err := u.Suspend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func resume(t *testing.T, b *Backend, state []byte) *upload {
	t.Helper()
	u, err := b.Resume(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	return u.(*upload)
}

// The later of two that resume goes on, at once, in another process too. The
// older's files are still open; nothing it does reaches the object.
func TestTakenOver(t *testing.T) {
	root := t.TempDir()
	a, b := reopen(t, root), reopen(t, root)
	state := suspend(t, begin(t, a, "head "))
	older := resume(t, a, state)
	if _, err := older.Write([]byte("of the older")); err != nil {
		t.Fatal(err)
	}
	newer := resume(t, b, state)
	_, err := older.Write([]byte("x"))
	wantError(t, "write", err, backends.ErrUploadUnknown)
	if _, err := newer.Write([]byte("newer")); err != nil {
		t.Fatal(err)
	}
	older.failed = nil // a caller that goes on after an error
	_, err = older.Suspend(t.Context())
	wantError(t, "suspend", err, backends.ErrUploadUnknown)
	older.failed = nil
	wantError(t, "commit", older.Commit(t.Context(), "older"), backends.ErrUploadUnknown)
	if err := newer.Commit(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	older.key = ""
	_, err = older.Write([]byte("x"))
	wantError(t, "write after the commit", err, backends.ErrUploadUnknown)
	if err := older.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	equal(t, "object", get(b, "k"), "head newer")
	equal(t, "keys", keys(t, b), []string{"k"})
	equal(t, "staging", staged(t, b), []string(nil))
}

// An abort by one who was overtaken leaves the upload to the other.
func TestAbortOfTheOvertaken(t *testing.T) {
	b := reopen(t, t.TempDir())
	state := suspend(t, begin(t, b, "x"))
	older, newer := resume(t, b, state), resume(t, b, state)
	if err := older.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := newer.Commit(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	equal(t, "object", get(b, "k"), "x")
}

// A point given up stays given up, also where another point of the same offset,
// and bytes enough, came after it.
func TestPointGivenUp(t *testing.T) {
	b := reopen(t, t.TempDir())
	u := begin(t, b, "one ")
	first := suspend(t, u)
	u.Write([]byte("two "))
	second := suspend(t, u)
	v := resume(t, b, first)
	v.Write([]byte("zwei and more"))
	third := suspend(t, v)
	_, err := b.Resume(t.Context(), second)
	wantError(t, "resume what was given up", err, backends.ErrUploadUnknown)
	w := resume(t, b, third)
	if err := w.Commit(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	equal(t, "object", get(b, "k"), "one zwei and more")
}

// States that are well formed and false.
func TestFalseStates(t *testing.T) {
	b := reopen(t, t.TempDir())
	u := begin(t, b, "0123456789")
	s, err := parseState(suspend(t, u))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []state{
		{s.id, 5, s.token}, {s.id, 11, s.token}, {s.id, s.off, someName}, {someName, s.off, s.token}, {s.id, math.MaxInt64, s.token},
	} {
		_, err := b.Resume(t.Context(), []byte(bad.String()))
		wantError(t, bad.String(), err, backends.ErrUploadUnknown)
	}
	if err := os.Truncate(u.name(), 9); err != nil { // a file system that lost a byte
		t.Fatal(err)
	}
	_, err = b.Resume(t.Context(), []byte(s.String()))
	wantError(t, "a file too short", err, backends.ErrUploadUnknown)
}

// After a power failure a file system without a journal may show the staging
// name again, beside the object's: writing to it would change the object.
func TestSecondName(t *testing.T) {
	b := reopen(t, t.TempDir())
	u := begin(t, b, "x")
	state := suspend(t, u)
	points, err := os.ReadFile(u.pointsName())
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, u.pointsName(), string(points))
	if err := os.Link(filepath.Join(b.root, "k"), u.name()); err != nil {
		t.Fatal(err)
	}
	_, err = b.Resume(t.Context(), state)
	wantError(t, "resume", err, backends.ErrUploadUnknown)
	clean(t, b)
	equal(t, "object", get(b, "k"), "x")
}

// A crash may tear the line of a Suspend that never returned.
func TestTornPoints(t *testing.T) {
	for _, torn := range []string{"l", "local1 " + someName, strings.Repeat("\x00", 512)} {
		b := reopen(t, t.TempDir())
		u := begin(t, b, "one ")
		state := suspend(t, u)
		f, err := os.OpenFile(u.pointsName(), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(torn)
		f.Close()
		v := resume(t, b, state)
		v.Write([]byte("two"))
		w := resume(t, b, suspend(t, v))
		if err := w.Commit(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		equal(t, "object", get(b, "k"), "one two")
	}
}

// Ages are told apart by the later of an upload's two files.
func TestSweepAges(t *testing.T) {
	b := reopen(t, t.TempDir())
	now := time.Now()
	age := func(name string, d time.Duration) {
		t.Helper()
		if err := os.Chtimes(name, now.Add(-d), now.Add(-d)); err != nil {
			t.Fatal(err)
		}
	}
	written, idle, suspended, both := begin(t, b, "a"), begin(t, b, "b"), begin(t, b, "c"), begin(t, b, "d")
	suspend(t, suspended)
	suspend(t, both)
	orphan := begin(t, b, "e")
	suspend(t, orphan)
	os.Remove(orphan.name())
	writeFile(t, filepath.Join(b.staging, "README"), "not ours")

	age(written.name(), 30*time.Minute)
	age(idle.name(), 3*time.Hour)
	age(suspended.name(), 3*time.Hour) // and suspended again just now
	age(both.name(), 3*time.Hour)
	age(both.pointsName(), 2*time.Hour)
	age(orphan.pointsName(), 2*time.Hour)
	n, err := b.Sweep(t.Context(), now.Add(-time.Hour))
	if n != 2 || err != nil {
		t.Errorf("removed %d, error %v; want the idle and the one suspended long ago", n, err)
	}
	for _, u := range []*upload{written, suspended} {
		if err := u.Commit(t.Context(), "k"); err != nil {
			t.Error(err)
		}
	}
	for _, u := range []*upload{idle, both} {
		wantError(t, "commit what was swept", u.Commit(t.Context(), "l"), backends.ErrUploadUnknown)
	}
	_, err = begin(t, b, "f").Suspend(t.Context())
	if err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(orphan.pointsName()); err == nil {
		t.Error("points without an upload are left")
	}
}

func TestSuspendOfTheSwept(t *testing.T) {
	b := reopen(t, t.TempDir())
	u := begin(t, b, "x")
	if n, err := b.Sweep(t.Context(), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	_, err := u.Suspend(t.Context())
	wantError(t, "suspend", err, backends.ErrUploadUnknown)
}
