package gateway

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"artifactstore/deploy/privateca"
)

// kept is where a certificate and its key are kept.
type kept struct {
	mu   sync.Mutex
	pair privateca.Pair
	err  error
	read int // how often
}

func (k *kept) set(p privateca.Pair, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pair, k.err = p, err
}

func (k *kept) get() (string, string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read++
	return string(k.pair.Certificate), string(k.pair.Key), k.err
}

func issue(t *testing.T, name string) privateca.Pair {
	t.Helper()
	a, err := privateca.New("tests")
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Issue(privateca.Wish{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A replaced pair is used; a broken one, whatever is wrong with it, leaves the one
// before in use and is logged once.
func TestKeyPairIsReread(t *testing.T) {
	var (
		one, two, three = issue(t, "one"), issue(t, "two"), issue(t, "three")
		k               = &kept{pair: one}
		log             bytes.Buffer
		now             = time.Now().Add(time.Second)
	)
	p, err := NewKeyPair(k.get, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	p.now = func() time.Time { return now }
	c := p.Config(nil)
	for _, step := range []struct {
		what string
		pair privateca.Pair
		err  error
		name string // of the certificate that is then shown
		says string // the log, "" for nothing
	}{
		{"the same", one, nil, "one", ""},
		{"replaced", two, nil, "two", "was replaced"},
		{"one half alone", privateca.Pair{Certificate: three.Certificate, Key: two.Key}, nil, "two", "does not match"},
		{"still that half", privateca.Pair{Certificate: three.Certificate, Key: two.Key}, nil, "two", ""},
		{"the other half", three, nil, "three", "was replaced"},
		{"gone", privateca.Pair{}, errors.New("it is gone"), "three", "it is gone"},
		{"still gone", privateca.Pair{}, errors.New("it is gone"), "three", ""},
		{"no PEM", privateca.Pair{Certificate: []byte("x"), Key: []byte("x")}, nil, "three", "PEM"},
		{"back", three, nil, "three", "was replaced"},
	} {
		k.set(step.pair, step.err)
		log.Reset()
		k.read = 0
		for range 3 { // handshakes
			c.GetCertificate(&tls.ClientHelloInfo{})
		}
		if k.read != 0 {
			t.Errorf("%s: read %d times before it is time", step.what, k.read)
		}
		now = now.Add(rereadAfter)
		var shown *tls.Certificate
		for range 3 {
			if shown, err = c.GetCertificate(&tls.ClientHelloInfo{}); err != nil {
				t.Fatal(err)
			}
		}
		if k.read != 1 || shown.Leaf.Subject.CommonName != step.name || p.Leaf() != shown.Leaf {
			t.Errorf("%s: read %d times, %s", step.what, k.read, shown.Leaf.Subject.CommonName)
		}
		if said := log.String(); (said == "") != (step.says == "") || !strings.Contains(said, step.says) || strings.Count(said, "\n") > 1 {
			t.Errorf("%s: the log says %q", step.what, said)
		}
		if strings.Contains(log.String(), "PRIVATE") {
			t.Errorf("%s: the log has a key", step.what)
		}
	}
}

// When the certificate ends is right also where it was replaced and nobody has come
// since, and where what it was replaced by cannot be used.
func TestKeyPairExpires(t *testing.T) {
	a, err := privateca.New("tests")
	if err != nil {
		t.Fatal(err)
	}
	until := func(year int) (privateca.Pair, time.Time) {
		end := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		pair, err := a.Issue(privateca.Wish{End: end})
		if err != nil {
			t.Fatal(err)
		}
		return pair, end
	}
	one, first := until(2050)
	two, second := until(2060)
	k := &kept{pair: one}
	now := time.Now().Add(time.Second)
	p, err := NewKeyPair(k.get, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p.now = func() time.Time { return now }
	for _, step := range []struct {
		pair privateca.Pair
		end  time.Time
	}{{one, first}, {two, second}, {privateca.Pair{Certificate: one.Certificate, Key: two.Key}, second}} {
		k.set(step.pair, nil)
		now = now.Add(rereadAfter)
		if end := p.Expires(); !end.Equal(step.end) {
			t.Errorf("it ends %s, want %s", end, step.end)
		}
	}
}

// Handshakes wait for no other that reads.
func TestKeyPairDoesNotWait(t *testing.T) {
	k := &kept{pair: issue(t, "one")}
	p, err := NewKeyPair(k.get, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(rereadAfter)
	p.now = func() time.Time { return now }
	c := p.Config(nil)
	k.mu.Lock() // as a file that cannot be read now
	first := make(chan error)
	go func() {
		_, err := c.GetCertificate(&tls.ClientHelloInfo{})
		first <- err
	}()
	for p.next.Load() < now.Add(rereadAfter).UnixNano() { // until it reads
		time.Sleep(time.Millisecond)
	}
	if shown, err := c.GetCertificate(&tls.ClientHelloInfo{}); err != nil || shown.Leaf.Subject.CommonName != "one" {
		t.Error(err)
	}
	k.mu.Unlock()
	if err := <-first; err != nil {
		t.Error(err)
	}
}

func TestBrokenKeyPairIsRefusedAtFirst(t *testing.T) {
	one, two := issue(t, "one"), issue(t, "two")
	for want, k := range map[string]*kept{
		"it is gone":     {err: errors.New("it is gone")},
		"does not match": {pair: privateca.Pair{Certificate: one.Certificate, Key: two.Key}},
		"certificate":    {pair: privateca.Pair{Key: one.Key}},
		"key":            {pair: privateca.Pair{Certificate: one.Certificate}},
	} {
		if _, err := NewKeyPair(k.get, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
