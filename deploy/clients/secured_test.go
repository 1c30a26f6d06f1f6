package clients_test

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"artifactstore/deploy/privateca"
)

// The principals of the gateways.
const (
	writer   = "writer"
	reader   = "reader"
	password = "correct horse battery staple"
	hashed   = "$2a$04$dhsS3G38AWy4xyWayvf/yeetarx88SqkPpEgFPB3f8tECTmfGxRRa" // bcrypt of it
)

// secured is a world whose gateways ask who one is, over TLS.
type secured struct {
	*world
	program string
	ca      string // file of the authority's certificate, ca.crt
	otherCA string // of another authority
	layout  string // of the image app, in a folder without capitals: podman makes a name of it
	trusted *x509.CertPool
	token   string // of the writer
	public  string // host:port of a second gateway of the same store, where nobody may pull /*/open
}

// newSecured starts two gateways of one store, on an address that is not loopback
// where the machine has one: Docker takes any certificate on loopback.
func newSecured(t *testing.T) *secured {
	t.Helper()
	w := &secured{world: &world{tools: install(t), images: buildImages(t)}, program: build(t), token: newToken(t)}
	w.layout = lower(t, w.images.app.dir)
	host := address(t)
	dir := t.TempDir()
	w.ca, w.otherCA = filepath.Join(dir, "certs", "ca.crt"), filepath.Join(dir, "others", "ca.crt")
	w.authority(t, dir, host)
	write(t, dir, "htpasswd", reader+":"+hashed+"\n")
	sum := sha256.Sum256([]byte(w.token))
	write(t, dir, "token", hex.EncodeToString(sum[:])+"\n")
	for name, anonymous := range map[string]string{"closed.yaml": "", "public.yaml": `"pull:*/open"`} {
		write(t, dir, name, fmt.Sprintf(`listen: "%s"
auth:
  mode: [tokens, htpasswd]
  anonymous: [%s]
  tokens: [{name: writer, token_sha256_ref: file:%s/token, allow: ["pull:*", "push:*"]}]
  htpasswd: {file: %[3]s/htpasswd, users: [{name: reader, allow: ["pull:*"]}]}
tls: {certificate_ref: file:%[3]s/gateway.crt, key_ref: file:%[3]s/gateway.key}
`, net.JoinHostPort(host, "0"), anonymous, dir))
	}
	w.gateway = serve(t, w.program, dir, "ARTIFACTSTORE_CONFIG=closed.yaml")
	w.public = serve(t, w.program, dir, "ARTIFACTSTORE_CONFIG=public.yaml")
	w.client, w.secure = w.trustingClient(t), true
	return w
}

// lower copies a folder to one whose name has no capitals.
func lower(t *testing.T, source string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "layout-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// address returns one of this machine's own.
func address(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	return "127.0.0.1"
}

func newToken(t *testing.T) string {
	t.Helper()
	var random [32]byte
	rand.Read(random[:])
	return "ast_" + base64.RawURLEncoding.EncodeToString(random[:])
}

// authority makes an authority and the gateway's certificate.
func (w *secured) authority(t *testing.T, dir, host string) {
	t.Helper()
	authority, err := privateca.New("a private authority")
	if err != nil {
		t.Fatal(err)
	}
	gateway, err := authority.Issue(privateca.Wish{Name: "gateway", Address: net.ParseIP(host)})
	if err != nil {
		t.Fatal(err)
	}
	w.trusted = authority.Pool()
	other, err := privateca.New("another authority")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(w.ca), filepath.Base(w.ca), string(authority.PEM()))
	write(t, filepath.Dir(w.otherCA), filepath.Base(w.otherCA), string(other.PEM()))
	write(t, dir, "gateway.crt", string(gateway.Certificate))
	write(t, dir, "gateway.key", string(gateway.Key))
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// trusting is a shell for clients that believe an authority. Those with an option
// of their own for it use that.
func (w *secured) trusting(t *testing.T, ca string) shell {
	return w.shell(t, "SSL_CERT_FILE="+ca, "ARTIFACTSTORE_CA_FILE="+ca, "NO_PROXY=*", "no_proxy=*")
}

// trustingClient asks as the reader.
func (w *secured) trustingClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.trusted}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: asReader{transport}}
}

type asReader struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (a asReader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.SetBasicAuth(reader, password)
	return a.RoundTripper.RoundTrip(r)
}
