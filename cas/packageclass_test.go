package cas_test

import (
	"testing"

	"artifactstore/cas"
)

// A change of class that another overtakes is compared with what the other left.
func TestClassIsComparedAgain(t *testing.T) {
	h := open(t, options{})
	as := func(class string) error {
		_, _, err := h.store.CreatePackage(t.Context(), app, cas.PackageOptions{Principal: "ann", RetentionClass: class})
		return err
	}
	if err := as("short"); err != nil {
		t.Fatal(err)
	}
	done := false
	h.seam.before = func(next string) {
		if next == "append" && !done {
			done = true
			if err := as("release"); err != nil {
				t.Error(err)
			}
		}
	}
	wantError(t, as("standard"), cas.ErrClassShorter)
	if p, err := h.store.Package(t.Context(), app); !done || err != nil || p.RetentionClass != "release" {
		t.Errorf("%+v, %v", p, err)
	}
}

// A class that is no longer configured keeps for ever, and so is longer than all.
func TestClassNoLongerConfigured(t *testing.T) {
	place := newPlace(t, options{}.at)
	h := openIn(t, place, options{})
	if _, _, err := h.store.CreatePackage(t.Context(), app, cas.PackageOptions{Principal: "ann", RetentionClass: "short"}); err != nil {
		t.Fatal(err)
	}
	h = openIn(t, place, options{forget: "short"})
	change := func(class string, shorten bool) error {
		_, _, err := h.store.CreatePackage(t.Context(), app, cas.PackageOptions{Principal: "ann", RetentionClass: class, Shorten: shorten})
		return err
	}
	wantError(t, change("standard", false), cas.ErrClassShorter)
	if err := change("standard", true); err != nil {
		t.Error(err)
	}
	if err := change("release", false); err != nil {
		t.Error(err)
	}
}
