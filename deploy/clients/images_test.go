package clients_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	typeIndex    = "application/vnd.oci.image.index.v1+json"
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// images are what the clients push, each an OCI layout with the one tag "v1",
// made of files of this machine.
type images struct {
	app   image // an index of two platforms, which share a layer
	amd64 image // the first of them alone, of three layers
	large image // with a layer that takes a while, for downloads that are cut
}

// image is an OCI layout (image-spec image-layout.md) and what it holds.
type image struct {
	dir     string
	digest  string            // of the manifest or index
	blobs   map[string][]byte // by digest, the manifest among them
	layers  []string          // digests, of the first platform
	diffIDs []string          // of the same layers, unpacked
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type layer struct {
	descriptor
	diffID string
}

// buildImages makes them of busybox, the licences that every Debian has, programs
// of Go for two processors, and containerd's binaries.
func buildImages(t *testing.T) images {
	t.Helper()
	dir := t.TempDir()
	b := builder{t, map[string][]byte{}}
	busybox := b.layer("bin/busybox", find("busybox", os.Getenv("PATH")))
	licences := b.layer("usr/share/common-licenses", "/usr/share/common-licenses")
	amd64 := b.manifest("amd64", busybox, licences, b.layer("bin/hello", hello(t, dir, "amd64")))
	arm64 := b.manifest("arm64", licences, b.layer("bin/hello", hello(t, dir, "arm64")))
	large := b.manifest("amd64", busybox, b.layer("usr/bin", "../../bin/clients/debian/usr/bin/containerd"))
	index := b.json(typeIndex, map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []descriptor{amd64, arm64}})
	return images{
		app:   b.layout(filepath.Join(dir, "app"), index),
		amd64: b.layout(filepath.Join(dir, "amd64"), amd64),
		large: b.layout(filepath.Join(dir, "large"), large),
	}
}

// hello compiles a program for a platform.
func hello(t *testing.T, dir, arch string) string {
	t.Helper()
	name := filepath.Join(dir, "hello-"+arch)
	cmd := exec.Command("go", "build", "-o", name, "./testdata/hello")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return name
}

// builder collects blobs.
type builder struct {
	t     *testing.T
	blobs map[string][]byte
}

func (b builder) blob(mediaType string, content []byte) descriptor {
	d := digestOf(content)
	b.blobs[d] = content
	return descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
}

func (b builder) json(mediaType string, v any) descriptor {
	text, err := json.Marshal(v)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.blob(mediaType, text)
}

func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// layer packs a file or a folder of this machine under a name.
func (b builder) layer(name, source string) layer {
	b.t.Helper()
	var packed bytes.Buffer
	plain := sha256.New()
	z, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	archive := tar.NewWriter(io.MultiWriter(z, plain))
	err := filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return pack(archive, name+strings.TrimPrefix(path, source), path)
	})
	if err == nil {
		err = archive.Close()
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return layer{b.blob(typeLayer, packed.Bytes()), fmt.Sprintf("sha256:%x", plain.Sum(nil))}
}

func pack(archive *tar.Writer, name, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	target, _ := os.Readlink(path)
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	h.Name, h.ModTime, h.Uname, h.Gname = name, time.Unix(0, 0), "", ""
	if info.IsDir() {
		h.Name += "/"
	}
	if err := archive.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	content, err := os.ReadFile(path)
	if err == nil {
		_, err = archive.Write(content)
	}
	return err
}

// manifest makes an image of layers.
func (b builder) manifest(arch string, layers ...layer) descriptor {
	p := platform{arch, "linux"}
	var descriptors []descriptor
	var diffIDs []string
	for _, l := range layers {
		descriptors, diffIDs = append(descriptors, l.descriptor), append(diffIDs, l.diffID)
	}
	config := b.json(typeConfig, map[string]any{
		"created": "2026-01-01T00:00:00Z", "architecture": p.Architecture, "os": p.OS,
		"config": map[string]any{"Cmd": []string{"/bin/hello"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	d := b.json(typeManifest, map[string]any{"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": descriptors})
	d.Platform = &p
	return d
}

// layout writes an image and all it names.
func (b builder) layout(dir string, top descriptor) image {
	b.t.Helper()
	i := image{dir: dir, digest: top.Digest, blobs: map[string][]byte{}}
	b.gather(&i, top.Digest)
	top.Platform, top.Annotations = nil, map[string]string{"org.opencontainers.image.ref.name": "v1"}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{top}})
	if err != nil {
		b.t.Fatal(err)
	}
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`), "index.json": index}
	for d, content := range i.blobs {
		files[strings.Replace("blobs/"+d, ":", "/", 1)] = content
	}
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	return i
}

// gather takes a manifest and what it names into an image.
func (b builder) gather(i *image, d string) {
	i.blobs[d] = b.blobs[d]
	m := parse(b.t, b.blobs[d])
	for _, child := range m.Manifests {
		b.gather(i, child.Digest)
	}
	if m.Config.Digest == "" {
		return
	}
	first := len(i.layers) == 0
	for _, l := range append(m.Layers, m.Config) {
		i.blobs[l.Digest] = b.blobs[l.Digest]
	}
	if first {
		for _, l := range m.Layers {
			i.layers = append(i.layers, l.Digest)
		}
		i.diffIDs = parse(b.t, b.blobs[m.Config.Digest]).RootFS.DiffIDs
	}
}

// parsed has the members of a manifest, an index and a config that the tests
// ask for.
type parsed struct {
	Manifests []descriptor `json:"manifests"`
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
	RootFS    struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// parse reads a manifest, or a config, whose own member config is none.
func parse(t *testing.T, text []byte) parsed {
	t.Helper()
	var p parsed
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return p
}

// check compares a layout that a client wrote with the image, byte by byte.
func (i image) check(t *testing.T, dir string) {
	t.Helper()
	for d, want := range i.blobs {
		got, err := os.ReadFile(filepath.Join(dir, strings.Replace("blobs/"+d, ":", "/", 1)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("the client's copy of %s: %d bytes, want %d: %v", d, len(got), len(want), err)
		}
	}
}
