package postgres_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"artifactstore/registry"
	"artifactstore/registry/postgres"
	"artifactstore/registry/postgres/pgtest"
)

// A child process appends puts to the database at childURL, from childCallers
// callers: childAppends each, or without end where that is 0. It prints the
// number of each blob whose append was acknowledged.
const (
	childURL     = "POSTGRES_TEST_CHILD_URL"
	childWriter  = "POSTGRES_TEST_CHILD_WRITER"
	childAppends = "POSTGRES_TEST_CHILD_APPENDS"
	childCallers = 8
)

func child(url string) int {
	writer, _ := strconv.Atoi(os.Getenv(childWriter))
	appends, _ := strconv.Atoi(os.Getenv(childAppends))
	r, err := postgres.Open(context.Background(), postgres.Options{URL: url, Timeout: time.Minute})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer r.Close()
	var all sync.WaitGroup
	failed := make(chan error, childCallers)
	for caller := range childCallers {
		all.Go(func() {
			for n := caller; appends == 0 || n < appends*childCallers; n += childCallers {
				if _, err := r.Append(context.Background(), put(identity(writer, n))...); err != nil {
					failed <- err
					return
				}
				fmt.Println(n)
			}
		})
	}
	all.Wait()
	select {
	case err := <-failed:
		fmt.Fprintln(os.Stderr, err)
		return 1
	default:
		return 0
	}
}

// startChild starts a child and returns what it prints.
func startChild(t *testing.T, url string, writer, appends int) (*exec.Cmd, io.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childURL+"="+url, fmt.Sprintf("%s=%d", childWriter, writer), fmt.Sprintf("%s=%d", childAppends, appends))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// TestProcessesShareOneLog lets three processes append at once while this one
// follows the log: each position must come exactly once, in order, with times
// that never go back.
func TestProcessesShareOneLog(t *testing.T) {
	const writers, appends = 3, 60
	url := pgtest.New(t)
	r := open(t, url)
	defer r.Close()
	children := make([]*exec.Cmd, writers)
	for w := range writers {
		cmd, out := startChild(t, url, w, appends)
		go io.Copy(io.Discard, out)
		children[w] = cmd
	}
	const events = writers * appends * childCallers * 3
	var last registry.Record
	for last.Position < events {
		waitCtx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := r.Wait(waitCtx, last.Position); err != nil {
			t.Fatalf("after position %d: %v", last.Position, err)
		}
		cancel()
		for rec, err := range r.Since(t.Context(), last.Position) {
			if err != nil {
				t.Fatal(err)
			}
			if rec.Position != last.Position+1 || rec.Time.Before(last.Time) {
				t.Fatalf("record %d at %s follows %d at %s", rec.Position, rec.Time, last.Position, last.Time)
			}
			last = rec
		}
	}
	for _, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Errorf("a writer: %v", err)
		}
	}
	if n, err := r.Last(t.Context()); n != events || err != nil {
		t.Errorf("the log ends at %d, %v, want %d", n, err, events)
	}
	compareWithModel(t, t.Context(), r)
}

// TestKilledWriters kills processes in the midst of appending. What was
// acknowledged must be there, and log and views must agree.
func TestKilledWriters(t *testing.T) {
	url := pgtest.New(t)
	r := open(t, url)
	defer r.Close()
	for writer := range 10 {
		cmd, out := startChild(t, url, writer, 0)
		lines := bufio.NewScanner(out)
		var acknowledged []int
		for enough := 1 + rand.IntN(300); lines.Scan(); {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatal(err)
			}
			if acknowledged = append(acknowledged, n); len(acknowledged) == enough {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // killed
		for _, n := range acknowledged {
			if b, err := r.Blob(t.Context(), identity(writer, n).SHA256); err != nil || len(b.Locations) != 1 || b.LeasedUntil.IsZero() {
				t.Fatalf("writer %d: blob %d was acknowledged: %+v, %v", writer, n, b, err)
			}
		}
	}
	if report, err := r.Check(t.Context(), nil); err != nil || len(report.Problems) > 0 || report.Position == 0 {
		t.Errorf("Check: %+v, %v", report, err)
	}
}
