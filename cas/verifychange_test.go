package cas_test

import (
	"context"
	"testing"

	"artifactstore/cas"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// changing verifies while something is done to one of the blobs just before its
// object is opened.
func changing(t *testing.T, at shapes.House, act func(h *house, content []byte)) (*house, cas.Verification, []string) {
	h := open(t, options{at: at})
	all := h.fill(5)
	before := h.position()
	counted := &reads{n: map[string]int{}}
	counted.before = func(_ context.Context, total int) {
		if total == 3 {
			for _, c := range all {
				if counted.last == identity(c).SHA256.Key() {
					act(h, c)
				}
			}
		}
	}
	v, err := h.live(t.Context(), counted, -1, cas.VerifyOptions{Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	return h, v, h.said(before, all)
}

// What is removed, or spoilt and healed, while it is read has not failed.
func TestVerifyBesideChanges(t *testing.T) { everyHouse(t, verifyBesideChanges) }

func verifyBesideChanges(t *testing.T, at shapes.House) {
	_, v, said := changing(t, at, func(h *house, content []byte) { // collection
		id := identity(content)
		h.release(content)
		h.append(registry.LocationRemoving{Blob: id.SHA256, BackendID: "a", Cause: registry.Unneeded})
		h.remove("a", content)
	})
	if v.Results[cas.Changed] != 1 || v.Results[cas.Intact] != 4 || v.Failed() != 0 {
		t.Errorf("removed: %+v: %q", v, said)
	}

	_, v, said = changing(t, at, func(h *house, content []byte) { // a reader finds it missing, a push heals it
		h.remove("a", content)
		if _, err := h.read(identity(content).SHA256); err == nil {
			t.Error("it is still there")
		}
		h.mustPut(content)
	})
	if v.Results[cas.Changed] != 1 || v.Results[cas.Intact] != 4 || v.Failed() != 0 {
		t.Errorf("healed: %+v: %q", v, said)
	}

	h, v, said := changing(t, at, func(h *house, content []byte) { // a reader is first
		h.remove("a", content)
		if _, err := h.read(identity(content).SHA256); err == nil {
			t.Error("it is still there")
		}
	})
	if v.Results[cas.Missing] != 1 || v.Results[cas.Intact] != 4 {
		t.Errorf("a reader was first: %+v: %q", v, said)
	}
	h.audit()
}

func (h *house) append(d registry.Data) {
	h.t.Helper()
	if _, err := h.reg.Append(context.Background(), registry.Event{Actor: "test", Data: d}); err != nil {
		h.t.Fatal(err)
	}
}

// release ends the lease that a put made.
func (h *house) release(content []byte) {
	h.t.Helper()
	if err := h.store.Release(h.t.Context(), identity(content).SHA256, "ann"); err != nil {
		h.t.Fatal(err)
	}
}
