package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"artifactstore/registry"
)

// A child process with childFails set opens the registry at childPath. For each
// number it reads it fails or repairs the location of that blob, in turn, and then
// answers with a line.
const childFails = "ARTIFACTSTORE_TEST_SQLITE_FAILS"

func childThatFails(path string) int {
	r, err := Open(context.Background(), Options{Path: path})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for in, turn := bufio.NewScanner(os.Stdin), 0; in.Scan(); turn++ {
		var n uint64
		fmt.Sscan(in.Text(), &n)
		if _, err := r.Append(context.Background(), changeOf(n, turn%2 == 0)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println("done")
	}
	if err := r.Close(); err != nil {
		return 1
	}
	return 0
}

// changeOf is an event that fails or repairs blob n's location.
func changeOf(n uint64, fail bool) registry.Event {
	if fail {
		return registry.Event{Actor: "gateway", Data: registry.LocationFailed{Blob: blob(n).SHA256, BackendID: "local", Reason: registry.Missing}}
	}
	return registry.Event{Actor: "gateway", Data: registry.LocationRepaired{Blob: blob(n).SHA256, BackendID: "local", Source: "push"}}
}

// gone is a context that has ended: a look-up that needs a connection fails.
func gone(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func stateNow(t *testing.T, r *Registry, n uint64) registry.State {
	t.Helper()
	b, err := r.Blob(t.Context(), blob(n).SHA256)
	if err != nil || len(b.Locations) != 1 {
		t.Fatalf("blob %d: %+v, %v", n, b, err)
	}
	return b.Locations[0].State
}

func TestBlobIsRemembered(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	if r.memory.index == nil {
		if runtime.GOOS == "linux" {
			t.Fatal("the mark of the database cannot be read")
		}
		return // every look-up asks SQLite
	}
	mustAppend(t, r, put(1)...)
	if _, err := r.Blob(gone(t), blob(1).SHA256); !errors.Is(err, context.Canceled) {
		t.Fatalf("a first look-up asks SQLite: %v", err)
	}
	want, err := r.Blob(t.Context(), blob(1).SHA256)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Blob(gone(t), blob(1).SHA256)
	if err != nil || got.Identity != want.Identity || len(got.Locations) != 1 || got.Locations[0] != want.Locations[0] {
		t.Fatalf("a second look-up: %+v, %v; want %+v", got, err, want)
	}
	got.Locations[0].State = "spoiled"
	if stateNow(t, r, 1) != registry.Stored {
		t.Error("a caller reached what is remembered")
	}
	mustAppend(t, r, put(2)...)
	if _, err := r.Blob(gone(t), blob(1).SHA256); !errors.Is(err, context.Canceled) {
		t.Errorf("a look-up after a commit: %v", err)
	}
}

// What another process commits is seen at the next look-up, although others keep
// the blob remembered.
func TestOtherProcessIsSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, path)
	mustAppend(t, r, put(1)...)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childPath+"="+path, childFails+"=1")
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	quit := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
					if _, err := r.Blob(context.Background(), blob(1).SHA256); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	answers := bufio.NewReader(out)
	for turn := range 60 {
		fmt.Fprintln(in, 1)
		if _, err := answers.ReadString('\n'); err != nil {
			t.Errorf("the child: %v", err)
			break
		}
		want := registry.Stored
		if turn%2 == 0 {
			want = registry.Failed
		}
		if got := stateNow(t, r, 1); got != want {
			t.Errorf("change %d was committed: the location is %s, want %s", turn, got, want)
		}
	}
	close(quit)
	readers.Wait()
	in.Close()
	io.Copy(io.Discard, answers)
	if err := child.Wait(); err != nil {
		t.Errorf("the child: %v", err)
	}
}

// A commit after a look-up and before it is remembered does not leave the older
// state behind.
func TestCommitBeforeKeep(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	mustAppend(t, r, put(1)...)
	d := blob(1).SHA256
	_, since, _ := r.memory.recall(d)
	old, err := r.blob(t.Context(), selectBySHA256, d)
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, r, changeOf(1, true))
	r.memory.keep(d, old, since)
	if got := stateNow(t, r, 1); got != registry.Failed {
		t.Errorf("the location is %s", got)
	}
	r.memory.keep(d, old, since) // also where the newer was remembered meanwhile
	if got := stateNow(t, r, 1); got != registry.Failed {
		t.Errorf("the location is %s", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := memory[registry.Blob]{copy: copyBlob}
	for n := range uint64(remembered + 100) {
		m.keep(blob(n).SHA256, registry.Blob{Identity: blob(n)}, mark{1})
	}
	if len(m.found) != remembered {
		t.Errorf("%d blobs are remembered, want %d", len(m.found), remembered)
	}
	if _, ok := m.found[blob(remembered+99).SHA256]; !ok {
		t.Error("the last one is not among them")
	}
}

// Neither opening nor closing a registry takes SQLite's lock on the index from
// another one on the same file: without it a process that comes makes the index
// anew under those who read it.
func TestLocksStay(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // there is nothing to read them from, and no mapping
	}
	path := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, path)
	mustAppend(t, r, put(1)...)
	if !locked(t, path+"-shm") {
		t.Fatal("an open registry has no lock on the index")
	}
	other, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	stateNow(t, other, 1)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if !locked(t, path+"-shm") {
		t.Error("the lock went with another registry")
	}
}

// locked reports whether this process has a POSIX lock on a file.
func locked(t *testing.T, name string) bool {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(locks)) {
		// 1: POSIX  ADVISORY  READ 4711 fe:00:12345 128 128
		f := strings.Fields(line)
		if len(f) > 5 && f[1] == "POSIX" && f[4] == strconv.Itoa(os.Getpid()) &&
			strings.HasSuffix(f[5], fmt.Sprintf(":%d", info.Sys().(*syscall.Stat_t).Ino)) {
			return true
		}
	}
	return false
}
