package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// A child process opens the registry at childPath and puts blobs numbered from
// childFrom on, childCount of them, from several goroutines. It prints a blob's
// number and its last position when the append is acknowledged.
const (
	childPath  = "ARTIFACTSTORE_TEST_SQLITE_PATH"
	childFrom  = "ARTIFACTSTORE_TEST_SQLITE_FROM"
	childCount = "ARTIFACTSTORE_TEST_SQLITE_COUNT"
)

func child(path string) int {
	from, _ := strconv.ParseUint(os.Getenv(childFrom), 10, 64)
	count, _ := strconv.ParseUint(os.Getenv(childCount), 10, 64)
	r, err := Open(context.Background(), Options{Path: path})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var print sync.Mutex
	var group sync.WaitGroup
	const writers = 8
	for w := range uint64(writers) {
		group.Go(func() {
			for n := from + w; n < from+count; n += writers {
				last, err := r.Append(context.Background(), put(n)...)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				print.Lock()
				fmt.Printf("%d %d\n", n, last)
				print.Unlock()
			}
		})
	}
	group.Wait()
	if err := r.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// start starts a child. What it acknowledged is complete when done is closed.
func start(t *testing.T, path string, from, count uint64) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0]), done: make(chan struct{}), first: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), childPath+"="+path,
		fmt.Sprintf("%s=%d", childFrom, from), fmt.Sprintf("%s=%d", childCount, count))
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			// A line is one write to a pipe: a killed process leaves none in half.
			var a acknowledged
			if _, err := fmt.Sscanf(lines.Text(), "%d %d", &a.blob, &a.position); err != nil {
				continue
			}
			if p.acknowledged = append(p.acknowledged, a); len(p.acknowledged) == 1 {
				close(p.first)
			}
		}
		p.err = p.cmd.Wait()
	}()
	return p
}

type process struct {
	cmd          *exec.Cmd
	first        chan struct{} // closed at the first acknowledgement
	done         chan struct{}
	acknowledged []acknowledged
	err          error
}

type acknowledged struct{ blob, position uint64 }

// wait waits for the process's end.
func (p *process) wait(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(2 * time.Minute):
		p.cmd.Process.Kill()
		t.Fatal("a child did not end")
	}
}

// audit checks that a registry holds what was acknowledged and agrees with
// itself.
func audit(t *testing.T, r *Registry, all []acknowledged) {
	t.Helper()
	if report := check(t, r); len(report.Problems) > 0 {
		t.Errorf("check: %q", report.Problems)
	}
	stored := map[uint64]string{} // position of a put's last event → its subject
	want := uint64(1)
	for record, err := range r.Since(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if record.Position != want {
			t.Fatalf("event %d comes where %d must", record.Position, want)
		}
		want++
		stored[record.Position] = record.Data.Subject()
	}
	for _, a := range all {
		if got := stored[a.position]; got != blob(a.blob).SHA256.String() {
			t.Errorf("blob %d was acknowledged at %d, where the log has %q", a.blob, a.position, got)
		}
		if b, err := r.Blob(t.Context(), blob(a.blob).BLAKE3); err != nil || len(b.Locations) != 1 || b.LeasedUntil.IsZero() {
			t.Errorf("acknowledged blob %d: %+v, %v", a.blob, b, err)
		}
	}
}

func TestProcessesShareTheFile(t *testing.T) {
	const each = 300
	path := filepath.Join(t.TempDir(), "new", "registry.db")
	children := []*process{start(t, path, 0, each), start(t, path, each, each)} // both create it
	r := open(t, path)
	var all []acknowledged
	for n := uint64(2 * each); n < 2*each+20; n++ {
		all = append(all, acknowledged{n, mustAppend(t, r, put(n)...)})
	}
	for _, p := range children {
		p.wait(t)
		if p.err != nil || len(p.acknowledged) != each {
			t.Fatalf("a child acknowledged %d of %d: %v", len(p.acknowledged), each, p.err)
		}
		all = append(all, p.acknowledged...)
	}
	audit(t, r, all)
	if last, err := r.Last(t.Context()); err != nil || last != 3*(2*each+20) {
		t.Errorf("the log ends with %d, %v; %d events were appended", last, err, 3*(2*each+20))
	}
}

func TestKilledWriter(t *testing.T) {
	const rounds = 10
	path := filepath.Join(t.TempDir(), "registry.db")
	var all []acknowledged
	for round := range uint64(rounds) {
		p := start(t, path, round<<32, 1<<30)
		select {
		case <-p.first:
		case <-p.done:
			t.Fatalf("the child ended before it was killed: %v", p.err)
		}
		// Any moment is as good as another; which one is the test's randomness.
		time.Sleep(time.Duration(rand.IntN(60_000)) * time.Microsecond)
		p.cmd.Process.Kill()
		p.wait(t)
		all = append(all, p.acknowledged...)
		r, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatalf("open after a kill: %v", err)
		}
		audit(t, r, all)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d puts acknowledged over %d kills", len(all), rounds)
}
