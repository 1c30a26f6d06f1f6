package cas_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// routed is a house with three backends: b has what is released, c what teams push.
func routed(t *testing.T) *house {
	return open(t, options{backends: []string{"a", "b", "c"}, rules: []cas.Rule{
		{RetentionClass: "release", BackendID: "b"}, {Producer: "team*", BackendID: "c"},
	}})
}

// wantPlaced demands that all files of a package, and its manifest, are said to be on
// a backend, and that each is where it is said to be.
func (h *house) wantPlaced(k cas.PackageKey, id string) {
	h.t.Helper()
	p, err := h.store.Package(h.t.Context(), k)
	if err != nil {
		h.t.Fatal(err)
	}
	n := 0
	check := func(path string, b registry.Blob) {
		h.t.Helper()
		n++
		var said []string
		for _, l := range b.Locations {
			said = append(said, l.BackendID)
			info, err := h.disks[l.BackendID].Stat(h.t.Context(), b.SHA256.Key())
			if l.State != registry.Stored || err != nil || info.Size != b.Size {
				h.t.Errorf("%s %s is %s on %s: %+v, %v", k, path, l.State, l.BackendID, info, err)
			}
		}
		if !slices.Contains(said, id) {
			h.t.Errorf("%s %s is on %s, want %s", k, path, said, id)
		}
	}
	for f, err := range h.store.Files(h.t.Context(), k, "") {
		if err != nil {
			h.t.Fatal(err)
		}
		check(f.Path, f.Blob)
	}
	if !p.Manifest.IsZero() {
		b, err := h.reg.Blob(h.t.Context(), p.Manifest)
		if err != nil {
			h.t.Fatal(err)
		}
		check("manifest", b)
	}
	if n == 0 {
		h.t.Errorf("%s has no file", k)
	}
}

// Every file of a package is where its class and producer route it, however it came,
// and the registry says so.
func TestRoutingOfPackages(t *testing.T) {
	for _, c := range []struct{ producer, class, want string }{
		{"ci", "", "a"}, {"ci", "release", "b"}, {"team-7", "", "c"}, {"team-7", "release", "b"},
	} {
		t.Run(c.producer+" "+c.class, func(t *testing.T) {
			h := routed(t)
			ctx := t.Context()
			k := cas.PackageKey{Producer: c.producer, Name: "tool", Version: "1"}
			o := cas.PutOptions{Principal: "ann", RetentionClass: c.class, Size: -1}
			small, large := []byte("on a first"), random(5, 2*buffer)
			for _, content := range [][]byte{small, large} {
				if s := h.mustPut(content); s.BackendID != "a" {
					t.Fatalf("put on %s", s.BackendID)
				}
			}
			for i, content := range [][]byte{small, large} {
				s, err := h.store.AttachFile(ctx, k, fmt.Sprint("attached", i), identity(content).SHA256, o)
				if err != nil || s.BackendID != c.want {
					t.Fatalf("attached on %s: %v", s.BackendID, err)
				}
			}
			h.wantPlaced(k, c.want)
			if _, err := h.store.Seal(ctx, k, "ann"); err != nil {
				t.Fatal(err)
			}
			h.wantPlaced(k, c.want)
			h.audit()
		})
	}
}

// layer pushes a blob to a repository and returns what a manifest says of it.
func (h *house) layer(repository, producer string, content []byte) cas.Reference {
	h.t.Helper()
	s := h.mustPut(content, func(o *cas.PutOptions) { o.Repository, o.Producer = repository, producer })
	return cas.Reference{Digest: s.SHA256, Size: s.Size}
}

// A manifest, and all that it names, is where its repository's producer routes it:
// layers that were mounted from elsewhere, or pushed while another rule held, are
// copied before the push is answered.
func TestRoutingOfManifests(t *testing.T) {
	h := routed(t)
	ctx := t.Context()
	mounted := h.layer("other/app", "other", []byte("mounted"))
	if got := h.location("a", []byte("mounted")); got != registry.Stored {
		t.Fatalf("a layer of another team is %s on a", got)
	}
	o := cas.PutOptions{Principal: "ci", Repository: "team/app", Producer: "team", Size: -1}
	if _, err := h.store.Mount(ctx, "other/app", mounted.Digest, o); err != nil {
		t.Fatal(err)
	}
	child := `{"child":true}`
	refers := []cas.Reference{mounted, mounted, h.layer("team/app", "team", random(6, 2*buffer))}
	h.wantPlaced(h.pushManifest(imageType, child, refers...), "c")
	index := h.pushManifest(indexType, `{"index":true}`, cas.Reference{Digest: identity([]byte(child)).SHA256, Size: int64(len(child)), IsManifest: true})
	h.wantPlaced(index, "c")
	h.audit()

	// The same place under another rule.
	moved := openIn(t, h.place, options{backends: h.ids, rules: []cas.Rule{{Producer: "team", BackendID: "b"}}})
	moved.wantPlaced(moved.pushManifest(imageType, child, refers...), "b")
	moved.wantPlaced(index, "c") // it was not pushed again
	moved.audit()
}

// A layer whose only copy is lost is what the manifest lacks; pushed again, it heals.
func TestRoutingOfWhatIsLost(t *testing.T) {
	h := routed(t)
	ctx := t.Context()
	content := []byte("lost meanwhile")
	ref := h.layer("other/app", "other", content)
	o := cas.PutOptions{Principal: "ci", Repository: "team/app", Producer: "team", Size: -1}
	if _, err := h.store.Mount(ctx, "other/app", ref.Digest, o); err != nil {
		t.Fatal(err)
	}
	h.remove("a", content)
	_, err := h.store.PushManifest(ctx, cas.Manifest{Body: []byte(`{"n":1}`), OCI: cas.OCI{MediaType: imageType}, Refers: []cas.Reference{ref}}, o)
	if missing := (*cas.MissingError)(nil); !errors.As(err, &missing) || !slices.Equal(missing.Digests, []digest.Digest{ref.Digest}) {
		t.Fatalf("a manifest of a lost layer: %v", err)
	}
	h.layer("team/app", "team", content)
	k := h.pushManifest(imageType, `{"n":1}`, ref)
	if got := h.location("c", content); got != registry.Stored {
		t.Errorf("the layer that was pushed again is %q on c", got)
	}
	if p, err := h.store.Package(ctx, k); err != nil || p.RetentionClass != "standard" {
		t.Errorf("%+v, %v", p, err)
	}
}

// A push of what is there starts its time anew, and never by a class that keeps it shorter.
func TestPushAgainKeepsTheLongerClass(t *testing.T) {
	h := open(t, options{})
	k := h.pushManifest(imageType, `{"n":1}`)
	for _, c := range []struct{ given, want string }{{"release", "release"}, {"short", "release"}} {
		_, err := h.store.PushManifest(t.Context(), cas.Manifest{Body: []byte(`{"n":1}`), OCI: cas.OCI{MediaType: imageType}},
			cas.PutOptions{Principal: "ci", Repository: "team/app", Producer: "team", Size: -1, RetentionClass: c.given})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := h.store.Package(t.Context(), k); err != nil || p.RetentionClass != c.want {
			t.Errorf("pushed again as %s: %s, %v", c.given, p.RetentionClass, err)
		}
	}
}
