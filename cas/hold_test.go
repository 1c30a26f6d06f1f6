package cas_test

import (
	"fmt"
	"strings"
	"testing"

	"artifactstore/cas"
)

const (
	imageType = "application/vnd.oci.image.manifest.v1+json"
	indexType = "application/vnd.oci.image.index.v1+json"
)

// pushManifest pushes bytes as a manifest of repository team/app.
func (h *house) pushManifest(media, body string, refers ...cas.Reference) cas.PackageKey {
	h.t.Helper()
	stored, err := h.store.PushManifest(h.t.Context(), cas.Manifest{Body: []byte(body), OCI: cas.OCI{MediaType: media}, Refers: refers},
		cas.PutOptions{Principal: "ci", Repository: "team/app", Producer: "team", Size: -1})
	if err != nil {
		h.t.Fatal(err)
	}
	return cas.PackageKey{Producer: "team", Name: "team/app", Version: stored.SHA256.String()}
}

// What a hold covers neither goes nor leaves what covers it with a hole, and all
// of it is free again when the hold ends.
func TestHoldCoversWhatAnIndexNames(t *testing.T) {
	h := open(t, options{})
	ctx := t.Context()
	var refers []cas.Reference
	var children []cas.PackageKey
	for i := range 2 {
		body := fmt.Sprintf(`{"n":%d}`, i)
		children = append(children, h.pushManifest(imageType, body))
		refers = append(refers, cas.Reference{Digest: identity([]byte(body)).SHA256, Size: int64(len(body)), IsManifest: true})
	}
	index := h.pushManifest(indexType, `{"index":true}`, refers...)
	for i, want := range []bool{true, false} {
		if created, err := h.store.HoldPackage(ctx, index, "audit", "ann"); err != nil || created != want {
			t.Fatalf("hold %d: %v %v", i, created, err)
		}
	}
	for _, k := range append(children, index) {
		holds, err := h.store.Holds(ctx, k)
		if err != nil || len(holds) != 1 || holds[0].Root != index || holds[0].Name != "audit" || holds[0].By != "ann" {
			t.Errorf("%s: %v %+v", k, err, holds)
		}
		wantError(t, h.store.DeletePackage(ctx, k, "ci"), cas.ErrPackageHeld)
	}
	wantError(t, h.store.ReleasePackage(ctx, children[0], "audit", "ann"), cas.ErrHoldUnknown)
	wantError(t, h.store.ReleasePackage(ctx, index, "other", "ann"), cas.ErrHoldUnknown)
	if err := h.store.ReleasePackage(ctx, index, "audit", "ann"); err != nil {
		t.Fatal(err)
	}
	for _, k := range append(children, index) {
		if err := h.store.DeletePackage(ctx, k, "ci"); err != nil {
			t.Errorf("after the hold: %v", err)
		}
		wantError(t, h.store.DeletePackage(ctx, k, "ci"), cas.ErrPackageUnknown)
	}
	h.audit()
}

func TestHoldOfFiles(t *testing.T) {
	h := open(t, options{})
	ctx := t.Context()
	k := cas.PackageKey{Producer: "ci", Name: "app", Version: "1"}
	_, err := h.store.HoldPackage(ctx, k, "audit", "ann")
	wantError(t, err, cas.ErrPackageUnknown)
	if _, err := h.store.PutFile(ctx, k, "a", strings.NewReader("hello"), cas.PutOptions{Principal: "ci", Size: -1}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.HoldPackage(ctx, k, "audit", "ann"); err != nil {
		t.Fatal(err)
	}
	wantError(t, h.store.DeletePackage(ctx, k, "ci"), cas.ErrPackageHeld)
	if _, err := h.store.Seal(ctx, k, "ci"); err != nil {
		t.Errorf("a hold keeps from sealing: %v", err)
	}
	if err := h.store.ReleasePackage(ctx, k, "audit", "ann"); err != nil {
		t.Fatal(err)
	}
	if err := h.store.DeletePackage(ctx, k, "ci"); err != nil {
		t.Fatal(err)
	}
}
