package clients_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// skopeo pushes an index with both platforms, pulls it back, and deletes it.
func skopeo(t *testing.T, w *world) {
	s, app, back := w.shell(t), w.images.app, t.TempDir()
	t.Log(s.run("skopeo --version"))
	s.run("skopeo --insecure-policy copy --all --dest-tls-verify=false oci:%s:v1 docker://%s/skopeo/app:v1", app.dir, w.gateway)
	w.holds(t, "skopeo/app", "v1", app)
	var listed struct{ Tags []string }
	s.json(&listed, "skopeo list-tags --tls-verify=false docker://%s/skopeo/app", w.gateway)
	if !slices.Equal(listed.Tags, []string{"v1"}) {
		t.Errorf("skopeo list-tags: %v", listed)
	}
	s.run("skopeo --insecure-policy copy --all --src-tls-verify=false docker://%s/skopeo/app:v1 oci:%s/app:v1", w.gateway, back)
	app.check(t, filepath.Join(back, "app"))
	s.run("skopeo --insecure-policy copy --all --src-tls-verify=false --dest-tls-verify=false docker://%s/skopeo/app:v1 docker://%[1]s/skopeo/copy:v2", w.gateway)
	w.holds(t, "skopeo/copy", "v2", app)
	s.run("skopeo delete --tls-verify=false docker://%s/skopeo/app:v1", w.gateway)
	w.gone(t, "skopeo/app/manifests/%s", app.digest)
	w.gone(t, "skopeo/app/manifests/v1")
	w.holds(t, "skopeo/copy", "v2", app)
}

// crane pushes an index, lists, pulls it back, tags and deletes.
func crane(t *testing.T, w *world) {
	s, app, back := w.shell(t), w.images.app, t.TempDir()
	t.Log("crane " + s.run("crane version"))
	s.run("crane push --insecure %s %s/crane/app:v1", app.dir, w.gateway)
	w.holds(t, "crane/app", "v1", app)
	s.run("crane tag --insecure %s/crane/app:v1 v2", w.gateway)
	s.same("crane ls", s.run("crane ls --insecure %s/crane/app", w.gateway), "v1\nv2")
	s.same("crane digest", s.run("crane digest --insecure %s/crane/app:v2", w.gateway), app.digest)
	if !slices.Contains(list(s.run("crane catalog --insecure %s", w.gateway)), "crane/app") {
		t.Error("crane catalog does not have crane/app")
	}
	s.run("crane pull --insecure --format oci %s/crane/app:v1 %s", w.gateway, filepath.Join(back, "app"))
	app.check(t, filepath.Join(back, "app"))
	s.run("crane delete --insecure %s/crane/app:v1", w.gateway)
	w.tags(t, "crane/app", "v2")
	s.run("crane delete --insecure %s/crane/app@%s", w.gateway, app.digest)
	w.gone(t, "crane/app/manifests/%s", app.digest)
	w.gone(t, "crane/app/manifests/v2")
}

// regctl copies there and back, resumes a download that is cut, and finds what
// refers to an image.
func regctl(t *testing.T, w *world) {
	s, app, large, back := w.shell(t), w.images.app, w.images.large, t.TempDir()
	t.Log("regctl " + s.run("regctl version --format {{.VCSTag}}"))
	s.run("regctl registry set --tls disabled %s", w.gateway)
	s.run("regctl image copy ocidir://%s:v1 %s/regctl/app:v1", app.dir, w.gateway)
	w.holds(t, "regctl/app", "v1", app)
	s.same("regctl tag ls", s.run("regctl tag ls %s/regctl/app", w.gateway), "v1")
	s.same("regctl image digest", s.run("regctl image digest %s/regctl/app:v1", w.gateway), app.digest)
	s.run("regctl image copy %s/regctl/app:v1 ocidir://%s/app:v1", w.gateway, back)
	app.check(t, filepath.Join(back, "app"))

	s.write("note.txt", "reviewed\n")
	s.run("regctl artifact put --artifact-type application/vnd.example.note --subject %s/regctl/app:v1 --file note.txt", w.gateway)
	var found struct {
		Manifests []struct{ ArtifactType string }
	}
	s.json(&found, "regctl artifact list %s/regctl/app:v1 --format body", w.gateway)
	if len(found.Manifests) != 1 || found.Manifests[0].ArtifactType != "application/vnd.example.note" {
		t.Errorf("regctl artifact list: %+v", found)
	}
	w.tags(t, "regctl/app", "v1") // no tag of the fallback scheme

	s.run("regctl image copy ocidir://%s:v1 %s/regctl/large:v1", large.dir, w.gateway)
	p := w.between(t, large, large.layers[len(large.layers)-1])
	s.run("regctl registry set --tls disabled %s", p.address)
	s.run("regctl image copy %s/regctl/large:v1 ocidir://%s/large:v1", p.address, back)
	large.check(t, filepath.Join(back, "large"))
	p.resumed(t)

	s.run("regctl tag delete %s/regctl/app:v1", w.gateway)
	w.gone(t, "regctl/app/manifests/v1")
	s.run("regctl manifest delete %s/regctl/app@%s", w.gateway, app.digest)
	w.gone(t, "regctl/app/manifests/%s", app.digest)
}

// oras copies an index, attaches artifacts to it, finds them again, and deletes
// manifests and blobs.
func oras(t *testing.T, w *world) {
	s, app, back := w.shell(t), w.images.app, t.TempDir()
	t.Log(s.run("oras version"))
	s.run("oras cp --from-oci-layout %s:v1 --to-plain-http %s/oras/app:v1", app.dir, w.gateway)
	w.holds(t, "oras/app", "v1", app)
	s.same("oras repo tags", s.run("oras repo tags --plain-http %s/oras/app", w.gateway), "v1")
	s.run("oras cp --from-plain-http %s/oras/app:v1 --to-oci-layout %s/app:v1", w.gateway, back)
	app.check(t, filepath.Join(back, "app"))

	const signature = `{"signed":true}`
	s.write("signature.json", signature)
	for _, kind := range []string{"application/vnd.dev.cosign.artifact.sig.v1+json", "application/vnd.example.sbom"} {
		s.run("oras attach --plain-http --artifact-type %s %s/oras/app:v1 signature.json:application/json", kind, w.gateway)
	}
	found := s.discover(w, "application/vnd.example.sbom")
	if len(found) != 1 {
		t.Fatalf("oras discover: %v", found)
	}
	s.run("oras pull --plain-http --output %s %s/oras/app@%s", back, w.gateway, found[0])
	if got, err := os.ReadFile(filepath.Join(back, "signature.json")); err != nil || string(got) != signature {
		t.Errorf("what was attached came back as %q, %v", got, err)
	}
	w.tags(t, "oras/app", "v1") // no tag of the fallback scheme
	s.run("oras manifest delete --plain-http --force %s/oras/app@%s", w.gateway, found[0])
	if found := s.discover(w, "application/vnd.example.sbom"); len(found) != 0 {
		t.Errorf("oras discover finds what was deleted: %v", found)
	}
	if found := s.discover(w, "application/vnd.dev.cosign.artifact.sig.v1+json"); len(found) != 1 {
		t.Errorf("oras discover: %v", found)
	}

	s.run("oras blob push --plain-http %s/oras/blobs signature.json", w.gateway)
	d := digestOf([]byte(signature))
	s.run("oras blob fetch --plain-http --output blob %s/oras/blobs@%s", w.gateway, d)
	s.run("oras blob delete --plain-http --force %s/oras/blobs@%s", w.gateway, d)
	w.gone(t, "oras/blobs/blobs/%s", d)
	s.run("oras manifest delete --plain-http --force %s/oras/app:v1", w.gateway)
	w.gone(t, "oras/app/manifests/%s", app.digest)
}

// discover returns the digests of what refers to the image of the test of oras.
func (s shell) discover(w *world, artifactType string) []string {
	s.t.Helper()
	var found struct {
		Referrers []struct{ Digest, ArtifactType string }
	}
	s.json(&found, "oras discover --plain-http --format json --artifact-type %s %s/oras/app:v1", artifactType, w.gateway)
	var digests []string
	for _, r := range found.Referrers {
		if r.ArtifactType != artifactType {
			s.t.Errorf("oras discover: %+v is not of type %s", r, artifactType)
		}
		digests = append(digests, r.Digest)
	}
	return digests
}

// helm pushes a chart and pulls the same bytes back.
func helm(t *testing.T, w *world) {
	s, dir, back := w.shell(t), t.TempDir(), t.TempDir()
	t.Log("helm " + s.run("helm version --short"))
	s.run("helm create %s/web", dir)
	s.run("helm package %s/web -d %[1]s", dir)
	chart := filepath.Join(dir, "web-0.1.0.tgz")
	s.run("helm push %s oci://%s/charts --plain-http", chart, w.gateway)
	want, err := os.ReadFile(chart)
	if err != nil {
		t.Fatal(err)
	}
	_, h, body := w.ask(t, "/v2/charts/web/manifests/0.1.0")
	m := w.complete(t, "charts/web", h.Get("Docker-Content-Digest"), nil)
	if len(m.Layers) == 0 || m.Layers[0].Digest != digestOf(want) {
		t.Errorf("the chart is not the first layer of %s", body)
	}
	s.run("helm pull oci://%s/charts/web --version 0.1.0 --plain-http -d %s", w.gateway, back)
	got, err := os.ReadFile(filepath.Join(back, "web-0.1.0.tgz"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the chart that was pulled: %d bytes, want %d: %v", len(got), len(want), err)
	}
	w.tags(t, "charts/web", "0.1.0")
}

// write makes a file where the client runs.
func (s shell) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
}
