package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"artifactstore/cas/digest"
	"artifactstore/gateway/content"
)

// secret is a content that the asker knows and may not read: it lies in another's
// package, or nowhere.
type secret struct {
	text                   string
	sha256, sha512, blake3 string
}

var secrets int // how many were made: no two are the same

// newSecret makes one of so many bytes.
func newSecret(t *testing.T, size int) secret {
	t.Helper()
	secrets++
	text := fmt.Sprintf("secret %08d ", secrets)
	text += strings.Repeat("x", max(size-len(text), 0))
	h := digest.NewHasher(digest.SHA512)
	defer h.Release()
	h.Write([]byte(text))
	sum := func(a digest.Algorithm) string {
		d, ok := h.Sum(a)
		if !ok {
			t.Fatal(a)
		}
		return d.String()
	}
	return secret{text, sum(digest.SHA256), sum(digest.SHA512), sum(digest.BLAKE3)}
}

// elsewhere makes a secret that another tenant has in a package.
func (x *table) elsewhere(size int) secret {
	x.t.Helper()
	s := newSecret(x.t, size)
	x.owned("PUT", "/v1/packages/team/secrets/1/files/"+s.sha256, s.text, "Repr-Digest", "sha-512=:"+base64Hex(s.sha512)+":")
	return s
}

// shown makes a secret that a repository shows besides.
func (x *table) shown(size int) secret {
	x.t.Helper()
	s := x.elsewhere(size)
	x.owned("POST", "/v2/team/app/blobs/uploads/?digest="+s.sha256, s.text)
	return s
}

// probe is something that a stranger may try in order to learn whether a content is
// in the store.
type probe struct {
	name string
	// send makes the request and returns what the answer says.
	send func(x *table, who persona, s secret) string
}

// A content that lies where one may not read is answered like one that is not there,
// in status, header and body, however one asks.
func TestElsewhereIsLikeNowhere(t *testing.T) { toldApart(t, probes()) }

// toldApart fails where an answer to a probe says whether the content is there.
func toldApart(t *testing.T, list []probe) {
	x := openTable(t)
	for _, p := range list {
		for _, who := range []persona{
			x.enter("stranger", "*:other"),
			x.enter("reader", "pull:other", "push:other", "delete:other"),
			x.enter("pusher", "push:other"),
			x.enter("deleter", "delete:other", "push:*"),
			{name: "anonymous-reader", gate: "pull:team"}, // of what is in another producer's
		} {
			there, nowhere := x.shown(500), newSecret(t, 500)
			if who.gate != "" {
				x.owned("PUT", "/v1/packages/hidden/x/1/files/"+there.sha256, there.text)
				x.owned("DELETE", "/v1/packages/team/secrets/1/files/"+there.sha256, "")
				x.owned("DELETE", "/v2/team/app/blobs/"+there.sha256, "")
			}
			a, b := p.send(x, who, there), p.send(x, who, nowhere)
			if a != b {
				t.Errorf("%s, as %s:\nelsewhere: %s\n  nowhere: %s", p.name, who.name, a, b)
			}
		}
	}
}

// simple is a probe of one request.
func simple(name, method string, path func(secret) string, body func(secret) string, header ...func(secret) string) probe {
	return probe{name, func(x *table, who persona, s secret) string {
		fields := make([]string, len(header))
		for i, h := range header {
			fields[i] = h(s)
		}
		text := ""
		if body != nil {
			text = body(s)
		}
		return x.told(who, s, method, path(s), text, fields...)
	}}
}

func is(text string) func(secret) string { return func(secret) string { return text } }

func at(format string, name func(secret) string) func(secret) string {
	return func(s secret) string { return fmt.Sprintf(format, name(s)) }
}

func sha256Of(s secret) string { return s.sha256 }
func textOf(s secret) string   { return s.text }

func tagOf(s secret) string {
	d, err := digest.Parse(s.sha256)
	if err != nil {
		panic(err)
	}
	return content.ETag(d)
}

// names are the names of a content.
var names = []struct {
	name string
	of   func(secret) string
}{{"sha256", sha256Of}, {"sha512", func(s secret) string { return s.sha512 }}, {"blake3", func(s secret) string { return s.blake3 }}}

// probes are all that a stranger may try without bringing the content.
func probes() (all []probe) {
	for _, algorithm := range names {
		blob, in := at("/v1/blobs/%s", algorithm.of), at("/v2/other/app/blobs/%s", algorithm.of)
		for _, method := range []string{"GET", "HEAD", "DELETE"} {
			all = append(all, simple(method+" by "+algorithm.name, method, blob, nil), simple(method+" in a repository by "+algorithm.name, method, in, nil))
		}
		all = append(all,
			simple("a range by "+algorithm.name, "GET", blob, nil, is("Range"), is("bytes=0-9")),
			simple("a range that is not there by "+algorithm.name, "GET", blob, nil, is("Range"), is("bytes=100000-")),
			simple("unmodified by "+algorithm.name, "GET", blob, nil, is("If-None-Match"), tagOf),
			simple("matching by "+algorithm.name, "HEAD", blob, nil, is("If-Match"), tagOf),
			simple("a failed condition by "+algorithm.name, "GET", blob, nil, is("If-Match"), is(`"other"`)),
			simple("attach by "+algorithm.name, "PUT", at("/v1/packages/other/app/1/files/%s", sha256Of), at(`{"digest":%q}`, algorithm.of),
				is("Content-Type"), is("application/vnd.artifactstore.blob-reference+json")),
			simple("anonymous mount by "+algorithm.name, "POST", at("/v2/other/app/blobs/uploads/?mount=%s", algorithm.of), nil),
			simple("mount from where one may not read by "+algorithm.name, "POST", at("/v2/other/app/blobs/uploads/?mount=%s&from=team/app", algorithm.of), nil),
			simple("mount from one's own by "+algorithm.name, "POST", at("/v2/other/app/blobs/uploads/?mount=%s&from=other/lib", algorithm.of), nil),
			simple("a manifest by "+algorithm.name, "GET", at("/v2/other/app/manifests/%s", algorithm.of), nil),
			simple("referrers by "+algorithm.name, "GET", at("/v2/other/app/referrers/%s", algorithm.of), nil),
			probe{"referrers of a subject under another name: " + algorithm.name, func(x *table, who persona, s secret) string { return x.subject(who, s, algorithm.of(s)) }},
			simple("a manifest that names it by "+algorithm.name, "PUT", is("/v2/other/app/manifests/v1"), func(s secret) string { return naming(algorithm.of(s)) }, is("Content-Type"), is(imageType)),
			simple("put under a wrong digest: "+algorithm.name, "PUT", at("/v1/blobs/%s?producer=other", algorithm.of), is("other bytes")),
		)
	}
	return append(all,
		simple("where it would be in another's package", "GET", at("/v1/packages/team/secrets/1/files/%s", sha256Of), nil),
		simple("take it out of another's package", "DELETE", at("/v1/packages/team/secrets/1/files/%s", sha256Of), nil),
	)
}

// naming is a manifest with a layer.
func naming(layer string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":500},"layers":[]}`, imageType, layer)
}

// subject pushes a manifest whose subject is the secret by its SHA-256, and asks for
// what refers to it under another name.
func (x *table) subject(who persona, s secret, name string) string {
	config := "config of " + s.sha256
	at := "/v2/other/app/blobs/uploads/?digest="
	d := newDigest(x.t, config)
	first, _, _ := x.send(who, "POST", at+d, config)
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[],"subject":{"mediaType":%q,"digest":%q,"size":500}}`,
		imageType, d, len(config), imageType, s.sha256)
	second, _, _ := x.send(who, "PUT", "/v2/other/app/manifests/"+newDigest(x.t, body), body, "Content-Type", imageType)
	told := x.told(who, s, "GET", "/v2/other/app/referrers/"+name, "")
	return fmt.Sprint(first, second, strings.ReplaceAll(told, newDigest(x.t, body), "MANIFEST"))
}

// told sends a request and returns all that its answer says, but for what differs
// from one request to the next.
func (x *table) told(who persona, s secret, method, path, body string, header ...string) string {
	x.t.Helper()
	status, h, text := x.send(who, method, path, body, header...)
	lines := []string{fmt.Sprint(method, " ", status)}
	for name, values := range h {
		if name != "Date" && name != "X-Request-Id" {
			lines = append(lines, fmt.Sprint(name, ": ", values))
		}
	}
	slices.Sort(lines[1:])
	var all map[string]any
	if json.Unmarshal([]byte(text), &all) == nil {
		delete(all, "request_id")
		plain, _ := json.Marshal(all)
		text = string(plain)
	}
	told := strings.Join(append(lines, text), "\n    ") + "\n    "
	for _, name := range []string{s.sha256, s.sha512, s.blake3} {
		_, hex, _ := strings.Cut(name, ":")
		told = strings.ReplaceAll(told, hex, "DIGEST")
	}
	told = strings.ReplaceAll(told, base64Hex(s.sha256), "DIGEST")
	told = uploadIDs.ReplaceAllString(told, "SESSION")
	return times.ReplaceAllString(told, "TIME")
}

var (
	uploadIDs = regexp.MustCompile(`\b[0-9a-f]{32}\b`)
	times     = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)
)

// base64Hex is a digest's sum as a digest field has it.
func base64Hex(d string) string {
	parsed, err := digest.Parse(d)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(parsed.Sum())
}
