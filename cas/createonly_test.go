package cas_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	shapes "artifactstore/deploy/house"
)

func createOnly(o *cas.PutOptions) { o.CreateOnly = true }

// creation is a way to put something in a place where something else may be.
type creation struct {
	put func(h *house, content []byte, change ...func(*cas.PutOptions)) error
	has func(h *house) ([]byte, error) // what is in the place
}

var creations = map[string]creation{
	"file": {func(h *house, content []byte, change ...func(*cas.PutOptions)) error {
		_, err := h.store.PutFile(h.t.Context(), app, "a", bytes.NewReader(content), changed(cas.PutOptions{Size: -1}, change))
		return err
	}, fileAt},
	"large file": {func(h *house, content []byte, change ...func(*cas.PutOptions)) error {
		content = append(bytes.Repeat([]byte("x"), buffer), content...)
		_, err := h.store.PutFile(h.t.Context(), app, "a", bytes.NewReader(content), changed(cas.PutOptions{Size: -1}, change))
		return err
	}, func(h *house) ([]byte, error) {
		content, err := fileAt(h)
		return content[min(len(content), buffer):], err
	}},
	"attached": {func(h *house, content []byte, change ...func(*cas.PutOptions)) error {
		h.mustPut(content)
		_, err := h.store.AttachFile(h.t.Context(), app, "a", of(digest.SHA256, content), changed(cas.PutOptions{}, change))
		return err
	}, fileAt},
	"tag": {func(h *house, content []byte, change ...func(*cas.PutOptions)) error {
		return pushTagged(h, content, []string{"v1"}, change)
	}, taggedAs("v1")},
	"one of several tags": {func(h *house, content []byte, change ...func(*cas.PutOptions)) error {
		return pushTagged(h, content, []string{"of " + string(content), "v2"}, change)
	}, taggedAs("v2")},
}

func changed(o cas.PutOptions, change []func(*cas.PutOptions)) cas.PutOptions {
	o.Principal = "ann"
	for _, c := range change {
		c(&o)
	}
	return o
}

func fileAt(h *house) ([]byte, error) {
	b, err := h.store.OpenFile(h.t.Context(), app, "a")
	if err != nil {
		return nil, err
	}
	return drained(b)
}

func pushTagged(h *house, content []byte, tags []string, change []func(*cas.PutOptions)) error {
	m := cas.Manifest{Body: content, OCI: cas.OCI{MediaType: imageType}, Tags: tags}
	_, err := h.store.PushManifest(h.t.Context(), m, changed(cas.PutOptions{Producer: "team", Repository: "team/app"}, change))
	return err
}

func taggedAs(tag string) func(h *house) ([]byte, error) {
	return func(h *house) ([]byte, error) {
		m, err := h.store.ManifestByTag(h.t.Context(), "team/app", tag)
		if err != nil {
			return nil, err
		}
		return drained(m.Blob)
	}
}

// notToBe is why unseen content is refused: what is attached must be known first.
func notToBe(name string) error {
	if name == "attached" {
		return cas.ErrBlobUnknown
	}
	return cas.ErrWouldReplace
}

func drained(b *cas.Blob) ([]byte, error) {
	defer b.Close()
	var out bytes.Buffer
	_, err := b.CopyTo(&out, b.Size)
	return out.Bytes(), err
}

// What may only be created is not replaced, and what was to replace it leaves nothing;
// the same once more is no replacement.
func TestCreateOnly(t *testing.T) {
	for name, c := range creations {
		t.Run(name, func(t *testing.T) {
			h := open(t, options{})
			is := func(want string) {
				t.Helper()
				if got, err := c.has(h); err != nil || string(got) != want {
					t.Errorf("there is %q, %v; want %q", got, err, want)
				}
			}
			for range 2 {
				if err := c.put(h, []byte("first"), createOnly); err != nil {
					t.Fatal(err)
				}
			}
			is("first")
			if name == "attached" {
				h.mustPut([]byte("second"))
			}
			last, files := h.position(), h.files("a")
			wantError(t, c.put(h, []byte("second"), createOnly), cas.ErrWouldReplace)
			wantError(t, c.put(h, []byte("second"), createOnly, unseen), notToBe(name))
			if name != "attached" && (h.position() != last || h.files("a") != files) {
				t.Errorf("refused, the log went from %d to %d and files from %d to %d", last, h.position(), files, h.files("a"))
			}
			is("first")
			if err := c.put(h, []byte("second")); err != nil {
				t.Error(err)
			}
			is("second")
			if err := c.put(h, []byte("second"), createOnly); err != nil {
				t.Error(err)
			}
			h.audit()
		})
	}
}

// Another comes first between any two calls of a put: it is not replaced, whichever
// gateway it came through.
func TestEachStepOfCreateOnly(t *testing.T) {
	for name, c := range creations {
		for _, theirs := range []string{"another", "mine"} { // "mine": the same content
			comesFirst(t, name, c, theirs, false)
			if !strings.Contains(name, "tag") {
				comesFirst(t, name, c, theirs, true)
			}
		}
	}
}

// comesFirst lets theirs come before each call in turn, to a package that was made
// before or is made by what comes.
func comesFirst(t *testing.T, name string, c creation, theirs string, made bool) {
	for i := 0; ; i++ {
		s, p := noFault(), newPlace(t, shapes.House{})
		h, other := openIn(t, p, options{seam: s}), openIn(t, p, options{})
		if made { // so that the file is added to a package that is there
			other.mustPutFile("z", []byte("there before"))
		}
		n, came, otherErr := 0, false, errors.New("it did not come")
		s.before = func(string) {
			if n++; n == i+1 {
				came = true
				otherErr = c.put(other, []byte(theirs), createOnly)
			}
		}
		err := c.put(h, []byte("mine"), createOnly)
		s.before = nil
		want, refused := "mine", otherErr
		if came && otherErr == nil {
			want, refused = theirs, err
		}
		if theirs == "another" && came && ((err == nil) == (otherErr == nil) || !errors.Is(refused, cas.ErrWouldReplace)) {
			t.Errorf("%s: another before call %d: %v, mine: %v", name, i, otherErr, err)
		}
		if theirs == "mine" && (err != nil || came && otherErr != nil) {
			t.Errorf("%s: the same before call %d: %v, mine: %v", name, i, otherErr, err)
		}
		if got, err := c.has(h); err != nil || string(got) != want {
			t.Errorf("%s: %s before call %d: there is %q, %v; want %q", name, theirs, i, got, err, want)
		}
		h.reg.Close()
		other.reg.Close()
		if !came {
			if i < 2 {
				t.Errorf("%s: %d calls", name, i)
			}
			break
		}
	}
}

// Of many at once that would each be another, one comes first, over two gateways.
func TestCreateOnlyAtOnce(t *testing.T) {
	for name, c := range creations {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, shapes.House{})
			houses := []*house{openIn(t, p, options{}), openIn(t, p, options{})}
			const n = 8
			errs := make([]error, n)
			var all sync.WaitGroup
			for i := range n {
				all.Go(func() { errs[i] = c.put(houses[i%2], fmt.Appendf(nil, "content %d", i), createOnly) })
			}
			all.Wait()
			var first []string
			for i, err := range errs {
				if err == nil {
					first = append(first, fmt.Sprint("content ", i))
				} else {
					wantError(t, err, cas.ErrWouldReplace)
				}
			}
			got, err := c.has(houses[0])
			if err != nil || len(first) != 1 || string(got) != first[0] {
				t.Errorf("%q came first, there is %q, %v", first, got, err)
			}
		})
	}
}
