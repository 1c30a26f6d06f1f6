package cas_test

import (
	"testing"

	"artifactstore/cas"
	"artifactstore/registry"
)

// Who gives a blob up hears of a package that needs it only where they may know the
// package: otherwise their lease ends, and the blob stays.
func TestReleaseAmong(t *testing.T) {
	h := open(t, options{})
	content := []byte("hello")
	h.mustPutFile("x", content)
	d := h.mustPut(content).SHA256
	resource := app.Producer + "/" + app.Name
	knows := func(what string) func(string) bool { return func(r string) bool { return r == what } }
	needed := wantErrorAs[*cas.ReferencedError](t, h.store.ReleaseAmong(t.Context(), d, "ann", knows(resource)))
	if needed != nil && needed.By != app.String() {
		t.Errorf("needed by %s", needed.By)
	}
	before := h.position()
	if err := h.store.ReleaseAmong(t.Context(), d, "ann", knows("other/thing")); err != nil {
		t.Fatal(err)
	}
	if h.position() != before+1 || h.before(registry.BlobReleased{Blob: d}) != before {
		t.Error("the lease did not end")
	}
	h.mustRead(content)
	h.audit()
}
