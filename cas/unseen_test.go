package cas_test

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"testing"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// unseen is for who may know nothing of what there is.
func unseen(o *cas.PutOptions) {
	o.Knows = func(context.Context, digest.Digest) (bool, error) { return false, nil }
}

// ways are the ways in which content comes that say whether it was there.
var ways = map[string]struct {
	size int
	put  func(h *house, content []byte, change ...func(*cas.PutOptions)) (cas.Stored, error)
}{
	"short": {4096, func(h *house, content []byte, change ...func(*cas.PutOptions)) (cas.Stored, error) {
		return h.put(content, change...)
	}},
	"long": {2*buffer + 1, func(h *house, content []byte, change ...func(*cas.PutOptions)) (cas.Stored, error) {
		return h.put(content, change...)
	}},
	"announced": {2*buffer + 1, func(h *house, content []byte, change ...func(*cas.PutOptions)) (cas.Stored, error) {
		return h.put(content, append(change, announced(content))...)
	}},
	"announced by SHA-512": {2*buffer + 1, func(h *house, content []byte, change ...func(*cas.PutOptions)) (cas.Stored, error) {
		return h.put(content, append(change, func(o *cas.PutOptions) { o.Want = []digest.Digest{of(digest.SHA512, content)} })...)
	}},
	"session in one piece": {4096, finishSession(digest.SHA256, false)},
	"session":              {4096, finishSession(digest.SHA256, true)},
	"session, read again":  {4096, finishSession(digest.SHA512, true)},
	"manifest (bytes of its own)": {4096, func(h *house, content []byte, change ...func(*cas.PutOptions)) (cas.Stored, error) {
		o := cas.PutOptions{Principal: "ann", Producer: "team", Repository: "team/app"}
		for _, c := range change {
			c(&o)
		}
		return h.store.PushManifest(h.t.Context(), cas.Manifest{Body: content, OCI: cas.OCI{MediaType: imageType}}, o)
	}},
}

func finishSession(alg digest.Algorithm, first bool) func(*house, []byte, ...func(*cas.PutOptions)) (cas.Stored, error) {
	return func(h *house, content []byte, change ...func(*cas.PutOptions)) (stored cas.Stored, err error) {
		o := cas.PutOptions{Principal: "ann", Producer: "ann", Repository: "r"}
		for _, c := range change {
			c(&o)
		}
		u, err := h.store.BeginUpload(h.t.Context(), o)
		if err != nil {
			return stored, err
		}
		id, n := cas.Session{ID: u.ID, Principal: "ann", Repository: "r"}, 0
		if first {
			n = len(content) / 2
			if _, err := h.store.AppendUpload(h.t.Context(), id, at(0, content[:n])); err != nil {
				return stored, err
			}
		}
		return h.store.FinishUpload(h.t.Context(), id, at(int64(n), content[n:]), of(alg, content), o)
	}
}

// Content that somebody may not know is there takes the steps that new content takes, and
// the answer is the same; who may know it hears that it was there.
func TestPutOfUnseen(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			s := noFault()
			h := open(t, options{seam: s})
			steps := func(content []byte, change ...func(*cas.PutOptions)) (cas.Stored, []string) {
				t.Helper()
				before := len(s.made())
				stored, err := way.put(h, content, change...)
				if err != nil {
					t.Fatal(err)
				}
				return stored, s.made()[before:]
			}
			fresh, known := random(1, way.size), random(2, way.size)
			h.mustPut(known, func(o *cas.PutOptions) { // by another, with all digests
				o.Principal, o.Want = "bob", []digest.Digest{of(digest.SHA512, known)}
			})
			want, wantSteps := steps(fresh, unseen)
			got, gotSteps := steps(known, unseen)
			if !slices.Equal(gotSteps, wantSteps) || !slices.Contains(gotSteps, "commit") {
				t.Errorf("steps %v, of new content %v", gotSteps, wantSteps)
			}
			if got.Existed || want.Existed || got.SHA512.IsZero() != want.SHA512.IsZero() || got.BackendID != want.BackendID {
				t.Errorf("answered %+v, of new content %+v", got, want)
			}
			h.mustRead(known)
			h.audit()
			if seen, _ := steps(known); !seen.Existed {
				t.Error("who may know it does not hear that it was there")
			}
			if seen, _ := steps(known, func(o *cas.PutOptions) {
				o.Knows = func(_ context.Context, d digest.Digest) (bool, error) { return true, nil }
			}); !seen.Existed {
				t.Error("who is found to know it does not hear that it was there")
			}
		})
	}
}

// The bytes of unseen content are truly written: an object that was lost is there again.
func TestPutOfUnseenWrites(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			h := open(t, options{})
			content := random(3, way.size)
			h.mustPut(content)
			h.remove("a", content)
			if _, err := way.put(h, content, unseen); err != nil {
				t.Fatal(err)
			}
			h.mustRead(content)
			h.audit()
		})
	}
}

// What somebody may not know cannot be mounted or attached; and not to know an unknown
// blob is the same.
func TestUnseenWithoutBytes(t *testing.T) {
	h := open(t, options{})
	content := []byte("there, for others")
	h.mustPut(content)
	var asked []digest.Digest
	known := false
	o := cas.PutOptions{Principal: "eve", Producer: "ci", Repository: "team/app", Knows: func(_ context.Context, d digest.Digest) (bool, error) {
		asked = append(asked, d)
		return known, nil
	}}
	last := h.position()
	for _, content := range [][]byte{content, []byte("nowhere")} {
		d := of(digest.BLAKE3, content)
		_, err := h.store.Mount(t.Context(), "", d, o)
		wantError(t, err, cas.ErrBlobUnknown)
		_, err = h.store.AttachFile(t.Context(), app, "a", d, o)
		wantError(t, err, cas.ErrBlobUnknown)
		if !slices.Equal(asked, []digest.Digest{d, d}) {
			t.Errorf("asked for %v", asked)
		}
		asked = nil
	}
	if now := h.position(); now != last {
		t.Errorf("the log went from %d to %d", last, now)
	}
	known = true
	if _, err := h.store.AttachFile(t.Context(), app, "a", of(digest.BLAKE3, content), o); err != nil {
		t.Error(err)
	}
	if _, err := h.store.Mount(t.Context(), "", of(digest.BLAKE3, content), o); err != nil {
		t.Error(err)
	}
	if _, err := h.store.Mount(t.Context(), "", of(digest.BLAKE3, []byte("nowhere")), o); err == nil {
		t.Error("mounted from nowhere")
	}
}

// Where it cannot be found out what somebody may know nothing is stored.
func TestPutUnlessAsked(t *testing.T) {
	h := open(t, options{})
	last := h.position()
	for name, way := range ways {
		_, err := way.put(h, random(4, way.size), func(o *cas.PutOptions) {
			o.Knows = func(context.Context, digest.Digest) (bool, error) { return false, os.ErrDeadlineExceeded }
		})
		if err == nil {
			t.Errorf("%s: stored", name)
		}
		wantError(t, err, os.ErrDeadlineExceeded)
	}
	if now := h.position(); now != last {
		t.Errorf("the log went from %d to %d", last, now)
	}
}

// A manifest can name what its repository shows, and nothing else.
func TestManifestNamesWhatItsRepositoryShows(t *testing.T) {
	h := open(t, options{})
	blob, other := []byte("of another repository"), []byte(`{"other":true}`)
	h.mustPut(blob)
	h.mustPutFile("a", blob)
	elsewhere := cas.PutOptions{Principal: "ann", Producer: "team", Repository: "team/web"}
	if _, err := h.store.Mount(t.Context(), "", of(digest.SHA256, blob), elsewhere); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.PushManifest(t.Context(), cas.Manifest{Body: other, OCI: cas.OCI{MediaType: imageType}}, elsewhere); err != nil {
		t.Fatal(err)
	}
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.BLAKE3} {
		for _, ref := range []cas.Reference{
			{Digest: of(alg, blob), Size: int64(len(blob))},
			{Digest: of(alg, other), Size: int64(len(other))},
			{Digest: of(alg, other), Size: int64(len(other)), IsManifest: true},
		} {
			m := cas.Manifest{Body: []byte(`{}`), OCI: cas.OCI{MediaType: imageType}, Refers: []cas.Reference{ref}}
			_, err := h.store.PushManifest(t.Context(), m, cas.PutOptions{Principal: "ann", Producer: "team", Repository: "team/app"})
			wantErrorAs[*cas.MissingError](t, err)
		}
	}
	_, err := h.reg.Package(t.Context(), registry.PackageKey{Producer: "team", Name: "team/app", Version: of(digest.SHA256, []byte(`{}`)).String()})
	wantError(t, err, fs.ErrNotExist)
}
