package privateca

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

func TestIssued(t *testing.T) {
	a, err := New("tests")
	if err != nil {
		t.Fatal(err)
	}
	other, err := New("others")
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range []bool{false, true} {
		issued, err := a.Issue(Wish{Name: "x", Client: client, End: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(issued.Certificate, issued.Key)
		if err != nil {
			t.Fatal(err)
		}
		usage := x509.ExtKeyUsageServerAuth
		if client {
			usage = x509.ExtKeyUsageClientAuth
		}
		for at, good := range map[time.Time]bool{time.Now(): true, time.Now().Add(2 * time.Hour): false} {
			_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: a.Pool(), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}})
			if (err == nil) != good {
				t.Errorf("client %v at %s: %v", client, at, err)
			}
		}
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: other.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err == nil {
			t.Error("another authority's pool takes it")
		}
		if err := pair.Leaf.VerifyHostname("127.0.0.1"); (err == nil) == client {
			t.Errorf("client %v: %v", client, err)
		}
	}
}
