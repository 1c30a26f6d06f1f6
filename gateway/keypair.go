package gateway

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// KeyPair is the certificate that a gateway shows, and its key. At a handshake, and
// where somebody asks when it ends, they are read again, [rereadAfter] after the last time at the earliest: a pair that was
// replaced where it is kept is used without a restart, and connections that are
// there go on. A pair that is broken, such as one of which only one half has been
// replaced so far, is logged once and leaves the one before in use.
type KeyPair struct {
	read func() (certificate, key string, err error)
	log  *slog.Logger
	now  func() time.Time

	reading sync.Mutex // held by the one handshake that reads; the others go on
	last    string     // what came of reading the last time
	next    atomic.Int64
	current atomic.Pointer[tls.Certificate]
}

// rereadAfter is how long a replaced certificate may go unnoticed.
const rereadAfter = 10 * time.Second

// NewKeyPair reads a certificate, with its chain, and a key, both PEM. read says them
// again each time; log is told of changes.
func NewKeyPair(read func() (certificate, key string, err error), log *slog.Logger) (*KeyPair, error) {
	p := &KeyPair{read: read, log: log, now: time.Now}
	p.next.Store(p.now().Add(rereadAfter).UnixNano())
	pair, what, err := p.load()
	if err != nil {
		return nil, err
	}
	p.current.Store(pair)
	p.last = what
	return p, nil
}

// Leaf is the certificate in use.
func (p *KeyPair) Leaf() *x509.Certificate { return p.current.Load().Leaf }

// Expires is when the certificate ends that a client is shown now. Like a handshake it
// looks whether the pair was replaced, so that it is right where there are none.
func (p *KeyPair) Expires() time.Time {
	p.refresh()
	return p.Leaf().NotAfter
}

// Config is how a server uses the pair: TLS 1.2 at least. Of a client that has a
// certificate it is verified; nil takes none.
func (p *KeyPair) Config(clients *x509.CertPool) *tls.Config {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			p.refresh()
			return p.current.Load(), nil
		},
	}
	if clients != nil {
		c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, clients
	}
	return c
}

// refresh reads the pair again where it is time to.
func (p *KeyPair) refresh() {
	if p.now().UnixNano() < p.next.Load() || !p.reading.TryLock() {
		return
	}
	defer p.reading.Unlock()
	p.next.Store(p.now().Add(rereadAfter).UnixNano())
	pair, what, err := p.load()
	if what == p.last {
		return
	}
	p.last = what
	if err != nil {
		p.log.Error("the certificate or its key was replaced by what cannot be used: the one before stays in use",
			"error", err, "valid_until", p.Leaf().NotAfter)
		return
	}
	p.current.Store(pair)
	p.log.Info("the certificate was replaced", "valid_until", pair.Leaf.NotAfter)
}

// load reads the pair. What it came to, good or bad, can be compared.
func (p *KeyPair) load() (pair *tls.Certificate, what string, err error) {
	certificate, key, err := p.read()
	if err != nil {
		return nil, err.Error(), err
	}
	sum := sha256.Sum256([]byte(certificate + "\x00" + key))
	loaded, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		err = fmt.Errorf("load certificate and key: %w", err)
	}
	return &loaded, string(sum[:]), err
}
