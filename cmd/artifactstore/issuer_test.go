package main

import (
	"bufio"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// issuerMain is an OpenID Connect issuer in a process of its own: it serves at the
// address of its first argument, says where on standard output, and rotates its key
// when it is told to. Beside what the protocol has, POST /sign?kid= signs claims, and
// POST /rotate?keep=true|false makes a new key and answers with its id.
func issuerMain() {
	l, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	i := &issuing{url: "http://" + l.Addr().String(), keys: map[string]*rsa.PrivateKey{}}
	i.rotate(true)
	fmt.Println(i.url)
	http.Serve(l, i)
}

type issuing struct {
	url string

	mu        sync.Mutex
	keys      map[string]*rsa.PrivateKey // all that there were
	published []string
}

func (i *issuing) rotate(keep bool) string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	id := rand.Text()
	if !keep {
		i.published = nil
	}
	i.keys[id], i.published = key, append(i.published, id)
	return id
}

func (i *issuing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		json.NewEncoder(w).Encode(map[string]string{"issuer": i.url, "jwks_uri": i.url + "/keys"})
	case "/keys":
		var set jose.JSONWebKeySet
		for _, id := range i.published {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: i.keys[id].Public(), KeyID: id, Use: "sig", Algorithm: "RS256"})
		}
		json.NewEncoder(w).Encode(set)
	case "/rotate":
		fmt.Fprint(w, i.rotate(r.FormValue("keep") == "true"))
	case "/sign":
		i.sign(w, r)
	}
}

func (i *issuing) sign(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("kid")
	if id == "" {
		id = i.published[len(i.published)-1]
	}
	text, err := signWith(jose.RS256, i.keys[id], id, r.FormValue("claims"))
	if err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	fmt.Fprint(w, text)
}

func signWith(alg jose.SignatureAlgorithm, key any, id, claims string) (string, error) {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		return "", err
	}
	o, err := s.Sign([]byte(claims))
	if err != nil {
		return "", err
	}
	return o.CompactSerialize()
}

// issuer is such a process.
type issuer struct {
	t   *testing.T
	url string
	cmd *exec.Cmd
}

// startIssuer starts one, at an address.
func startIssuer(t *testing.T, at string) *issuer {
	t.Helper()
	program, err := exec.LookPath("oidc-issuer")
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, cmd: exec.Command(program, at)}
	i.cmd.Stderr = os.Stderr
	out, err := i.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := i.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the issuer does not serve: %v", err)
	}
	i.url = strings.TrimSpace(line)
	return i
}

func (i *issuer) kill() {
	i.cmd.Process.Kill()
	i.cmd.Wait()
}

// ask sends a form to the issuer.
func (i *issuer) ask(path string, form url.Values) string {
	i.t.Helper()
	return i.read(http.PostForm(i.url+path, form))
}

func (i *issuer) read(r *http.Response, err error) string {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
	defer r.Body.Close()
	var b strings.Builder
	if _, err := bufio.NewReader(r.Body).WriteTo(&b); err != nil || r.StatusCode != 200 {
		i.t.Fatalf("the issuer: %s %s: %v", r.Status, &b, err)
	}
	return b.String()
}

// public is the only key that the issuer publishes, and its id.
func (i *issuer) public() (crypto.PublicKey, string) {
	i.t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(i.read(http.Get(i.url+"/keys"))), &set); err != nil || len(set.Keys) != 1 {
		i.t.Fatalf("%+v, %v", set, err)
	}
	return set.Keys[0].Key, set.Keys[0].KeyID
}
