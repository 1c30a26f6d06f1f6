package sqlite

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"testing"

	"artifactstore/registry"
)

// TestLists: lists of packages are as long as the first page and the next ones, or
// a row longer.
func TestLists(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	tool := publish("1.0", 0)[0].Data.(registry.PackageCreated).Package
	mustAppend(t, r, append(put(0), publish("1.0", 0)[0])...)
	var names, paths, versions []string
	for _, rows := range []int{firstPage, firstPage + 1, 3 * firstPage, 3*firstPage + 1, 15*firstPage + page, 15*firstPage + page + 1} {
		var events []registry.Event
		for n := uint64(len(names) + 1); n <= uint64(rows); n++ {
			names, paths = append(names, fmt.Sprintf("v%05d", n)), append(paths, fmt.Sprintf("%04d", n))
			versions = append(versions, blob(n).SHA256.String())
			events = append(append(append(events, put(n)...), push("team/app", n)...), push(names[n-1], n)[0],
				registry.Event{Actor: "ci", Data: registry.PackageFileAdded{Package: tool, Path: paths[n-1], Blob: blob(n).SHA256}})
		}
		mustAppend(t, r, events...)
		wantList(t, "tags", r.Tags(t.Context(), "team/app", ""), names, func(t registry.Tag) string { return t.Name })
		wantList(t, "repositories", r.Repositories(t.Context(), "u"), names, func(s string) string { return s })
		wantList(t, "files", r.Files(t.Context(), tool, ""), paths, func(f registry.PackageFile) string { return f.Path })
		slices.Sort(versions)
		subjects := []string{"none", blob(0).SHA256.String(), blob(0).SHA256.String()}
		wantList(t, "referrers", r.Referrers(t.Context(), "team/app", subjects, "application/spdx+json", ""), versions,
			func(r registry.Referrer) string { return r.Version })
	}
	wantList(t, "referrers of nothing", r.Referrers(t.Context(), "team/app", nil, "", ""), nil,
		func(r registry.Referrer) string { return r.Version })
}

func wantList[T any](t *testing.T, what string, all iter.Seq2[T, error], want []string, key func(T) string) {
	t.Helper()
	var got []string
	for row, err := range all {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got = append(got, key(row))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: %d, want %d: %.200q", what, len(got), len(want), got)
	}
}

// TestListsEnd: a list whose context ended, or of a registry that is closed,
// yields that and no more.
func TestListsEnd(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	mustAppend(t, r, append(put(1), push("team/app", 1)...)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range r.Tags(ctx, "team/app", "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("tags with a cancelled context: %v", err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range r.Repositories(t.Context(), "") {
		if n++; !errors.Is(err, registry.ErrUnavailable) {
			t.Errorf("repositories of a closed registry: %v", err)
		}
	}
	if n != 1 {
		t.Errorf("a closed registry yields %d times", n)
	}
}
