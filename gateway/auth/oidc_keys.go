package auth

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// Times of an issuer's keys.
const (
	// keysFresh is for how long they are believed: a key that the issuer no longer
	// publishes is good for no longer.
	keysFresh = time.Minute
	// keysStale is for how long they will do where the issuer does not answer.
	keysStale = time.Hour
	keysRetry = 5 * time.Second // then an issuer is asked again that did not answer
	keysTime  = 5 * time.Second // that one question may take
)

// How often keys are read for one that is not known.
const (
	keysBurst = 5
	keysEach  = 10 * time.Second
)

// Bounds of what an issuer may say.
const (
	maxAnswer  = 1 << 20 // bytes
	maxKeys    = 128
	minRSABits = 2048
)

// published is what keys an issuer had once.
type published struct {
	at   time.Time
	keys []jose.JSONWebKey
}

// keySet is the keys of an issuer, found by discovery (OpenID Connect Discovery 1.0) and
// read again from time to time.
type keySet struct {
	issuer string
	client *http.Client
	now    func() time.Time
	log    *slog.Logger

	last    atomic.Pointer[published] // nil before the first
	unknown budget                    // of keys that tokens name and that are not there

	reading sync.Mutex
	url     string    // of the keys; empty before discovery
	asked   time.Time // when a question ended last
	failed  error     // what became of it
}

func newKeySet(issuer string, transport http.RoundTripper, now func() time.Time, log *slog.Logger) *keySet {
	if transport == nil {
		transport = http.DefaultTransport
	}
	k := &keySet{issuer: issuer, now: now, log: log, unknown: budget{burst: keysBurst, every: keysEach}}
	k.client = &http.Client{Transport: brief{transport}, Timeout: keysTime, CheckRedirect: func(to *http.Request, before []*http.Request) error {
		if len(before) > 3 || !k.safe(to.URL.String()) {
			return errors.New("it leads elsewhere")
		}
		return nil
	}}
	return k
}

// safe reports whether an address is as well protected as the issuer's own.
func (k *keySet) safe(url string) bool {
	return strings.HasPrefix(url, "https://") || strings.HasPrefix(k.issuer, "http://") && strings.HasPrefix(url, "http://")
}

// brief reads no more of an answer than a bound.
type brief struct{ http.RoundTripper }

func (b brief) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}

// current returns the keys that are believed now. It is [ErrUnavailable] where the
// issuer has not answered for too long.
func (k *keySet) current(ctx context.Context) (*published, error) {
	p := k.last.Load()
	if p != nil && k.now().Before(p.at.Add(keysFresh)) {
		return p, nil
	}
	will := p != nil && k.now().Before(p.at.Add(keysStale)) // do, if need be
	if will {
		if !k.reading.TryLock() {
			return p, nil // somebody asks already
		}
	} else {
		k.reading.Lock()
	}
	defer k.reading.Unlock()
	next, err := k.read(ctx, p)
	if err != nil && will {
		return p, nil
	}
	return next, err
}

// again returns keys that were read after those that the caller saw.
func (k *keySet) again(ctx context.Context, saw *published) (*published, error) {
	k.reading.Lock()
	defer k.reading.Unlock()
	return k.read(ctx, saw)
}

// read asks for the keys, unless somebody has since the caller saw some. It does not
// end with the request that needs them: others wait for the same. The caller holds
// reading.
func (k *keySet) read(ctx context.Context, saw *published) (*published, error) {
	if p := k.last.Load(); p != saw {
		return p, nil
	}
	if k.failed != nil && k.now().Before(k.asked.Add(keysRetry)) {
		return nil, k.failed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTime)
	defer cancel()
	keys, err := k.fetch(ctx)
	k.asked = k.now()
	if err != nil {
		k.log.Warn("the keys of an issuer cannot be read", "issuer", k.issuer, "error", err)
		k.failed = fmt.Errorf("%w: %s does not give its keys", ErrUnavailable, k.issuer)
		return nil, k.failed
	}
	p := &published{k.now(), keys}
	k.failed = nil
	k.last.Store(p)
	return p, nil
}

// fetch finds out where the keys are, where that is not known yet, and reads them.
// Where they cannot be read the issuer may have moved them: next time it is asked
// where they are.
func (k *keySet) fetch(ctx context.Context) (keys []jose.JSONWebKey, err error) {
	if k.url == "" {
		if k.url, err = k.discover(ctx); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			k.url = ""
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", k.url, resp.Status)
	}
	return parseKeys(text)
}

func (k *keySet) discover(ctx context.Context) (string, error) {
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, k.client), k.issuer)
	if err != nil {
		return "", err
	}
	var says struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&says); err != nil {
		return "", err
	}
	if !k.safe(says.Keys) {
		return "", fmt.Errorf("the address of the keys, %.200q, is not https", says.Keys)
	}
	return says.Keys, nil
}

// parseKeys reads a set of keys (RFC 7517, section 5). Those that nobody could sign
// with here are left out: of another kind, private, short, or for encryption.
func parseKeys(text []byte) (keys []jose.JSONWebKey, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("the keys are not well formed: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("there are %d keys, more than %d", len(set.Keys), maxKeys)
	}
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) != nil || !key.Valid() || !key.IsPublic() || key.Use != "" && key.Use != "sig" {
			continue
		}
		if r, ok := key.Key.(*rsa.PublicKey); ok && r.N.BitLen() < minRSABits {
			continue
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// awayKey is where [keySet.VerifySignature] says that an issuer did not answer.
type awayKey struct{}

// VerifySignature implements oidc.KeySet. A key that is not known is looked for again.
func (k *keySet) VerifySignature(ctx context.Context, text string) ([]byte, error) {
	all := make([]jose.SignatureAlgorithm, len(algorithms))
	for i, a := range algorithms {
		all[i] = jose.SignatureAlgorithm(a)
	}
	object, err := jose.ParseSignedCompact(text, all)
	if err != nil || len(object.Signatures) != 1 {
		return nil, errors.New("it is not well formed")
	}
	p, err := k.current(ctx)
	if err != nil {
		return nil, away(ctx, err)
	}
	payload, known := p.verify(object)
	if !known && k.unknown.take(k.now()) {
		if p, err = k.again(ctx, p); err != nil {
			return nil, away(ctx, err)
		}
		payload, _ = p.verify(object)
	}
	if payload == nil {
		return nil, errors.New("no key of the issuer has signed it")
	}
	return payload, nil
}

func away(ctx context.Context, err error) error {
	if to, ok := ctx.Value(awayKey{}).(*error); ok {
		*to = err
	}
	return err
}

// verify returns what an object says, nil where it is not signed by one of the keys,
// and whether its key is one of them.
func (p *published) verify(object *jose.JSONWebSignature) (payload []byte, known bool) {
	h := object.Signatures[0].Protected
	for _, key := range p.keys {
		if h.KeyID != "" && key.KeyID != h.KeyID || key.Algorithm != "" && key.Algorithm != h.Algorithm {
			continue
		}
		known = known || h.KeyID != ""
		if payload, err := object.Verify(key); err == nil {
			return payload, true
		}
	}
	return nil, known
}
