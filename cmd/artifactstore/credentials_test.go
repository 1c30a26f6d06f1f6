package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Those who log in at the same time each keep what they log in with, and who logs out
// meanwhile ends only that.
func TestLoginsAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	t.Setenv("ARTIFACTSTORE_CREDENTIALS", filepath.Join(dir, "credentials.json"))
	const many = 64
	change := func(change func(map[string]login)) {
		if _, err := changeCredentials(t.Context(), change); err != nil {
			t.Error(err)
		}
	}
	change(func(servers map[string]login) { servers["former"] = login{Token: "old"} })
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			change(func(servers map[string]login) { servers[fmt.Sprint(i)] = login{Token: fmt.Sprint("t", i)} })
		})
	}
	all.Go(func() { change(func(servers map[string]login) { delete(servers, "former") }) })
	all.Wait()
	kept, err := readCredentials()
	if err != nil {
		t.Fatal(err)
	}
	for i := range many {
		if got := kept.Servers[fmt.Sprint(i)].Token; got != fmt.Sprint("t", i) {
			t.Errorf("of %d is kept %q", i, got)
		}
	}
	if len(kept.Servers) != many {
		t.Errorf("%d are kept, want %d", len(kept.Servers), many)
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		info, err := f.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
	if len(left) != 2 { // the file and its lock
		t.Errorf("left are %v", left)
	}
}

// Who waits for the lock and is told to stop does, and changes nothing.
func TestLoginStopsWaiting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "credentials.json")
	t.Setenv("ARTIFACTSTORE_CREDENTIALS", path)
	unlock, err := lockCredentials(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := changeCredentials(ctx, func(map[string]login) { t.Error("it changes what another has locked") }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
