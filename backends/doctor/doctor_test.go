package doctor_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"artifactstore/backends"
	"artifactstore/backends/backendtest"
	"artifactstore/backends/doctor"
	"artifactstore/backends/local"
)

func directory(t *testing.T) backends.Backend {
	t.Helper()
	b, err := local.Open(t.Context(), local.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoodBackend(t *testing.T) {
	b := directory(t)
	rows := doctor.Examine(t.Context(), b, time.Minute)
	if !doctor.Kept(rows) || len(rows) != 10 {
		t.Errorf("got %+v", rows)
	}
	for info, err := range b.List(t.Context(), "", "") {
		t.Errorf("left behind: %v, %v", info, err)
	}
}

// TestBrokenBackends wants each way of breaking the contract found.
func TestBrokenBackends(t *testing.T) {
	for name, c := range map[string]struct {
		fault backendtest.Fault
		probe string
	}{
		"sick":        {backendtest.Fault{Op: backendtest.Health}, "is healthy"},
		"no commit":   {backendtest.Fault{Op: backendtest.Commit}, "keeps a small object"},
		"wrong bytes": {backendtest.Fault{Op: backendtest.Read, At: 20 << 20, Kind: backendtest.Corrupt}, "keeps an object of 24 MiB whose key is known"},
		"cut short":   {backendtest.Fault{Op: backendtest.Read, At: 20 << 20, Kind: backendtest.Cut}, "keeps an object of 24 MiB whose key is known"},
		"no suspend":  {backendtest.Fault{Op: backendtest.Suspend}, "suspends and resumes"},
		"no resume":   {backendtest.Fault{Op: backendtest.Resume}, "suspends and resumes"},
		"no abort":    {backendtest.Fault{Op: backendtest.Abort}, "shows nothing before commit, leaves nothing after abort"},
		"no list":     {backendtest.Fault{Op: backendtest.List}, "lists in order"},
		"no delete":   {backendtest.Fault{Op: backendtest.Delete}, "deletes, also what is absent"},
	} {
		t.Run(name, func(t *testing.T) {
			b := backendtest.NewFaulty(directory(t))
			b.Set(c.fault)
			rows := doctor.Examine(t.Context(), b, time.Minute)
			if b.Hits() == 0 {
				t.Fatal("the fault never struck")
			}
			var failed []string
			for _, r := range rows {
				if r.Verdict == doctor.Fail {
					failed = append(failed, r.Probe)
				}
			}
			if doctor.Kept(rows) || !strings.Contains(strings.Join(failed, "; "), c.probe) {
				t.Errorf("failed are %q, want %q among them", failed, c.probe)
			}
		})
	}
}

// interrupted is a backend on which the operator loses patience.
type interrupted struct {
	backends.Backend
	cancel context.CancelFunc
}

func (i interrupted) Resume(ctx context.Context, _ []byte) (backends.Upload, error) {
	i.cancel()
	return nil, ctx.Err()
}

// TestInterrupted wants nothing left of a visit that ends in the middle.
func TestInterrupted(t *testing.T) {
	b := directory(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows := doctor.Examine(ctx, interrupted{b, cancel}, time.Minute)
	if len(rows) != 7 || doctor.Kept(rows) {
		t.Errorf("got %+v", rows)
	}
	for info, err := range b.List(t.Context(), "", "") {
		t.Errorf("left behind: %v, %v", info, err)
	}
}

// TestHangingBackend bounds each probe.
func TestHangingBackend(t *testing.T) {
	b := backendtest.NewFaulty(directory(t))
	b.Set(backendtest.Fault{Op: backendtest.Health, Kind: backendtest.Stall})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows := doctor.Examine(ctx, b, time.Millisecond)
	if len(rows) != 1 || doctor.Kept(rows) {
		t.Errorf("got %+v", rows)
	}
}

func TestNothingExaminedIsNotKept(t *testing.T) {
	if doctor.Kept(nil) {
		t.Error("a backend that was not examined keeps the contract")
	}
}
