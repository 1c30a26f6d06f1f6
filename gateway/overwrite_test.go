package gateway_test

import (
	"fmt"
	"strings"
	"testing"
)

// Bytes that a stranger brings of a content that lies where they may not read are
// answered like those of a new one, whatever way they come.
func TestBroughtElsewhereIsLikeNew(t *testing.T) {
	list := []probe{
		simple("put", "POST", is("/v1/blobs?producer=other"), textOf),
		simple("put with its digest", "POST", is("/v1/blobs?producer=other"), textOf,
			is("Repr-Digest"), func(s secret) string { return "sha-256=:" + base64Hex(s.sha256) + ":" }),
		simple("put in a package", "PUT", at("/v1/packages/other/app/1/files/%s", sha256Of), textOf),
		{"session", func(x *table, who persona, s secret) string {
			_, h, _ := x.send(who, "POST", "/v2/other/app/blobs/uploads/", "")
			open := h.Get("Location")
			if open == "" {
				return "refused"
			}
			first := x.told(who, s, "PATCH", open, s.text[:100])
			return first + x.told(who, s, "PUT", open+"?digest="+s.sha512, s.text[100:])
		}},
	}
	for _, algorithm := range names {
		list = append(list,
			simple("put as "+algorithm.name, "PUT", at("/v1/blobs/%s?producer=other", algorithm.of), textOf),
			simple("put in a repository as "+algorithm.name, "POST", at("/v2/other/app/blobs/uploads/?digest=%s", algorithm.of), textOf))
	}
	toldApart(t, list)
}

const indexType = "application/vnd.oci.image.index.v1+json"

// A push without the verb overwrite makes new files and tags and confirms those that
// are there, and replaces none.
func TestOverwriteTakesItsVerb(t *testing.T) {
	x := openTable(t)
	creator, mover := x.enter("creator", "push:team"), x.enter("overwriter", "push:team", "overwrite:team")
	elsewhere := x.enter("elsewhere", "push:team", "overwrite:other", "overwrite:team/app/below")
	manifest := func(n int) string {
		return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[],"annotations":{"n":"%d"}}`, indexType, n)
	}
	attached := func(text string) string { return fmt.Sprintf(`{"digest":%q}`, newDigest(t, text)) }
	for _, text := range []string{"content 1", "content 2"} {
		x.owned("PUT", "/v1/packages/team/lib/1/files/"+newDigest(t, text), text)
	}
	reader := x.enter("reading-creator", "push:team", "pull:team")
	for _, test := range []struct {
		name   string
		path   func(n int) string
		body   func(n int) string
		header []string
		denied string
	}{
		{"file", func(int) string { return "/v1/packages/team/made/1/files/a" },
			func(n int) string { return fmt.Sprint("content ", n) }, nil, "would_replace"},
		{"attached file", func(int) string { return "/v1/packages/team/made/1/files/b" },
			func(n int) string { return attached(fmt.Sprint("content ", n)) },
			[]string{"Content-Type", "application/vnd.artifactstore.blob-reference+json"}, "would_replace"},
		{"tag", func(int) string { return "/v2/team/app/manifests/made" }, manifest, []string{"Content-Type", indexType}, "DENIED"},
		{"further tag", func(n int) string { return "/v2/team/app/manifests/" + newDigest(t, manifest(n)) + "?tag=further" },
			manifest, []string{"Content-Type", indexType}, "DENIED"},
	} {
		put := func(who persona, n, want int) {
			t.Helper()
			status, _, text := x.send(who, "PUT", test.path(n), test.body(n), test.header...)
			if status != want && (want != 200 || status != 201) || want == 403 && !strings.Contains(text, test.denied) {
				t.Errorf("%s %d, as %s: %d %s, want %d", test.name, n, who.name, status, text, want)
			}
		}
		first := creator
		if test.name == "attached file" {
			first = reader
			elsewhere = x.enter("elsewhere-reading", "push:team", "pull:team", "overwrite:other")
			mover = x.enter("reading-overwriter", "push:team", "pull:team", "overwrite:team")
		}
		put(first, 1, 201)
		put(first, 1, 200)
		for _, who := range []persona{first, elsewhere} {
			put(who, 2, 403)
			put(who, 1, 200)
		}
		put(mover, 2, 200)
		put(first, 1, 403)
		put(first, 2, 200)
	}
}
