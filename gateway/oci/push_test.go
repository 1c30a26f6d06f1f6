package oci_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"artifactstore/cas/digest"
	"artifactstore/deploy/house"
)

// ways are the ways in of a blob, each of which returns the last answer.
var ways = map[string]func(g *gate, repository string, content []byte, d string) answer{
	"one request": func(g *gate, repository string, content []byte, d string) answer {
		return g.do("POST", uploads(repository)+"?digest="+d, content, "Content-Type", "application/octet-stream")
	},
	"two requests": func(g *gate, repository string, content []byte, d string) answer {
		return g.do("PUT", g.begin(repository)+"?digest="+d, content)
	},
	"one stream": func(g *gate, repository string, content []byte, d string) answer { // docker, podman
		a := g.do("PATCH", g.begin(repository), bytes.NewReader(content)).is(202)
		a.has("Range", fmt.Sprintf("0-%d", len(content)-1)).has("Content-Length", "0")
		return g.do("PUT", a.location()+"?digest="+d, nil)
	},
	"chunks": func(g *gate, repository string, content []byte, d string) answer {
		at := g.chunks(repository, content, len(content))
		return g.do("PUT", at+"?digest="+d, nil)
	},
	"chunks, the last with the end": func(g *gate, repository string, content []byte, d string) answer {
		n := len(content) * 2 / 3
		at := g.chunks(repository, content, n)
		return g.do("PUT", at+"?digest="+d, content[n:], "Content-Range", fmt.Sprintf("%d-%d", n, len(content)-1))
	},
	"announced algorithm": func(g *gate, repository string, content []byte, d string) answer {
		alg, _, _ := strings.Cut(d, ":")
		at := g.do("POST", uploads(repository)+"?digest-algorithm="+alg, nil).is(202).location()
		at = g.do("PATCH", at, content).is(202).location()
		return g.do("PUT", at+"?digest="+d, nil)
	},
}

// chunks sends the first n bytes in three pieces and returns where to go on.
func (g *gate) chunks(repository string, content []byte, n int) string {
	g.t.Helper()
	at := g.begin(repository)
	for i := range 3 {
		first, end := n*i/3, n*(i+1)/3
		a := g.do("PATCH", at, content[first:end], "Content-Range", fmt.Sprintf("%d-%d", first, end-1), "Content-Type", "application/octet-stream").is(202)
		a.has("Range", fmt.Sprintf("0-%d", end-1))
		at = a.location()
		g.do("GET", at, nil).is(204).has("Range", fmt.Sprintf("0-%d", end-1)).has("Location", at)
	}
	return at
}

// Each way in, with each algorithm, on each shape: the same bytes come out, under
// the digest they were pushed by and all the others.
func TestPush(t *testing.T) {
	everywhere(t, house.All(), func(t *testing.T, g *gate) {
		seed := uint64(1)
		for name, way := range ways {
			for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512, digest.BLAKE3} {
				repository := "team/" + strings.NewReplacer(" ", "-", ",", "").Replace(name)
				content := random(seed, 700<<10+int(seed))
				seed++
				d := sum(alg, content)
				a := way(g, repository, content, d).is(201)
				a.has("Docker-Content-Digest", d).has("Location", blob(repository, d)).has("Content-Length", "0")
				g.mustPull(repository, d, content)
				g.mustPull(repository, sha256(content), content)
				g.do("HEAD", blob("team/other", d), nil).refuses(404, "BLOB_UNKNOWN")
			}
		}
		g.sound()
	})
}

// mustPull fails the test unless a repository shows a blob, in every way to ask
// for it.
func (g *gate) mustPull(repository, d string, content []byte) {
	g.t.Helper()
	path := blob(repository, d)
	whole := g.do("GET", path, nil).is(200)
	if !bytes.Equal(whole.text, content) {
		g.t.Fatalf("%s: %d other bytes", path, len(whole.text))
	}
	tag := whole.Header.Get("Etag")
	for _, a := range []answer{whole, g.do("HEAD", path, nil).is(200)} {
		a.has("Docker-Content-Digest", d).has("Content-Type", "application/octet-stream").has("Accept-Ranges", "bytes")
		a.has("Content-Length", fmt.Sprint(len(content))).has("Etag", `"`+sha256(content)+`"`).has("Content-Encoding", "")
	}
	g.do("GET", path, nil, "If-None-Match", tag).is(304).has("Docker-Content-Digest", d)
	n := len(content)
	for spec, span := range map[string][2]int{"0-0": {0, 1}, fmt.Sprintf("%d-", n-5): {n - 5, n}, "-7": {n - 7, n}, fmt.Sprintf("5-%d", 2*n): {5, n}} {
		a := g.do("GET", path, nil, "Range", "bytes="+spec).is(206).has("Docker-Content-Digest", d)
		a.has("Content-Range", fmt.Sprintf("bytes %d-%d/%d", span[0], span[1]-1, n)).has("Content-Length", fmt.Sprint(span[1]-span[0]))
		if !bytes.Equal(a.text, content[span[0]:span[1]]) {
			g.t.Errorf("%s bytes=%s: %d other bytes", path, spec, len(a.text))
		}
	}
	g.do("GET", path, nil, "Range", fmt.Sprintf("bytes=%d-", n)).refuses(416, "UNSUPPORTED").has("Content-Range", fmt.Sprintf("bytes */%d", n))
}

// The empty blob is a blob, however it comes.
func TestPushNothing(t *testing.T) {
	g := quick(t)
	empty := sha256(nil)
	for _, push := range []func(repository string) answer{
		func(r string) answer { return g.do("POST", uploads(r)+"?digest="+empty, nil) },
		func(r string) answer { return g.do("PUT", g.begin(r)+"?digest="+empty, nil) },
		func(r string) answer {
			at := g.do("PATCH", g.begin(r), nil).is(202).has("Range", "0-0").location()
			return g.do("PUT", at+"?digest="+empty, nil)
		},
	} {
		repository := fmt.Sprintf("empty/%d", len(g.state()))
		push(repository).is(201)
		g.do("GET", blob(repository, empty), nil).is(200).has("Content-Length", "0")
	}
}

// A manifest comes back as it was pushed, byte for byte, with its media type, under
// the names it was pushed by.
func TestPushManifest(t *testing.T) {
	everywhere(t, house.All(), func(t *testing.T, g *gate) {
		cfg, content := []byte("{ }"), random(100, 3000)
		g.push("team/app", cfg)
		g.push("team/app", content)
		body := slices.Concat([]byte("\n "), imageOf(cfg, `,"annotations":{"a":"b"},"unknown":[{}]`, content), []byte(" \n"))
		check := func(a answer, d string) {
			t.Helper()
			a.is(200).has("Docker-Content-Digest", d).has("Content-Type", image).has("Content-Length", fmt.Sprint(len(body))).has("Content-Encoding", "")
			if !strings.HasPrefix(a.name, "HEAD") && !bytes.Equal(a.text, body) {
				t.Errorf("%s: %q", a.name, a.text)
			}
		}
		d := sha256(body)
		a := g.do("PUT", manifest("team/app", "v1"), body, "Content-Type", image+"; charset=utf-8").is(201)
		a.has("Location", manifest("team/app", d)).has("Docker-Content-Digest", d)
		for _, method := range []string{"GET", "HEAD"} {
			check(g.do(method, manifest("team/app", "v1"), nil, "Accept", "text/plain", "Accept-Encoding", "gzip"), d)
			check(g.do(method, manifest("team/app", d), nil), d)
		}
		g.do("GET", manifest("team/app", "v1"), nil, "If-None-Match", `"`+d+`"`).is(304)
		for _, alg := range []digest.Algorithm{digest.SHA512, digest.BLAKE3} {
			d := sum(alg, body)
			tag := alg.String()
			a := g.do("PUT", manifest("team/app", d)+"?tag="+tag+"&tag=more&tag="+tag, body, "Content-Type", image).is(201)
			a.has("Docker-Content-Digest", d).has("Location", manifest("team/app", d))
			if got := a.Header.Values("Oci-Tag"); !slices.Equal(got, []string{tag, "more"}) {
				t.Errorf("tags %q", got)
			}
			check(g.do("GET", manifest("team/app", d), nil), d)
			check(g.do("HEAD", manifest("team/app", tag), nil), d)
		}
		check(g.do("GET", manifest("team/app", d), nil), d)
		check(g.do("GET", manifest("team/app", "v1"), nil), d)
		g.do("GET", manifest("team/other", d), nil).refuses(404, "MANIFEST_UNKNOWN")
		// Nobody sees two manifests in the same bytes.
		untyped := bytes.Replace(imageOf(cfg, ""), fmt.Appendf(nil, `"mediaType":%q,`, image), nil, 1)
		g.do("PUT", manifest("team/app", "untyped"), untyped, "Content-Type", image).is(201)
		g.do("PUT", manifest("team/app", "untyped"), untyped, "Content-Type", "application/vnd.docker.distribution.manifest.v2+json").refuses(400, "MANIFEST_INVALID")
		g.sound()
	})
}

// An index needs its children, and lists blobs where it likes, as build caches
// do.
func TestPushIndex(t *testing.T) {
	g := quick(t)
	content := random(101, 100)
	child := g.pushImage("a", "child", "", content)
	of := func(list ...string) []byte {
		return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, index, strings.Join(list, ","))
	}
	g.do("PUT", manifest("a", "ok"), of(descriptor(image, child), descriptor(layer, content)), "Content-Type", index).is(201)
	g.do("PUT", manifest("a", "not-a-manifest"), of(descriptor(image, content)), "Content-Type", index).refuses(400, "MANIFEST_BLOB_UNKNOWN")
	g.do("PUT", manifest("b", "elsewhere"), of(descriptor(image, child)), "Content-Type", index).refuses(400, "MANIFEST_BLOB_UNKNOWN")
	g.do("DELETE", manifest("a", sha256(child)), nil).is(202)
	g.do("GET", manifest("a", "ok"), nil).is(200)
	g.do("GET", manifest("a", sha256(child)), nil).refuses(404, "MANIFEST_UNKNOWN")
	g.sound()
}
