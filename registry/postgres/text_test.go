package postgres_test

import (
	"errors"
	"io/fs"
	"testing"

	"artifactstore/registry"
	"artifactstore/registry/postgres/pgtest"
)

// TestTextsThatAreNone asks with texts that PostgreSQL does not take: no row has them,
// and a list goes on where they would stand.
func TestTextsThatAreNone(t *testing.T) {
	r := open(t, pgtest.New(t))
	defer r.Close()
	ctx, id := t.Context(), identity(7, 1)
	events := put(id)
	for _, version := range []string{"1", "a", "é"} {
		events = append(events, registry.Event{Actor: "ci", Data: drawCreated(tool(version), id.SHA256)})
	}
	if _, err := r.Append(ctx, events...); err != nil {
		t.Fatal(err)
	}
	for _, none := range []string{"a\x00", "a\xff", "\xff"} {
		k := tool(none)
		want := []registry.PackageKey{tool("é")}
		if none == "\xff" {
			want = nil
		}
		page, next, err := r.ListPackages(ctx, registry.PackageFilter{}, k, 10)
		if err != nil || len(page) != len(want) || next != (registry.PackageKey{}) || len(page) == 1 && page[0].PackageKey != want[0] {
			t.Errorf("ListPackages after %q: %v, %v, %v, want %v", none, page, next, err, want)
		}
		for _, f := range []registry.PackageFilter{{Name: none}, {Producer: none}, {Labels: map[string]string{"a": none}}, {Labels: map[string]string{"0": "b", "a": none}}, {Labels: map[string]string{none: "b"}}, {RetentionClass: none}} {
			if page, next, err := r.ListPackages(ctx, f, registry.PackageKey{}, 10); err != nil || len(page) > 0 || next != (registry.PackageKey{}) {
				t.Errorf("ListPackages of %+v: %v, %v, %v", f, page, next, err)
			}
		}
		if _, err := r.Removal(ctx, id.SHA256, none); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Removal from %q: %v", none, err)
		}
		if holds, err := r.Holds(ctx, k); err != nil || len(holds) > 0 {
			t.Errorf("Holds of %q: %v, %v", none, holds, err)
		}
		if _, err := r.State(ctx, none); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("State of %q: %v", none, err)
		}
	}
}
