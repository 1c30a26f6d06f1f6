package cas_test

import (
	"fmt"
	"testing"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// reaches asks for the content by all of its digests, which must agree, for somebody
// who may read some resources.
func (h *house) reaches(content []byte, principal string, resources ...string) bool {
	h.t.Helper()
	var all []bool
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.BLAKE3} {
		ok, err := h.store.Reaches(h.t.Context(), of(alg, content), principal, func(resource string) bool {
			for _, r := range resources {
				if r == resource {
					return true
				}
			}
			return false
		})
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, ok)
	}
	if all[0] != all[1] {
		h.t.Errorf("reached by one digest and not by another: %v", all)
	}
	return all[0]
}

// TestReaches follows who may know a blob as what shows it comes and goes.
func TestReaches(t *testing.T) {
	h := open(t, options{})
	content := []byte("seen by few")
	want := func(what string, want bool, principal string, resources ...string) {
		t.Helper()
		if got := h.reaches(content, principal, resources...); got != want {
			t.Errorf("%s: reached by %q with %q: %t", what, principal, resources, got)
		}
	}
	want("unknown", false, "ann", "ci/app", "team/app")
	h.mustPut(content) // ann's
	want("leased", true, "ann")
	want("leased", false, "bob", "ci/app", "team/app", "", "ann")
	want("leased", false, "")
	h.mustPutFile("a", content)
	want("a file", true, "", "ci/app")
	want("a file", false, "", "ci", "app", "ci/app/1.0")
	if _, err := h.store.Mount(t.Context(), "", of(digest.SHA256, content), cas.PutOptions{Principal: "ann", Repository: "team/app", Producer: "team"}); err != nil {
		t.Fatal(err)
	}
	want("in a repository", true, "", "team/app")
	want("in a repository", false, "", "team", "team/ap")
	if err := h.store.ReleaseIn(t.Context(), "team/app", of(digest.SHA256, content), "ann"); err != nil {
		t.Fatal(err)
	}
	want("released", false, "", "team/app")
	if err := h.store.RemoveFile(t.Context(), app, "a", "ann"); err != nil {
		t.Fatal(err)
	}
	want("removed", false, "", "ci/app")
}

// TestReachesThroughMany finds the one resource that somebody may read of more than a page.
func TestReachesThroughMany(t *testing.T) {
	h := open(t, options{})
	content := []byte("everybody has this one")
	h.mustPut(content)
	file := registry.File{Path: "LICENSE", Blob: of(digest.SHA256, content)}
	var events []registry.Event
	for n := range 520 {
		events = append(events, registry.Event{Actor: "ann", Data: registry.PackageCreated{
			Package: cas.PackageKey{Producer: "ci", Name: fmt.Sprintf("app%d", n), Version: "1"},
			Format:  registry.FormatFiles, RetentionClass: "standard", Files: []registry.File{file},
		}})
	}
	if _, err := h.reg.Append(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 499, 500, 519} {
		if !h.reaches(content, "bob", fmt.Sprintf("ci/app%d", n)) {
			t.Errorf("not reached by who may read ci/app%d", n)
		}
	}
	if h.reaches(content, "bob", "ci/app520") {
		t.Error("reached by who may read nothing of it")
	}
}
