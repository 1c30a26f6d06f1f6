package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"artifactstore/backends"
)

// childVariable makes the test binary another process, which does what it says:
// a mode and its arguments, separated by '|'.
const childVariable = "ARTIFACTSTORE_LOCAL_CHILD"

func TestMain(m *testing.M) {
	if order := os.Getenv(childVariable); order != "" {
		if err := child(strings.Split(order, "|")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(order []string) error {
	switch order[0] {
	case "crash":
		return childCrash(order[1], order[2], order[3] == "true")
	case "suspend":
		return childSuspend(order[1])
	case "full":
		return childFull(order[1])
	}
	return fmt.Errorf("no such order: %q", order)
}

func run(t *testing.T, order ...string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self)
	c.Env = append(os.Environ(), childVariable+"="+strings.Join(order, "|"))
	var errText strings.Builder
	c.Stderr = &errText
	out, err := c.Output()
	if errText.Len() > 0 {
		t.Logf("%q: %s", order, errText.String())
	}
	return string(out), err
}

// crashWork is what the process does that is killed: it opens the backend,
// suspends, goes back, replaces an object, makes folders, deletes.
func crashWork(b *Backend) error {
	ctx := context.Background()
	if err := b.claimRoot(ctx); err != nil {
		return err
	}
	u, err := b.Begin(ctx, backends.Hint{Size: -1})
	if err != nil {
		return err
	}
	if _, err := u.Write([]byte("new ")); err != nil {
		return err
	}
	first, err := u.Suspend(ctx)
	if err != nil {
		return err
	}
	u.Write([]byte("given up"))
	if _, err := u.Suspend(ctx); err != nil {
		return err
	}
	if u, err = b.Resume(ctx, first); err != nil {
		return err
	}
	if _, err := u.Write([]byte("bytes")); err != nil {
		return err
	}
	if err := u.Commit(ctx, "a/k"); err != nil {
		return err
	}
	if u, err = b.Begin(ctx, backends.Hint{Size: -1}); err != nil {
		return err
	}
	u.Write([]byte("new bytes"))
	if err := u.Commit(ctx, "k"); err != nil {
		return err
	}
	return b.Delete(ctx, "gone")
}

// childCrash kills itself at a step, before its effect or after.
func childCrash(root, at string, effect bool) error {
	stop, err := strconv.Atoi(at)
	if err != nil {
		return err
	}
	n := 0
	b, err := newBackend(Options{Root: root}, newDisk(func(_ step, do func() error) error {
		n++
		if n > stop && !effect {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		err := do()
		if n > stop {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return err
	}))
	if err != nil {
		return err
	}
	return crashWork(b)
}

// A process is killed at each step, before and after its effect. What the next
// one finds is whole objects, and litter that Sweep removes.
func TestKilledAtEachStep(t *testing.T) {
	steps := 0
	b, err := newBackend(Options{Root: t.TempDir()}, newDisk(func(_ step, do func() error) error { steps++; return do() }))
	if err != nil {
		t.Fatal(err)
	}
	if err := crashWork(b); err != nil || steps < 20 {
		t.Fatal(steps, err)
	}
	for at := range steps {
		for _, effect := range []bool{false, true} {
			killAt(t, at, effect)
		}
	}
}

func killAt(t *testing.T, at int, effect bool) {
	t.Helper()
	root := t.TempDir()
	if at >= 9 { // the first steps are those of a new root
		b := reopen(t, root)
		put(t, b, "k", "old")
		put(t, b, "gone", "x")
	}
	_, err := run(t, "crash", root, strconv.Itoa(at), strconv.FormatBool(effect))
	if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
		t.Fatalf("step %d: %v", at, err)
	}
	b := reopen(t, root)
	for key, may := range map[string][]string{"a/k": {"absent", "new bytes"}, "k": {"absent", "old", "new bytes"}, "gone": {"absent", "x"}} {
		if got := get(b, key); got != may[0] && got != may[len(may)-1] && got != may[len(may)/2] {
			t.Errorf("killed at step %d, effect %v: %s is %q", at, effect, key, got)
		}
	}
	if at >= 9 && get(b, "k") == "absent" {
		t.Errorf("killed at step %d, effect %v: k is lost", at, effect)
	}
	for _, key := range keys(t, b) {
		if key != "k" && key != "a/k" && key != "gone" {
			t.Errorf("killed at step %d, effect %v: %q is listed", at, effect, key)
		}
	}
	clean(t, b)
}

func childSuspend(root string) error {
	ctx := context.Background()
	b, err := Open(ctx, Options{Root: root})
	if err != nil {
		return err
	}
	u, err := b.Begin(ctx, backends.Hint{Size: -1})
	if err != nil {
		return err
	}
	u.Write([]byte("from one process"))
	state, err := u.Suspend(ctx)
	if err != nil {
		return err
	}
	u.Write([]byte(", lost with it"))
	fmt.Printf("%s", state)
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// An upload goes on in another process than the one that was killed.
func TestResumeOfAKilledProcess(t *testing.T) {
	root := t.TempDir()
	state, err := run(t, "suspend", root)
	if exit, ok := err.(*exec.ExitError); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatal(err)
	}
	b := reopen(t, root)
	u, err := b.Resume(t.Context(), []byte(state))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write([]byte(" to another")); err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	equal(t, "object", get(b, "k"), "from one process to another")
	equal(t, "staging", staged(t, b), []string(nil))
}

// childFull writes with a limit on the size of files, which is a disk that has
// no room for more.
func childFull(root string) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	b, err := Open(ctx, Options{Root: root})
	if err != nil {
		return err
	}
	limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	return fill(ctx, b)
}

// fill writes to a backend until it is full, gives up, and uses it further.
func fill(ctx context.Context, b *Backend) error {
	u, err := b.Begin(ctx, backends.Hint{Size: -1})
	if err != nil {
		return err
	}
	chunk := make([]byte, 100<<10)
	for err == nil {
		_, err = u.Write(chunk)
	}
	fmt.Println(err)
	if err := u.Commit(ctx, "k"); err == nil {
		return fmt.Errorf("committed after a failed write")
	}
	if err := u.Abort(ctx); err != nil {
		return err
	}
	if u, err = b.Begin(ctx, backends.Hint{Size: -1}); err != nil {
		return err
	}
	if _, err := u.Write(chunk); err != nil {
		return err
	}
	return u.Commit(ctx, "small")
}

func TestFileSizeLimit(t *testing.T) {
	root := t.TempDir()
	out, err := run(t, "full", root)
	if err != nil || !strings.Contains(out, backends.ErrFull.Error()) {
		t.Fatalf("%v: %s", err, out)
	}
	b := reopen(t, root)
	equal(t, "keys", keys(t, b), []string{"small"})
	equal(t, "staging", staged(t, b), []string(nil))
}

// TestFullDisk fills a small file system where it may mount one. Where it may
// not, the same errors come out of the seam.
func TestFullDisk(t *testing.T) {
	root := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=2m"); err == nil {
		t.Cleanup(func() { syscall.Unmount(root, syscall.MNT_DETACH) })
		b := reopen(t, root)
		put(t, b, "before", "still readable")
		u := begin(t, b, "")
		var err error
		for err == nil {
			_, err = u.Write(make([]byte, 64<<10))
		}
		wantError(t, "write", err, backends.ErrFull)
		wantError(t, "health", b.Health(t.Context()), backends.ErrFull)
		equal(t, "object", get(b, "before"), "still readable")
		if err := u.Abort(t.Context()); err != nil {
			t.Error(err)
		}
		if err := b.Health(t.Context()); err != nil {
			t.Error(err)
		}
		if err := fill(t.Context(), b); err != nil {
			t.Error(err)
		}
		equal(t, "keys", keys(t, b), []string{"before", "small"})
		clean(t, b)
	} else {
		t.Logf("no disk of our own (%v): the seam alone", err)
	}
	b, s := scripted(t, t.TempDir(), "")
	for _, code := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		for at := range 6 {
			u := begin(t, b, "x")
			s.reset(at, false)
			s.err = &os.PathError{Op: "step", Path: "k", Err: code}
			b.disk.forget()
			wantError(t, fmt.Sprint("commit, step ", at), u.Commit(t.Context(), "a/k"), backends.ErrFull)
			s.reset(-1, false)
			if err := u.Abort(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	equal(t, "staging", staged(t, b), []string(nil))
}
