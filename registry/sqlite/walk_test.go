package sqlite

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// many puts rows more than a walk reads at once: packages of producer "p", the last
// of another class and format than all others, and blobs with leases.
func many(t *testing.T) *Registry {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	const rows = collectRows + 50
	var events []registry.Event
	for n := range uint64(rows) {
		class := "standard"
		if n == rows-1 {
			class = "release"
		}
		events = append(append(events, put(n)...), registry.Event{Actor: "ci", Data: registry.PackageCreated{
			Package: registry.PackageKey{Producer: "p", Name: "n", Version: fmt.Sprintf("%06d", n)}, Format: registry.FormatFiles,
			RetentionClass: class, Labels: map[string]string{"channel": "stable"},
		}})
		if len(events) > 2000 || n == rows-1 {
			mustAppend(t, r, events...)
			events = nil
		}
	}
	return r
}

// TestWalks: a walk reads no more than its bound, and says where to go on.
func TestWalks(t *testing.T) {
	r := many(t)
	for _, f := range []registry.PackageFilter{
		{RetentionClass: "release"},
		{RetentionClass: "release", Producer: "p"},
		{RetentionClass: "release", Producer: "p", Name: "n"},
		{RetentionClass: "release", Labels: map[string]string{"channel": "stable"}},
		{RetentionClass: "release", Producer: "p", Name: "n", Labels: map[string]string{"channel": "stable"}},
	} {
		page, next, err := r.ListPackages(t.Context(), f, registry.PackageKey{}, 7)
		if err != nil || len(page) != 0 || next.Version != fmt.Sprintf("%06d", walkRows-1) {
			t.Fatalf("%+v: the first page is %d long, then %v, %v", f, len(page), next, err)
		}
		for pages := 1; err == nil && len(page) == 0 && pages <= collectRows/walkRows; pages++ {
			page, next, err = r.ListPackages(t.Context(), f, next, 7)
		}
		if err != nil || len(page) != 1 || page[0].RetentionClass != "release" || next != (registry.PackageKey{}) {
			t.Errorf("%+v: the last page is %d long, then %v, %v", f, len(page), next, err)
		}
	}
	idle, next, err := r.Collectable(t.Context(), time.Now(), 0, digest.Digest{}, 7)
	if err != nil || len(idle) != 0 || next.IsZero() {
		t.Fatalf("the first page is %d long, then %v, %v", len(idle), next, err)
	}
	idle, next, err = r.Collectable(t.Context(), time.Now(), 0, next, 7)
	if err != nil || len(idle) != 0 || !next.IsZero() {
		t.Errorf("the second page is %d long, then %v, %v", len(idle), next, err)
	}
}

// TestRanges: a key outside of what a filter asks for begins at its start, or finds
// nothing.
func TestRanges(t *testing.T) {
	for _, c := range []struct {
		producer, name string
		after          registry.PackageKey
		within         string
		from           registry.PackageKey
		some           bool
	}{
		{"", "", registry.PackageKey{Producer: "a"}, rangeAll, registry.PackageKey{Producer: "a"}, true},
		{"", "n", registry.PackageKey{Producer: "a", Name: "z"}, rangeAll, registry.PackageKey{Producer: "a", Name: "z"}, true},
		{"m", "", registry.PackageKey{Producer: "a", Name: "z", Version: "z"}, rangeProducer, registry.PackageKey{Producer: "m"}, true},
		{"m", "", registry.PackageKey{Producer: "m", Name: "z", Version: "z"}, rangeProducer, registry.PackageKey{Producer: "m", Name: "z", Version: "z"}, true},
		{"m", "", registry.PackageKey{Producer: "z"}, "", registry.PackageKey{}, false},
		{"m", "n", registry.PackageKey{Producer: "m", Name: "a", Version: "z"}, rangeName, registry.PackageKey{Producer: "m", Name: "n"}, true},
		{"m", "n", registry.PackageKey{Producer: "m", Name: "n", Version: "1"}, rangeName, registry.PackageKey{Producer: "m", Name: "n", Version: "1"}, true},
		{"m", "n", registry.PackageKey{Producer: "m", Name: "z"}, "", registry.PackageKey{}, false},
		{"m", "n", registry.PackageKey{Producer: "a", Name: "z", Version: "z"}, rangeName, registry.PackageKey{Producer: "m", Name: "n"}, true},
	} {
		within, from, some := rangeOf(registry.PackageFilter{Producer: c.producer, Name: c.name}, c.after)
		if within != c.within || some != c.some || some && from != c.from {
			t.Errorf("%q %q after %v: %q from %v, %v", c.producer, c.name, c.after, within, from, some)
		}
	}
}

// TestWindows: the windows of a walk are as large as what passed in the last one lets
// expect, grow where nothing did, and together do not exceed the bound.
func TestWindows(t *testing.T) {
	for _, c := range []struct {
		wanted, oneIn int // of the rows passes; 0: none
		want          string
	}{
		{1, 0, "[1 10 100 889]"},
		{100, 0, "[100 900]"},
		{20_000, 0, "[1000]"},
		{100, 1, "[100]"},
		{100, 3, "[100 305]"},
		{100, 50, "[100 900]"},
	} {
		var sizes []int
		left := c.wanted
		end, err := walk(c.wanted, walkRows, func(size int) (int, int, error) {
			sizes = append(sizes, size)
			if c.oneIn > 0 {
				left = max(0, left-size/c.oneIn)
			}
			return size, left, nil
		})
		if end || err != nil || fmt.Sprint(sizes) != c.want {
			t.Errorf("%+v: windows %v; end %v, %v", c, sizes, end, err)
		}
	}
}
