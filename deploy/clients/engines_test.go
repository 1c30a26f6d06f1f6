package clients_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// storage are the options that give buildah or podman a store of their own: the
// driver vfs needs nothing of the kernel.
func storage(t *testing.T) string {
	dir := t.TempDir()
	return fmt.Sprintf("--root %s/root --runroot %[1]s/run --storage-driver vfs", dir)
}

// buildah builds an image in several steps, pushes it, puts it into an index
// with another platform's, and pulls it into an empty store.
func buildah(t *testing.T, w *world) {
	s, st := w.shell(t), storage(t)
	t.Log(s.run("buildah --version"))
	s.run("buildah %s bud --layers --isolation chroot --format oci -t built %s", st, recipe(t))
	file := filepath.Join(t.TempDir(), "digest")
	s.run("buildah %s push --tls-verify=false --digestfile %s built docker://%s/buildah/built:v1", st, file, w.gateway)
	pushed := digestIn(t, file)
	m := w.complete(t, "buildah/built", pushed, nil)
	if len(m.Layers) != 3 {
		t.Errorf("the image has %d layers, want 3", len(m.Layers))
	}
	w.tags(t, "buildah/built", "v1")

	s.run("buildah %s manifest create both", st)
	s.run("buildah %s manifest add both oci:%s:v1", st, w.images.amd64.dir)
	s.run("buildah %s manifest add --os linux --arch arm64 --variant v8 both localhost/built", st)
	s.run("buildah %s manifest push --all --tls-verify=false --digestfile %s both docker://%s/buildah/both:v1", st, file, w.gateway)
	index := w.complete(t, "buildah/both", digestIn(t, file), nil)
	if len(index.Manifests) != 2 {
		t.Errorf("the index has %d manifests, want 2", len(index.Manifests))
	}

	empty := storage(t)
	s.run("buildah %s pull --tls-verify=false %s/buildah/built:v1", empty, w.gateway)
	var pulled struct {
		FromImageDigest string
		OCIv1           parsed
	}
	s.json(&pulled, "buildah %s inspect --type image %s/buildah/built:v1", empty, w.gateway)
	s.same("digest of what buildah pulled", pulled.FromImageDigest, pushed)
	_, _, config := w.ask(t, "/v2/buildah/built/blobs/"+m.Config.Digest)
	s.sameLayers(pulled.OCIv1.RootFS.DiffIDs, parse(t, config).RootFS.DiffIDs)
}

// recipe makes a folder to build an image in.
func recipe(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Containerfile": "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\nCOPY licences /licences\nCMD [\"/bin/ls\"]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	busybox, err := os.ReadFile(find("busybox", os.Getenv("PATH")))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "busybox"), busybox, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "licences"), os.DirFS("/usr/share/common-licenses")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// podman pulls its platform's image of an index, pushes it under another name,
// lists tags, and pulls it again by digest.
func podman(t *testing.T, w *world) {
	s, st := w.shell(t), storage(t)
	t.Log(s.run("podman --version"))
	s.run("skopeo --insecure-policy copy --all --dest-tls-verify=false oci:%s:v1 docker://%s/podman/app:v1", w.images.app.dir, w.gateway)
	s.run("podman %s pull --tls-verify=false %s/podman/app:v1", st, w.gateway)
	s.inspect(w.images.app, "podman %s image inspect %s/podman/app:v1", st, w.gateway)

	file := filepath.Join(t.TempDir(), "digest")
	s.run("podman %s push --tls-verify=false --digestfile %s %s/podman/app:v1 %[3]s/podman/again:v1", st, file, w.gateway)
	pushed := digestIn(t, file)
	m := w.complete(t, "podman/again", pushed, nil)
	_, _, config := w.ask(t, "/v2/podman/again/blobs/"+m.Config.Digest)
	s.sameLayers(parse(t, config).RootFS.DiffIDs, w.images.app.diffIDs)
	if listed := s.run("podman %s search --list-tags --tls-verify=false %s/podman/again", st, w.gateway); !strings.HasSuffix(listed, "v1") {
		t.Errorf("podman search --list-tags: %s", listed)
	}

	empty := storage(t)
	s.run("podman %s pull --tls-verify=false %s/podman/again@%s", empty, w.gateway, pushed)
	s.inspect(image{digest: pushed, diffIDs: w.images.app.diffIDs}, "podman %s image inspect %s/podman/again@%s", empty, w.gateway, pushed)
}

// docker loads an image and pushes it, pulls it back, pulls its platform's image
// of an index, and resumes a download that is cut.
func docker(t *testing.T, w *world) {
	s, dir := w.shell(t), t.TempDir()
	s.env = append(s.env, "DOCKER_HOST="+s.dockerd(t))
	t.Log("docker " + s.run("docker version --format {{.Client.Version}}/{{.Server.Version}}"))

	name := w.gateway + "/docker/app:v1"
	s.run("skopeo --insecure-policy copy oci:%s:v1 docker-archive:%s/app.tar:%s", w.images.amd64.dir, dir, name)
	s.run("docker load --input %s/app.tar", dir)
	pushed := anyDigest.FindString(s.run("docker push %s", name))
	m := w.complete(t, "docker/app", pushed, nil)
	if len(m.Layers) != 3 {
		t.Errorf("the image has %d layers, want 3", len(m.Layers))
	}
	w.tags(t, "docker/app", "v1")
	s.run("docker rmi --force %s", name)
	s.run("docker pull %s", name)
	s.inspect(image{digest: pushed, diffIDs: w.images.amd64.diffIDs}, "docker image inspect %s", name)

	s.run("skopeo --insecure-policy copy --all --dest-tls-verify=false oci:%s:v1 docker://%s/docker/index:v1", w.images.app.dir, w.gateway)
	s.run("docker pull %s/docker/index:v1", w.gateway)
	s.inspect(w.images.app, "docker image inspect %s/docker/index:v1", w.gateway)

	large := w.images.large
	s.run("skopeo --insecure-policy copy --dest-tls-verify=false oci:%s:v1 docker://%s/docker/large:v1", large.dir, w.gateway)
	p := w.between(t, large, large.layers[len(large.layers)-1])
	s.run("docker pull %s/docker/large:v1", p.address)
	s.inspect(large, "docker image inspect %s/docker/large:v1", p.address)
	p.resumed(t)
}

// dockerd starts a daemon of the test's own and returns its address. It has no
// network for containers, for it runs none, its mounts end with it, and it ends by
// itself should the tests be killed.
func (s shell) dockerd(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	socket := "unix://" + filepath.Join(dir, "s")
	await(t, s.command(fmt.Sprintf("unshare --mount --propagation private timeout 300 dockerd --data-root %s/data --exec-root %[1]s/exec --pidfile %[1]s/pid --host %s "+
		"--storage-driver vfs --iptables=false --ip6tables=false --ip-forward=false --bridge=none", dir, socket)),
		func() error { return s.command("docker --host " + socket + " version").Run() })
	return socket
}

// containerd imports an index, pushes it, pulls it into an empty store, exports
// it, and resumes a download that is cut.
func containerd(t *testing.T, w *world) {
	s, app, large := w.shell(t), w.images.app, w.images.large
	ctr := s.containerd(t)
	t.Log(s.run("%s version", ctr))
	dir := t.TempDir()
	name := w.gateway + "/containerd/app:v1"
	s.run("tar -C %s -cf %s/app.tar .", app.dir, dir)
	s.run("%s images import --all-platforms --no-unpack --base-name %s %s/app.tar", ctr, strings.TrimSuffix(name, ":v1"), dir)
	s.run("%s images push --plain-http %s", ctr, name)
	w.holds(t, "containerd/app", "v1", app)
	w.tags(t, "containerd/app", "v1")

	empty := s.containerd(t)
	s.run("%s images pull --plain-http --all-platforms --snapshotter native %s", empty, name)
	exported := filepath.Join(dir, "app")
	if err := os.Mkdir(exported, 0o755); err != nil {
		t.Fatal(err)
	}
	s.run("%s images export --all-platforms %s/back.tar %s", empty, dir, name)
	s.run("tar -C %s -xf %s/back.tar", exported, dir)
	app.check(t, exported)

	s.run("skopeo --insecure-policy copy --dest-tls-verify=false oci:%s:v1 docker://%s/containerd/large:v1", large.dir, w.gateway)
	p := w.between(t, large, large.layers[len(large.layers)-1])
	s.run("%s images pull --plain-http --snapshotter native %s/containerd/large:v1", empty, p.address)
	stored := s.run("%s content ls --quiet", empty)
	for d := range large.blobs {
		if !strings.Contains(stored, d) {
			t.Errorf("containerd did not store %s", d)
		}
	}
	p.resumed(t)
}

// containerd starts a daemon with an empty store and returns the command of its
// client.
func (s shell) containerd(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	config := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		dir+"/root", dir+"/state", dir+"/s")
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	ctr := "ctr --address " + dir + "/s"
	daemon := s.command("unshare --mount --propagation private timeout 300 containerd --config " + dir + "/config.toml")
	await(t, daemon, func() error { return s.command(ctr + " version").Run() })
	return ctr
}

// inspect compares what an engine says of an image that it has (digest and
// layers, unpacked) with what it must be.
func (s shell) inspect(want image, format string, args ...any) {
	s.t.Helper()
	var found []struct {
		RepoDigests []string
		RootFS      struct{ Layers []string }
	}
	s.json(&found, format, args...)
	if len(found) != 1 || !slices.ContainsFunc(found[0].RepoDigests, func(d string) bool { return strings.HasSuffix(d, "@"+want.digest) }) {
		s.t.Fatalf("the engine has %+v, want %s", found, want.digest)
	}
	s.sameLayers(found[0].RootFS.Layers, want.diffIDs)
}

func (s shell) sameLayers(got, want []string) {
	s.t.Helper()
	if len(want) == 0 || !slices.Equal(got, want) {
		s.t.Errorf("layers %v, want %v", got, want)
	}
}

// json runs a command and reads the JSON that it prints.
func (s shell) json(v any, format string, args ...any) {
	s.t.Helper()
	if output := s.run(format, args...); json.Unmarshal([]byte(output), v) != nil {
		s.t.Fatalf("not the JSON that was expected: %s", output)
	}
}

func digestIn(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil || !anyDigest.Match(text) {
		t.Fatalf("no digest in %q: %v", text, err)
	}
	return anyDigest.FindString(string(text))
}
