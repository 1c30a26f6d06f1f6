package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"artifactstore/deploy/privateca"
)

// encrypting writes a certificate into a directory, and a configuration that names it.
func encrypting(t *testing.T, dir string, a *privateca.Authority, w privateca.Wish) {
	t.Helper()
	issued, err := a.Issue(w)
	if err != nil {
		t.Fatal(err)
	}
	config := "tls: {certificate_ref: file:" + dir + "/tls.crt, key_ref: file:" + dir + "/tls.key}\n"
	for name, text := range map[string][]byte{"tls.crt": issued.Certificate, "tls.key": issued.Key, "artifactstore.yaml": []byte(config)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func authority(t *testing.T) *privateca.Authority {
	t.Helper()
	a, err := privateca.New("tests")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A gateway serves TLS by its configuration alone, and shows a certificate that was
// replaced while it runs: in its metrics when that ends, before anybody comes anew.
func TestServeTLS(t *testing.T) {
	t.Parallel()
	a, dir := authority(t), t.TempDir()
	encrypting(t, dir, a, privateca.Wish{Name: "one"})
	s := start(t, command(t), dir, "ARTIFACTSTORE_CONFIG=artifactstore.yaml")
	address, ok := strings.CutPrefix(s.url, "https://")
	if !ok {
		t.Fatalf("it says that it serves %s", s.url)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.Pool()}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	resp, err := client.Get(s.url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
	shows := func(end time.Time) bool { // on the one connection
		resp, err := client.Get(s.url + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		shown, err := io.ReadAll(resp.Body)
		return err == nil && strings.Contains(string(shown), fmt.Sprintf("\nartifactstore_tls_certificate_expires_timestamp_seconds %g\n", float64(end.Unix())))
	}
	if !shows(privateca.End) {
		t.Error("the metrics do not say when the certificate ends")
	}
	sooner := privateca.End.AddDate(-10, 0, 0)
	encrypting(t, dir, a, privateca.Wish{Name: "two", End: sooner})
	for end := time.Now().Add(startTime); !shows(sooner); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the metrics do not say when the new certificate ends")
		}
	}
	c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: a.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	if name := c.ConnectionState().PeerCertificates[0].Subject.CommonName; name != "two" {
		t.Errorf("the certificate is still %s", name)
	}
	c.Close()
	if !strings.Contains(s.logged(), "the certificate was replaced") {
		t.Error("the log does not say so")
	}
}

// What is wrong with the certificate, or will soon be, is said before anything is
// served.
func TestConfigCheckTLS(t *testing.T) {
	a := authority(t)
	now := time.Now()
	for name, test := range map[string]struct {
		wish   privateca.Wish
		spoil  func(dir string) error
		status bool
		says   string
	}{
		"good":         {status: true, says: "the configuration is right\n"},
		"expires soon": {wish: privateca.Wish{End: now.Add(13 * 24 * time.Hour)}, status: true, says: "warning: tls.certificate_ref: the certificate expires on "},
		"expired":      {wish: privateca.Wish{End: now.Add(-time.Hour)}, says: "tls.certificate_ref: the certificate expired on "},
		"not yet":      {wish: privateca.Wish{Start: now.Add(time.Hour)}, says: "tls.certificate_ref: the certificate is valid only from "},
		"no certificate": {says: "tls.certificate_ref: open ", spoil: func(dir string) error {
			return os.Remove(dir + "/tls.crt")
		}},
		"no key": {says: "tls.key_ref: open ", spoil: func(dir string) error {
			return os.Remove(dir + "/tls.key")
		}},
		"of another": {says: "private key does not match public key", spoil: func(dir string) error {
			other, err := a.Issue(privateca.Wish{})
			if err != nil {
				return err
			}
			return os.WriteFile(dir+"/tls.key", other.Key, 0o600)
		}},
		"no PEM": {says: "failed to find any PEM data in certificate input", spoil: func(dir string) error {
			return os.WriteFile(dir+"/tls.crt", []byte("a certificate"), 0o600)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			encrypting(t, dir, a, test.wish)
			if test.spoil != nil {
				if err := test.spoil(dir); err != nil {
					t.Fatal(err)
				}
			}
			out, err := exec.Command(command(t), "config", "check", "--config", dir+"/artifactstore.yaml").CombinedOutput()
			if (err == nil) != test.status || !strings.Contains(string(out), test.says) {
				t.Errorf("%v: %s", err, out)
			}
			if test.status != strings.Contains(string(out), "the configuration is right") || strings.Contains(string(out), "PRIVATE") {
				t.Errorf("it says %s", out)
			}
		})
	}
}
