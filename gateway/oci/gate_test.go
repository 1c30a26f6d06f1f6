package oci_test

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/deploy/house"
	"artifactstore/gateway"
	"artifactstore/registry/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// gate is a gateway on a real socket.
type gate struct {
	t   testing.TB
	url string
	house.Opened
}

// silent takes what an operator would be told of faults made on purpose.
var silent = slog.New(slog.DiscardHandler)

// client follows nothing and adds nothing.
var client = &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}

// serve serves what is open until the test ends.
func serve(t testing.TB, o house.Opened, change ...func(*gateway.Options)) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	options := gateway.Options{Store: o.Store, Log: silent, Access: silent}
	for _, c := range change {
		c(&options)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- gateway.Serve(ctx, l, gateway.New(options), time.Minute, silent)
	}()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &gate{t, "http://" + l.Addr().String(), o}
}

// quick is a gateway on the shape that needs no server.
func quick(t testing.TB, change ...func(*gateway.Options)) *gate {
	t.Helper()
	return serve(t, house.All()[0].Fresh(t)(t, house.Options{Log: silent}), change...)
}

// everywhere runs a test on every shape.
func everywhere(t *testing.T, shapes []house.House, test func(t *testing.T, g *gate)) {
	for _, h := range shapes {
		t.Run(h.Name, func(t *testing.T) { test(t, serve(t, h.Fresh(t)(t, house.Options{Log: silent}))) })
	}
}

// answer is an answer with its whole body.
type answer struct {
	*http.Response
	t    testing.TB
	name string
	text []byte
}

// do makes a request. The body is nil, bytes, a text or a reader, of which the
// length is not announced; fields are names and values.
func (g *gate) do(method, path string, body any, fields ...string) answer {
	g.t.Helper()
	var in io.Reader
	switch b := body.(type) {
	case []byte:
		in = bytes.NewReader(b)
	case string:
		in = strings.NewReader(b)
	case io.Reader:
		in = struct{ io.Reader }{b}
	}
	req, err := http.NewRequest(method, g.url+path, in)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	a := answer{t: g.t, name: method + " " + path}
	if a.Response, err = client.RoundTrip(req); err != nil {
		g.t.Fatalf("%s: %v", a.name, err)
	}
	defer a.Body.Close()
	if a.text, err = io.ReadAll(a.Body); err != nil {
		g.t.Fatalf("%s: read answer: %v", a.name, err)
	}
	return a
}

// is fails the test unless the answer has a status.
func (a answer) is(status int) answer {
	a.t.Helper()
	if a.StatusCode != status {
		a.t.Fatalf("%.200s: %s: %.500s: want %d", a.name, a.Status, a.text, status)
	}
	return a
}

// has fails the test unless the answer has a field with a value.
func (a answer) has(name, value string) answer {
	a.t.Helper()
	if got := a.Header.Get(name); got != value {
		a.t.Errorf("%.200s: %s is %q, want %q", a.name, name, got, value)
	}
	return a
}

// codes returns the codes of an error document of the spec.
func (a answer) codes() (codes []string) {
	a.t.Helper()
	var doc struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(a.text, &doc); err != nil || len(doc.Errors) == 0 || a.Header.Get("Content-Type") != "application/json" {
		a.t.Errorf("%.200s: %s %q is no error document: %.500q", a.name, a.Status, a.Header.Get("Content-Type"), a.text)
	}
	for _, e := range doc.Errors {
		if e.Message == "" {
			a.t.Errorf("%.200s: %s without a message", a.name, e.Code)
		}
		codes = append(codes, e.Code)
	}
	return codes
}

// refuses fails the test unless the answer is a refusal of the spec. To HEAD
// there is no document.
func (a answer) refuses(status int, code string) answer {
	a.t.Helper()
	a.is(status)
	if strings.HasPrefix(a.name, "HEAD ") {
		return a
	}
	for _, c := range a.codes() {
		if c != code {
			a.t.Errorf("%.200s: %s: want %s", a.name, a.text, code)
		}
	}
	for _, field := range []string{"Etag", "Docker-Content-Digest", "Content-Disposition", "Link"} {
		a.has(field, "")
	}
	return a
}

// location returns where the answer points to, which has the state of an upload
// in its path.
func (a answer) location() string {
	a.t.Helper()
	l := a.Header.Get("Location")
	if !strings.HasPrefix(l, "/v2/") || strings.Contains(l, "?") {
		a.t.Fatalf("%s: location %q", a.name, l)
	}
	return l
}

// random returns content that is the same in every run.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1}).Read(b)
	return b
}

func sum(alg digest.Algorithm, content []byte) string {
	if alg == digest.SHA512 {
		return fmt.Sprintf("sha512:%x", sha512.Sum512(content))
	}
	h := digest.NewHasher()
	h.Write(content)
	d, _ := h.Sum(alg)
	return d.String()
}

func sha256(content []byte) string { return sum(digest.SHA256, content) }

func blob(repository, d string) string { return "/v2/" + repository + "/blobs/" + d }

func manifest(repository, reference string) string {
	return "/v2/" + repository + "/manifests/" + reference
}

func uploads(repository string) string { return "/v2/" + repository + "/blobs/uploads/" }

// begin opens an upload.
func (g *gate) begin(repository string) string {
	g.t.Helper()
	a := g.do("POST", uploads(repository), nil).is(202).has("Content-Length", "0").has("Range", "0-0")
	if l := a.location(); !strings.HasSuffix(l, a.Header.Get("Docker-Upload-UUID")) {
		g.t.Errorf("location %q of upload %q", l, a.Header.Get("Docker-Upload-UUID"))
	}
	return a.location()
}

// push stores a blob in one request and returns its digest.
func (g *gate) push(repository string, content []byte) string {
	g.t.Helper()
	d := sha256(content)
	g.do("POST", uploads(repository)+"?digest="+d, content).is(201)
	return d
}

// Media types in use.
const (
	image  = "application/vnd.oci.image.manifest.v1+json"
	index  = "application/vnd.oci.image.index.v1+json"
	config = "application/vnd.oci.image.config.v1+json"
	layer  = "application/vnd.oci.image.layer.v1.tar+gzip"
)

func descriptor(media string, content []byte) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, media, sha256(content), len(content))
}

// imageOf writes an image manifest; more is written after its layers.
func imageOf(cfg []byte, more string, layers ...[]byte) []byte {
	var list []string
	for _, l := range layers {
		list = append(list, descriptor(layer, l))
	}
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]%s}`, image, descriptor(config, cfg), strings.Join(list, ","), more)
}

// pushImage stores an image with its blobs under a tag and returns its bytes.
func (g *gate) pushImage(repository, tag, more string, layers ...[]byte) []byte {
	g.t.Helper()
	cfg := []byte("{}")
	for _, content := range append(layers, cfg) {
		g.push(repository, content)
	}
	m := imageOf(cfg, more, layers...)
	g.do("PUT", manifest(repository, tag), m, "Content-Type", image).is(201)
	return m
}

// state is what a refused request must leave as it was.
func (g *gate) state() string {
	g.t.Helper()
	last, err := g.Registry.Last(context.Background())
	if err != nil {
		g.t.Fatal(err)
	}
	text := fmt.Sprintf("position %d\n", last)
	for info, err := range g.Backend.List(context.Background(), "", "") {
		if err != nil {
			g.t.Fatal(err)
		}
		text += fmt.Sprintf("%s %d\n", info.Key, info.Size)
	}
	return text
}

// sound fails the test unless the registry agrees with its log.
func (g *gate) sound() {
	g.t.Helper()
	report, err := g.Registry.Check(context.Background(), nil)
	if err != nil || len(report.Problems) > 0 {
		g.t.Errorf("check: %v, %q", err, report.Problems)
	}
	if n := g.Store.BufferedBytes(); n != 0 {
		g.t.Errorf("%d bytes of buffers are not given back", n)
	}
}
