package cas_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"artifactstore/cas"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// packageStep is a request that changes a package, and what must be true after it
// was made again.
type packageStep struct {
	prepare func(h *house)
	do      func(h *house) error
	done    func(h *house)
}

var packageSteps = map[string]packageStep{
	"put short, new":      puts(func(*house) {}, 100),
	"put long, new":       puts(func(*house) {}, 2*buffer+1),
	"put short, existing": puts(func(h *house) { h.mustPutFile("other", []byte("other")) }, 100),
	"put long, replaces":  puts(func(h *house) { h.mustPutFile("x", []byte("was")) }, 2*buffer+1),
	"attach, a copy": {
		prepare: func(h *house) { h.mustPut(random(5, 2*buffer)) },
		do:      func(h *house) error { _, err := h.attach("x", "release", random(5, 2*buffer)); return err },
		done: func(h *house) {
			if h.location("b", random(5, 2*buffer)) != registry.Stored {
				h.t.Error("not copied")
			}
			h.hasFile("x", random(5, 2*buffer))
		},
	},
	"seal": {
		prepare: func(h *house) {
			h.mustPutFile("x", []byte("hello"))
			h.mustPutFile("y", []byte("world"))
		},
		do:   func(h *house) error { _, err := h.store.Seal(h.t.Context(), app, "ann"); return err },
		done: func(h *house) { h.sealedAs(h.mustSeal()) },
	},
	"remove": {
		prepare: func(h *house) {
			h.mustPutFile("x", []byte("hello"))
			h.mustPutFile("y", []byte("world"))
		},
		do: func(h *house) error {
			err := h.store.RemoveFile(h.t.Context(), app, "x", "ann")
			if errors.Is(err, cas.ErrFileUnknown) { // what was not heard of had happened
				return nil
			}
			return err
		},
		done: func(h *house) {
			if got := h.paths(); !slices.Equal(got, []string{"y"}) {
				h.t.Errorf("%v", got)
			}
		},
	},
}

func puts(prepare func(h *house), size int) packageStep {
	content := random(5, size)
	return packageStep{
		prepare: prepare,
		do:      func(h *house) error { _, err := h.putFile("x", content); return err },
		done:    func(h *house) { h.hasFile("x", content) },
	}
}

func (h *house) hasFile(path string, content []byte) {
	h.t.Helper()
	b, err := h.store.OpenFile(h.t.Context(), app, path)
	if err != nil {
		h.t.Errorf("open %s: %v", path, err)
		return
	}
	defer b.Close()
	var got bytes.Buffer
	if _, err := b.CopyTo(&got, b.Size); err != nil || !bytes.Equal(got.Bytes(), content) {
		h.t.Errorf("%s has %d of %d bytes, %v", path, got.Len(), len(content), err)
	}
}

// whole fails where a package names what cannot be read, or is sealed as what it
// is not.
func (h *house) whole() {
	h.t.Helper()
	p, err := h.store.Package(h.t.Context(), app)
	if errors.Is(err, cas.ErrPackageUnknown) {
		return
	}
	if err != nil {
		h.t.Fatal(err)
	}
	for _, path := range h.paths() {
		b, err := h.store.OpenFile(h.t.Context(), app, path)
		if err != nil {
			h.t.Fatalf("%s: %v", path, err)
		}
		var got bytes.Buffer
		if _, err := b.CopyTo(&got, b.Size); err != nil || identity(got.Bytes()) != b.Identity {
			h.t.Errorf("%s: %d bytes, %v", path, got.Len(), err)
		}
		b.Close()
	}
	if p.State == registry.Sealed {
		h.sealedAs(p.Manifest)
	}
}

// Each call that a change of a package makes fails or is the last thing its
// process does, before its effect and after it. Then the whole state is looked
// at, and the client tries again.
func TestEachStepOfPackages(t *testing.T) {
	routes := options{backends: []string{"a", "b"}, rules: []cas.Rule{{RetentionClass: "release", BackendID: "b"}}}
	for name, step := range packageSteps {
		run := func(t *testing.T, s *seam) (*house, error) {
			p := newPlace(t, shapes.House{})
			before := openIn(t, p, routes)
			step.prepare(before)
			before.reg.Close()
			with := routes
			with.seam = s
			h := openIn(t, p, with)
			return h, step.do(h)
		}
		healthy := noFault()
		h, err := run(t, healthy)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		step.done(h)
		calls := healthy.made()
		if !slices.Contains(calls, "append") || !slices.Contains(calls, "package") {
			t.Fatalf("%s: steps %v", name, calls)
		}
		calls = calls[:slices.Index(calls, "append")+1]
		for i, call := range calls {
			for _, how := range []how{fails, failsAfter, dies, diesAfter} {
				t.Run(fmt.Sprintf("%s/%d %s %s", name, i, call, how), func(t *testing.T) {
					t.Parallel()
					h, err := run(t, &seam{at: i, how: how})
					switch {
					case err == nil:
						if call != "abort" {
							t.Error("the change is acknowledged")
						}
					case !errors.Is(err, errFault):
						t.Errorf("the cause is lost: %v", err)
					case !errors.Is(err, cas.ErrBackendUnavailable) && !errors.Is(err, cas.ErrRegistryUnavailable):
						t.Errorf("the client cannot know to try again: %v", err)
					}
					if n := h.store.BufferedBytes(); n != 0 {
						t.Errorf("%d bytes of buffers are not given back", n)
					}
					h.reg.Close()
					h = openIn(t, h.place, routes)
					h.audit()
					h.whole()
					if err := step.do(h); err != nil {
						t.Fatalf("again: %v", err)
					}
					step.done(h)
					h.whole()
					h.audit()
				})
			}
		}
	}
}
