package oci_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"artifactstore/cas/digest"
)

// What bad input gets: each a precise answer with a document of the spec, and
// nothing is stored.
func TestBadInput(t *testing.T) {
	g := quick(t)
	content := random(400, 2000)
	cfg := []byte("{}")
	m := g.pushImage("a", "v1", "", content)
	g.push("a", []byte("unnamed"))
	open := g.do("PATCH", g.begin("a"), content[:100]).is(202).location()
	finished := g.begin("a")
	g.do("PUT", finished+"?digest="+sha256(content), content).is(201)
	at, d, never := func() string { return g.begin("a") }, sha256(content), sha256([]byte("never"))
	ok := imageOf(cfg, "", content)
	with := func(old, new string) []byte {
		changed := strings.Replace(string(ok), old, new, 1)
		if changed == string(ok) {
			t.Fatalf("no %q in %s", old, ok)
		}
		return []byte(changed)
	}
	large := append(bytes.Clone(ok), bytes.Repeat([]byte(" "), 5<<20)...)
	many := with(`"layers"`, `"x":[1`+strings.Repeat(",1", 1<<18)+`],"layers"`)
	deep := with(`"layers"`, `"x":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`,"layers"`)
	self := imageOf(cfg, `,"subject":`+descriptor(image, ok)) // any digest: its own cannot be known
	for name, test := range map[string]struct {
		method, path string
		body         any
		fields       []string
		status       int
		code         string
	}{
		// Names, tags and digests.
		"name in capitals":           {method: "POST", path: uploads("A"), status: 400, code: "NAME_INVALID"},
		"name with dots":             {method: "GET", path: manifest("a/../b", "v1"), status: 400, code: "NAME_INVALID"},
		"name with an escaped slash": {method: "GET", path: manifest("a%2Fb", "v1"), status: 400, code: "NAME_INVALID"},
		"name too long":              {method: "GET", path: manifest(strings.Repeat("a", 256), "v1"), status: 400, code: "NAME_INVALID"},
		"empty name":                 {method: "GET", path: "/v2//tags/list", status: 400, code: "NAME_INVALID"},
		"no such path":               {method: "GET", path: "/v2/a", status: 404, code: "UNSUPPORTED"},
		"tag with a space":           {method: "PUT", path: manifest("a", "a%20b"), body: ok, status: 400, code: "MANIFEST_INVALID"},
		"tag with a NUL":             {method: "GET", path: manifest("a", "a%00"), status: 400, code: "MANIFEST_INVALID"},
		"tag too long":               {method: "PUT", path: manifest("a", strings.Repeat("t", 129)), body: ok, status: 400, code: "MANIFEST_INVALID"},
		"parameter tag":              {method: "PUT", path: manifest("a", sha256(ok)) + "?tag=-x", body: ok, status: 400, code: "MANIFEST_INVALID"},
		"65 tags":                    {method: "PUT", path: manifest("a", sha256(ok)) + "?tag=x" + strings.Repeat("&tag=y", 64), body: ok, status: 414, code: "UNSUPPORTED"},
		"mistyped digest to get":     {method: "GET", path: manifest("a", sha256(m)[:70]), status: 400, code: "DIGEST_INVALID"},
		"mistyped digest to put":     {method: "PUT", path: manifest("a", "sha265:"+never[7:]), body: ok, status: 400, code: "DIGEST_INVALID"},
		"digest in capitals":         {method: "GET", path: blob("a", "sha256:"+strings.ToUpper(d[7:])), status: 400, code: "DIGEST_INVALID"},
		"unknown algorithm":          {method: "GET", path: blob("a", "md5:d41d8cd98f00b204e9800998ecf8427e"), status: 400, code: "DIGEST_INVALID"},
		"digest of another length":   {method: "GET", path: blob("a", "sha512:"+d[7:]), status: 400, code: "DIGEST_INVALID"},
		"tag in place of a digest":   {method: "GET", path: blob("a", "v1"), status: 400, code: "DIGEST_INVALID"},
		"referrers of a tag":         {method: "GET", path: "/v2/a/referrers/v1", status: 400, code: "DIGEST_INVALID"},
		// Lists.
		"n=-1":          {method: "GET", path: "/v2/a/tags/list?n=-1", status: 400, code: "UNSUPPORTED"},
		"n=2^63":        {method: "GET", path: "/v2/a/tags/list?n=9223372036854775808", status: 400, code: "UNSUPPORTED"},
		"n is a word":   {method: "GET", path: "/v2/_catalog?n=ten", status: 400, code: "UNSUPPORTED"},
		"n twice":       {method: "GET", path: "/v2/_catalog?n=1&n=2", status: 400, code: "UNSUPPORTED"},
		"malformed":     {method: "GET", path: "/v2/_catalog?n=%zz", status: 400, code: "UNSUPPORTED"},
		"last no name":  {method: "GET", path: "/v2/_catalog?last=..%2Fx", status: 400, code: "NAME_INVALID"},
		"last too long": {method: "GET", path: "/v2/a/tags/list?last=" + strings.Repeat("x", 300), status: 400, code: "UNSUPPORTED"},
		"last no digest": {
			method: "GET", path: "/v2/a/referrers/" + d + "?last=x", status: 400, code: "DIGEST_INVALID",
		},
		// Uploads.
		"wrong digest at once":        {method: "POST", path: uploads("a") + "?digest=" + never, body: content, status: 400, code: "DIGEST_INVALID"},
		"wrong SHA-512 at once":       {method: "POST", path: uploads("a") + "?digest=" + sum(digest.SHA512, cfg), body: content, status: 400, code: "DIGEST_INVALID"},
		"wrong digest at the end":     {method: "PUT", path: at() + "?digest=" + never, body: content, status: 400, code: "DIGEST_INVALID"},
		"no digest at the end":        {method: "PUT", path: open, body: content, status: 400, code: "DIGEST_INVALID"},
		"empty digest":                {method: "PUT", path: open + "?digest=", body: content, status: 400, code: "DIGEST_INVALID"},
		"two digests":                 {method: "PUT", path: open + "?digest=" + d + "&digest=" + never, status: 400, code: "UNSUPPORTED"},
		"malformed digest at the end": {method: "PUT", path: open + "?digest=sha256:x", status: 400, code: "DIGEST_INVALID"},
		"algorithm":                   {method: "POST", path: uploads("a") + "?digest-algorithm=md5", status: 400, code: "DIGEST_INVALID"},
		"mount of no digest":          {method: "POST", path: uploads("a") + "?mount=v1&from=a", status: 400, code: "DIGEST_INVALID"},
		"mount from no name":          {method: "POST", path: uploads("a") + "?mount=" + d + "&from=..", status: 400, code: "NAME_INVALID"},
		"foreign session":             {method: "PATCH", path: strings.Replace(open, "/a/", "/b/", 1), body: content, status: 404, code: "BLOB_UPLOAD_UNKNOWN"},
		"foreign session to end":      {method: "PUT", path: strings.Replace(open, "/a/", "/b/", 1) + "?digest=" + d, body: content, status: 404, code: "BLOB_UPLOAD_UNKNOWN"},
		"finished session":            {method: "PATCH", path: finished, body: content, status: 404, code: "BLOB_UPLOAD_UNKNOWN"},
		"finished as something else":  {method: "PUT", path: finished + "?digest=" + never, status: 404, code: "BLOB_UPLOAD_UNKNOWN"},
		"finished, and more":          {method: "PUT", path: finished + "?digest=" + d, body: random(401, 2001), status: 400, code: "SIZE_INVALID"},
		"no session":                  {method: "GET", path: uploads("a") + strings.Repeat("0", 32), status: 404, code: "BLOB_UPLOAD_UNKNOWN"},
		"no session's form":           {method: "PATCH", path: uploads("a") + "x", body: content, status: 404, code: "BLOB_UPLOAD_UNKNOWN"},
		"range in HTTP's form":        {method: "PATCH", path: open, body: content, fields: []string{"Content-Range", "bytes 100-2099/5000"}, status: 400, code: "BLOB_UPLOAD_INVALID"},
		"range of no end":             {method: "PATCH", path: open, body: content, fields: []string{"Content-Range", "100-"}, status: 400, code: "BLOB_UPLOAD_INVALID"},
		"range backwards":             {method: "PATCH", path: open, body: content, fields: []string{"Content-Range", "100-99"}, status: 416, code: "BLOB_UPLOAD_INVALID"},
		"range beyond numbers":        {method: "PATCH", path: open, body: content, fields: []string{"Content-Range", "0-9223372036854775807"}, status: 400, code: "BLOB_UPLOAD_INVALID"},
		"two ranges":                  {method: "PATCH", path: open, body: content, fields: []string{"Content-Range", "100-2099", "Content-Range", "100-2099"}, status: 400, code: "BLOB_UPLOAD_INVALID"},
		"range of another length":     {method: "PATCH", path: open, body: content, fields: []string{"Content-Range", "100-199"}, status: 400, code: "SIZE_INVALID"},
		"more streamed than ranged":   {method: "PATCH", path: open, body: bytes.NewReader(content), fields: []string{"Content-Range", "100-199"}, status: 400, code: "SIZE_INVALID"},
		"less streamed than ranged":   {method: "PATCH", path: open, body: bytes.NewReader(content), fields: []string{"Content-Range", "100-9999"}, status: 400, code: "SIZE_INVALID"},
		"out of order":                {method: "PATCH", path: open, body: content, fields: []string{"Content-Range", "0-1999"}, status: 416, code: "BLOB_UPLOAD_INVALID"},
		"a method that is none":       {method: "POST", path: open, status: 405, code: "UNSUPPORTED"},
		"a blob by its path":          {method: "PUT", path: blob("a", d), body: content, status: 405, code: "UNSUPPORTED"},
		"no such blob":                {method: "GET", path: blob("a", never), status: 404, code: "BLOB_UNKNOWN"},
		"no such blob to delete":      {method: "DELETE", path: blob("a", never), status: 404, code: "BLOB_UNKNOWN"},
		"a blob in use":               {method: "DELETE", path: blob("a", d), status: 405, code: "UNSUPPORTED"},
		"no such range":               {method: "GET", path: blob("a", d), fields: []string{"Range", "bytes=2000-"}, status: 416, code: "UNSUPPORTED"},
		"a condition":                 {method: "GET", path: blob("a", d), fields: []string{"If-Match", `"x"`}, status: 412, code: "UNSUPPORTED"},
		// Manifests.
		"by another digest":          {method: "PUT", path: manifest("a", never), body: ok, status: 400, code: "DIGEST_INVALID"},
		"by another SHA-512":         {method: "PUT", path: manifest("a", sum(digest.SHA512, cfg)), body: ok, status: 400, code: "DIGEST_INVALID"},
		"blobs that are not there":   {method: "PUT", path: manifest("a", "x"), body: imageOf([]byte("no"), "", []byte("nor this")), status: 400, code: "MANIFEST_BLOB_UNKNOWN"},
		"blobs of elsewhere":         {method: "PUT", path: manifest("b", "x"), body: ok, status: 400, code: "MANIFEST_BLOB_UNKNOWN"},
		"a blob of another size":     {method: "PUT", path: manifest("a", "x"), body: with(`"size":2000`, `"size":1999`), status: 400, code: "MANIFEST_INVALID"},
		"a negative size":            {method: "PUT", path: manifest("a", "x"), body: with(`"size":2000`, `"size":-1`), status: 400, code: "MANIFEST_INVALID"},
		"a size that is no number":   {method: "PUT", path: manifest("a", "x"), body: with(`"size":2000`, `"size":"2000"`), status: 400, code: "MANIFEST_INVALID"},
		"a size beyond numbers":      {method: "PUT", path: manifest("a", "x"), body: with(`"size":2000`, `"size":99999999999999999999`), status: 400, code: "MANIFEST_INVALID"},
		"a digest that is none":      {method: "PUT", path: manifest("a", "x"), body: with(d, "sha256:x"), status: 400, code: "MANIFEST_INVALID"},
		"nothing":                    {method: "PUT", path: manifest("a", "x"), status: 400, code: "MANIFEST_INVALID"},
		"no JSON":                    {method: "PUT", path: manifest("a", "x"), body: "hello", status: 400, code: "MANIFEST_INVALID"},
		"JSON that breaks off":       {method: "PUT", path: manifest("a", "x"), body: ok[:len(ok)-1], status: 400, code: "MANIFEST_INVALID"},
		"a list":                     {method: "PUT", path: manifest("a", "x"), body: "[]", status: 400, code: "MANIFEST_INVALID"},
		"null":                       {method: "PUT", path: manifest("a", "x"), body: "null", status: 400, code: "MANIFEST_INVALID"},
		"something behind it":        {method: "PUT", path: manifest("a", "x"), body: append(bytes.Clone(ok), "{}"...), status: 400, code: "MANIFEST_INVALID"},
		"a member twice":             {method: "PUT", path: manifest("a", "x"), body: with(`"layers":`, `"layers":[],"layers":`), status: 400, code: "MANIFEST_INVALID"},
		"a member twice, deep":       {method: "PUT", path: manifest("a", "x"), body: with(`"size":2000`, `"size":2000,"size":2000`), status: 400, code: "MANIFEST_INVALID"},
		"deep JSON":                  {method: "PUT", path: manifest("a", "x"), body: deep, status: 400, code: "MANIFEST_INVALID"},
		"a value too many":           {method: "PUT", path: manifest("a", "x"), body: many, status: 400, code: "MANIFEST_INVALID"},
		"a member twice, unlike":     {method: "PUT", path: manifest("a", "x"), body: with(`"layers":`, `"l\u0061yers":[],"layers":`), status: 400, code: "MANIFEST_INVALID"},
		"bytes that are not UTF-8":   {method: "PUT", path: manifest("a", "x"), body: with(`"layers"`, "\"\xff\":1,\"layers\""), status: 400, code: "MANIFEST_INVALID"},
		"an annotation with a NUL":   {method: "PUT", path: manifest("a", "x"), body: with(`"layers"`, `"annotations":{"a":"\u0000"},"layers"`), status: 400, code: "MANIFEST_INVALID"},
		"an annotation of a number":  {method: "PUT", path: manifest("a", "x"), body: with(`"layers"`, `"annotations":{"a":1},"layers"`), status: 400, code: "MANIFEST_INVALID"},
		"a type with a line's end":   {method: "PUT", path: manifest("a", "x"), body: with(`"layers"`, `"artifactType":"a\nb","layers"`), status: 400, code: "MANIFEST_INVALID"},
		"schema 1":                   {method: "PUT", path: manifest("a", "x"), body: with(`"schemaVersion":2`, `"schemaVersion":1`), status: 400, code: "MANIFEST_INVALID"},
		"no schema":                  {method: "PUT", path: manifest("a", "x"), body: with(`"schemaVersion":2,`, ``), status: 400, code: "MANIFEST_INVALID"},
		"an unknown media type":      {method: "PUT", path: manifest("a", "x"), body: with(image, "text/html"), fields: []string{"Content-Type", "text/html"}, status: 400, code: "MANIFEST_INVALID"},
		"two media types":            {method: "PUT", path: manifest("a", "x"), body: ok, fields: []string{"Content-Type", index}, status: 400, code: "MANIFEST_INVALID"},
		"a Content-Type that is not": {method: "PUT", path: manifest("a", "x"), body: ok, fields: []string{"Content-Type", ";"}, status: 400, code: "MANIFEST_INVALID"},
		"5 MiB":                      {method: "PUT", path: manifest("a", "x"), body: large, status: 413, code: "SIZE_INVALID"},
		"5 MiB, not announced":       {method: "PUT", path: manifest("a", "x"), body: bytes.NewReader(large), status: 413, code: "SIZE_INVALID"},
		"a manifest of itself":       {method: "PUT", path: manifest("a", sha256(ok)), body: self, status: 400, code: "DIGEST_INVALID"},
		"no such tag":                {method: "GET", path: manifest("a", "v9"), status: 404, code: "MANIFEST_UNKNOWN"},
		"no such tag to delete":      {method: "DELETE", path: manifest("a", "v9"), status: 404, code: "MANIFEST_UNKNOWN"},
		"no such manifest":           {method: "DELETE", path: manifest("a", never), status: 404, code: "MANIFEST_UNKNOWN"},
		"a blob that is no manifest": {method: "GET", path: manifest("a", d), status: 404, code: "MANIFEST_UNKNOWN"},
		"HEAD of nothing":            {method: "HEAD", path: manifest("a", "v9"), status: 404},
	} {
		t.Run(name, func(t *testing.T) {
			g := *g
			g.t = t
			before := g.state()
			g.do(test.method, test.path, test.body, test.fields...).refuses(test.status, test.code)
			if after := g.state(); after != before {
				t.Errorf("something was stored:\nbefore %s\nafter %s", before, after)
			}
			g.do("GET", open, nil).is(204).has("Range", "0-99")
		})
	}
	a := g.do("PUT", manifest("b", "x"), imageOf([]byte("1"), "", []byte("2"), []byte("3"), []byte("2")), "Content-Type", image)
	if n := len(a.is(400).codes()); n != 3 {
		t.Errorf("%d entries for three missing blobs: %s", n, a.text)
	}
	g.sound()
}

// A body that ends before its announced length is an error on every way in.
func TestBodyBreaksOff(t *testing.T) {
	g := quick(t)
	content := random(410, 1000)
	at := g.begin("a")
	before := g.state()
	for _, line := range []string{
		"PATCH " + at, "PUT " + at + "?digest=" + sha256(content[:500]), "POST " + uploads("a") + "?digest=" + sha256(content[:500]), "PUT " + manifest("a", "x"),
	} {
		c := g.dial()
		fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n%s", line, content[:500])
		c.halfClose()
		resp, err := http.ReadResponse(c.in, nil)
		if err != nil {
			continue // the connection is as broken as the body
		}
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode < 400 || resp.StatusCode > 499 {
			t.Errorf("%s: %s", line, resp.Status)
		}
	}
	g.do("GET", at, nil).is(204).has("Range", "0-0")
	if after := g.state(); after != before {
		t.Errorf("something was stored:\nbefore %s\nafter %s", before, after)
	}
	g.sound()
}
