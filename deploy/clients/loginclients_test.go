package clients_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// loginClient is how a client does it. In the lines {host} is the gateway, {user} the
// name, {ca} and {certs} the authority's certificate, as a file and in a folder as
// ca.crt, {store} a store of the client's own, {layout} an image to push, {repo}
// where to, {back} an empty folder, {image} the last word that prepare said. A password
// comes on standard input. Several commands are parted by semicolons.
type loginClient struct {
	name, version        string
	login, logout        string
	prepare, push, fetch string
	// triesWrong: it logs in with a wrong password first. crane asks only when it is
	// used, and who fails too often at one address is slowed, so not all try.
	triesWrong bool
	// vague is what it may say instead of why it was refused. crane sends several blobs
	// at once, and the first error that it hears of may be that one was given up.
	vague  string
	daemon func(*testing.T, *secured, *shell) // may be nil
	check  func(*testing.T, *secured, shell, job)
}

var loginClients = []loginClient{
	{
		name: "skopeo", version: "skopeo --version", triesWrong: true,
		login: "skopeo login --cert-dir {certs} --username {user} --password-stdin {host}", logout: "skopeo logout {host}",
		push:  "skopeo --insecure-policy copy --all --dest-cert-dir {certs} oci:{layout}:v1 docker://{host}/{repo}:v1",
		fetch: "skopeo --insecure-policy copy --all --src-cert-dir {certs} docker://{host}/{repo}:v1 oci:{back}/app:v1",
		check: cameBack,
	},
	{
		name: "crane", version: "crane version", vague: "context canceled",
		login: "crane auth login {host} --username {user} --password-stdin", logout: "crane auth logout {host}",
		push:  "crane push {layout} {host}/{repo}:v1",
		fetch: "crane pull --format oci {host}/{repo}:v1 {back}/app",
		check: cameBack,
	},
	{
		name: "oras", version: "oras version", triesWrong: true,
		login: "oras login --ca-file {ca} --username {user} --password-stdin {host}", logout: "oras logout {host}",
		push:  "oras cp --from-oci-layout {layout}:v1 --to-ca-file {ca} {host}/{repo}:v1",
		fetch: "oras cp --from-ca-file {ca} {host}/{repo}:v1 --to-oci-layout {back}/app:v1",
		check: cameBack,
	},
	{
		name: "regctl", version: "regctl version --format {{.VCSTag}}",
		login: "regctl registry login {host} --user {user} --pass-stdin", logout: "regctl registry logout {host}",
		push:  "regctl image copy ocidir://{layout}:v1 {host}/{repo}:v1",
		fetch: "regctl image copy {host}/{repo}:v1 ocidir://{back}/app:v1",
		check: cameBack,
	},
	{
		name: "helm", version: "helm version --short", triesWrong: true,
		login: "helm registry login {host} --ca-file {ca} --username {user} --password-stdin", logout: "helm registry logout {host}",
		prepare: "helm create web; helm package web", push: "helm push web-0.1.0.tgz oci://{host}/{repo} --ca-file {ca}",
		fetch: "helm pull oci://{host}/{repo}/web --version 0.1.0 --ca-file {ca} -d {back}",
		check: sameChart,
	},
	{
		name: "podman", version: "podman --version",
		login: "podman {store} login --cert-dir {certs} --username {user} --password-stdin {host}", logout: "podman {store} logout {host}",
		prepare: "podman {store} pull --quiet oci:{layout}:v1",
		push:    "podman {store} push --cert-dir {certs} {image} docker://{host}/{repo}:v1",
		fetch:   "podman {store} pull --cert-dir {certs} {host}/{repo}:v1",
		check:   unpacked("podman {store} image inspect {host}/{repo}:v1"),
	},
	{
		name: "buildah", version: "buildah --version",
		login: "buildah {store} login --cert-dir {certs} --username {user} --password-stdin {host}", logout: "buildah {store} logout {host}",
		prepare: "buildah {store} pull --quiet oci:{layout}:v1",
		push:    "buildah {store} push --cert-dir {certs} {image} docker://{host}/{repo}:v1",
		fetch:   "buildah {store} pull --cert-dir {certs} {host}/{repo}:v1",
		check:   pulledByBuildah,
	},
	{
		name: "docker", version: "docker version --format {{.Client.Version}}/{{.Server.Version}}", triesWrong: true, daemon: startDocker,
		login: "docker login --username {user} --password-stdin {host}", logout: "docker logout {host}",
		prepare: "skopeo --insecure-policy copy oci:{layout}:v1 docker-archive:app.tar:local/app:v1",
		push:    "docker load --input app.tar; docker tag local/app:v1 {host}/{repo}:v1; docker push {host}/{repo}:v1",
		fetch:   "docker image prune --all --force; docker pull {host}/{repo}:v1",
		check:   unpacked("docker image inspect {host}/{repo}:v1"),
	},
}

// job is one use of a client.
type job struct {
	host, user, repo, back, store, image, ca string
}

func (w *secured) line(format string, j job) string {
	return strings.NewReplacer(
		"{host}", j.host, "{user}", j.user, "{repo}", j.repo, "{back}", j.back, "{store}", j.store, "{image}", j.image,
		"{ca}", j.ca, "{certs}", filepath.Dir(j.ca), "{layout}", w.layout,
	).Replace(format)
}

func (c loginClient) run(t *testing.T, w *secured) {
	s := w.trusting(t, w.ca)
	if c.daemon != nil {
		c.daemon(t, w, &s)
	}
	t.Log(c.name + " " + s.run("%s", c.version))
	u := &use{t, w, s, c, job{host: w.gateway, user: writer, repo: c.name + "/closed", store: storage(t), ca: w.ca}}
	if c.prepare != "" {
		u.image = lastWord(s.run("%s", u.before(c.prepare)))
	}
	u.strangers()
	u.writer()
	u.reader()
	u.nobody()
}

// use is a client that is used.
type use struct {
	t *testing.T
	w *secured
	shell
	client loginClient
	job
}

// before runs all commands but the last, which it returns.
func (u *use) before(lines string) string {
	u.t.Helper()
	all := strings.Split(lines, ";")
	for _, line := range all[:len(all)-1] {
		u.run("%s", u.w.line(line, u.job))
	}
	return u.w.line(all[len(all)-1], u.job)
}

func (u *use) as(user, password string, do func()) {
	u.t.Helper()
	u.user = user
	u.enter(password, "%s", u.w.line(u.client.login, u.job))
	do()
	u.run("%s", u.w.line(u.client.logout, u.job))
}

// pulls pulls into an empty folder, or store, and compares.
func (u *use) pulls(repo string) {
	u.t.Helper()
	fetch := *u
	fetch.repo, fetch.back, fetch.store = repo, u.t.TempDir(), storage(u.t)
	fetch.run("%s", fetch.before(u.client.fetch))
	u.client.check(u.t, u.w, u.shell, fetch.job)
}

func (u *use) isRefused(why *regexp.Regexp, repo, lines string) {
	u.t.Helper()
	if u.client.vague != "" {
		why = regexp.MustCompile(why.String() + "|" + u.client.vague)
	}
	try := *u
	try.repo, try.back = repo, u.t.TempDir()
	u.refused("", why, "%s", try.before(lines))
}

// strangers are refused: with a wrong password, and without any. Who does not know the
// authority sends nothing; a daemon knows it by itself.
func (u *use) strangers() {
	if u.client.daemon == nil {
		mistrusting := *u
		mistrusting.shell, mistrusting.ca = u.w.trusting(u.t, u.w.otherCA), u.w.otherCA
		mistrusting.dir = u.dir
		mistrusting.isRefused(mistrusted, u.client.name+"/closed", u.client.push)
	}
	if u.client.triesWrong {
		u.user = "stranger-" + u.client.name
		u.refused("wrong", wrong, "%s", u.w.line(u.client.login, u.job))
	}
	u.isRefused(unknown, u.client.name+"/closed", u.client.push)
}

// writer pushes and pulls.
func (u *use) writer() {
	u.as(writer, u.w.token, func() {
		for _, repo := range []string{"closed", "open"} {
			u.repo = u.client.name + "/" + repo
			u.run("%s", u.before(u.client.push))
			u.pulls(u.repo)
		}
	})
}

// reader pulls, and pushes nothing.
func (u *use) reader() {
	u.as(reader, password, func() {
		u.pulls(u.client.name + "/closed")
		u.isRefused(denied, u.client.name+"/of-reader", u.client.push)
	})
	u.w.gone(u.t, "%s/of-reader/tags/list", u.client.name)
}

// nobody pulls nothing, but for what the second gateway lets everybody have.
func (u *use) nobody() {
	u.isRefused(unknown, u.client.name+"/closed", u.client.fetch)
	u.isRefused(unknown, u.client.name+"/open", u.client.fetch)
	u.host = u.w.public
	u.pulls(u.client.name + "/open")
	u.isRefused(unknown, u.client.name+"/closed", u.client.fetch)
	u.isRefused(unknown, u.client.name+"/open/more", u.client.push)
}

func lastWord(text string) string {
	words := strings.Fields(text)
	return words[len(words)-1]
}

// cameBack compares what is stored, and the layout that came back, with the image.
func cameBack(t *testing.T, w *secured, _ shell, j job) {
	t.Helper()
	w.holds(t, j.repo, "v1", w.images.app)
	w.images.app.check(t, filepath.Join(j.back, "app"))
}

// sameChart compares the chart that is stored, and the one that came back, with the
// one that was packed.
func sameChart(t *testing.T, w *secured, s shell, j job) {
	t.Helper()
	want, err := os.ReadFile(filepath.Join(s.dir, "web-0.1.0.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(j.back, "web-0.1.0.tgz"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the chart that was pulled: %d bytes, want %d: %v", len(got), len(want), err)
	}
	_, h, _ := w.ask(t, "/v2/"+j.repo+"/web/manifests/0.1.0")
	if m := w.complete(t, j.repo+"/web", h.Get("Docker-Content-Digest"), nil); len(m.Layers) == 0 || m.Layers[0].Digest != digestOf(want) {
		t.Errorf("the chart is not in %s", j.repo)
	}
}

// unpacked compares what is stored, and what an engine says that it has unpacked, with
// the image.
func unpacked(inspect string) func(*testing.T, *secured, shell, job) {
	return func(t *testing.T, w *secured, s shell, j job) {
		t.Helper()
		_, h, body := w.ask(t, "/v2/"+j.repo+"/manifests/v1")
		stored := image{digest: h.Get("Docker-Content-Digest"), diffIDs: w.images.app.diffIDs}
		w.complete(t, j.repo, digestOf(body), nil)
		s.inspect(stored, "%s", w.line(inspect, j))
	}
}

// pulledByBuildah does so for buildah.
func pulledByBuildah(t *testing.T, w *secured, s shell, j job) {
	t.Helper()
	_, h, body := w.ask(t, "/v2/"+j.repo+"/manifests/v1")
	w.complete(t, j.repo, digestOf(body), nil)
	var pulled struct {
		FromImageDigest string
		OCIv1           parsed
	}
	s.json(&pulled, "buildah %s inspect --type image %s/%s:v1", j.store, j.host, j.repo)
	s.same("digest of what buildah pulled", pulled.FromImageDigest, h.Get("Docker-Content-Digest"))
	s.sameLayers(pulled.OCIv1.RootFS.DiffIDs, w.images.app.diffIDs)
}

// startDocker starts a daemon that believes the authority too.
func startDocker(t *testing.T, _ *secured, s *shell) {
	t.Helper()
	socket := s.dockerd(t)
	s.env = append(s.env, "DOCKER_HOST="+socket)
}
