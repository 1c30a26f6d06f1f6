package auth

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// SigningKey is a key that tokens are signed with.
type SigningKey struct {
	ID     string
	Secret []byte // the seed of Ed25519 (RFC 8032), 32 bytes
	// ExpiresAt is when the last token that it signed is no longer good.
	CreatedAt, ExpiresAt time.Time
}

// SigningKeys is where all gateways keep the keys that they share.
type SigningKeys interface {
	SigningKeys(context.Context) ([]SigningKey, error)
	AddSigningKey(context.Context, SigningKey) error
	DropSigningKeys(ctx context.Context, expiredBefore time.Time) error
}

// Times of keys. A key outlives its last token, whatever clock it is judged by:
// keyLife > signsFor + RefreshLife + skew.
const (
	signsFor = 24 * time.Hour // then the next gateway that signs makes another
	keyLife  = signsFor + RefreshLife + time.Hour
	// ringFresh is for how long keys that were read are believed: a key that is taken
	// out of the registry is good for no longer.
	ringFresh = time.Minute
	// ringRetry is when a registry that did not answer is asked again, where the keys
	// of before will do.
	ringRetry = 5 * time.Second
	readTime  = 5 * time.Second // that the registry has
)

// How often keys are read for one that is not known, which anybody can name: burst
// times at once, and then once in every interval.
const (
	burst       = 10
	unknownEach = time.Second
)

// signer is a key in memory.
type signer struct {
	id                 string
	private            ed25519.PrivateKey
	public             ed25519.PublicKey
	createdAt, expires time.Time
}

// ring is the keys as they were read once.
type ring struct {
	until time.Time // they are believed
	keys  map[string]signer
}

// newest is the key to sign with.
func (r *ring) newest() (signer, bool) {
	all := slices.Collect(maps.Values(r.keys))
	if len(all) == 0 {
		return signer{}, false
	}
	return slices.MaxFunc(all, func(a, b signer) int {
		return cmp.Or(a.createdAt.Compare(b.createdAt), cmp.Compare(a.id, b.id))
	}), true
}

// keyring reads, makes and drops the keys.
type keyring struct {
	keys    SigningKeys
	now     func() time.Time
	current atomic.Pointer[ring]

	reading, making sync.Mutex // one reads, one makes at a time; making is taken first

	unknown budget // of keys that are asked for and not there
}

// find returns a key by its id, [ErrCredentials] where there is none, or no longer.
func (k *keyring) find(ctx context.Context, id string) (signer, error) {
	r, err := k.fresh(ctx)
	if err != nil {
		return signer{}, err
	}
	found, ok := r.keys[id]
	if !ok && k.unknown.take(k.now()) {
		if r, err = k.read(ctx, r); err != nil {
			return signer{}, err
		}
		found, ok = r.keys[id]
	}
	if !ok || !k.now().Before(found.expires) {
		return signer{}, ErrCredentials
	}
	return found, nil
}

// signing returns the key to sign with, and makes one where all are too old.
func (k *keyring) signing(ctx context.Context) (signer, error) {
	r, err := k.fresh(ctx)
	if err != nil {
		return signer{}, err
	}
	if key, ok := r.newest(); ok && k.now().Before(key.createdAt.Add(signsFor)) {
		return key, nil
	}
	k.making.Lock()
	defer k.making.Unlock()
	if r, err = k.read(ctx, r); err != nil { // another gateway may have made one
		return signer{}, err
	}
	if key, ok := r.newest(); ok && k.now().Before(key.createdAt.Add(signsFor)) {
		return key, nil
	}
	if err := k.make(ctx); err != nil {
		return signer{}, err
	}
	if r, err = k.read(ctx, k.current.Load()); err != nil {
		return signer{}, err
	}
	key, ok := r.newest()
	if !ok {
		return signer{}, fmt.Errorf("make a signing key: it is not there")
	}
	return key, nil
}

// make adds a key and drops those whose last token has expired.
func (k *keyring) make(ctx context.Context) error {
	now := k.now()
	secret := make([]byte, ed25519.SeedSize)
	rand.Read(secret)
	key := SigningKey{ID: rand.Text(), Secret: secret, CreatedAt: now, ExpiresAt: now.Add(keyLife)}
	if err := k.keys.AddSigningKey(ctx, key); err != nil {
		return fmt.Errorf("keep a new signing key: %w", err)
	}
	if err := k.keys.DropSigningKeys(ctx, now); err != nil {
		return fmt.Errorf("drop old signing keys: %w", err)
	}
	return nil
}

// fresh returns keys that are believed. Where they cannot be read those of before do.
func (k *keyring) fresh(ctx context.Context) (*ring, error) {
	r := k.current.Load()
	if r != nil && k.now().Before(r.until) {
		return r, nil
	}
	next, err := k.read(ctx, r)
	if err != nil && r != nil {
		k.current.CompareAndSwap(r, &ring{until: k.now().Add(ringRetry), keys: r.keys})
		return r, nil
	}
	return next, err
}

// read reads the keys, unless somebody has since the caller saw some. It does not end
// with the request that needs them: others wait for the same.
func (k *keyring) read(ctx context.Context, saw *ring) (*ring, error) {
	k.reading.Lock()
	defer k.reading.Unlock()
	if r := k.current.Load(); r != saw {
		return r, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTime)
	defer cancel()
	list, err := k.keys.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the signing keys: %w", err)
	}
	r := &ring{until: k.now().Add(ringFresh), keys: map[string]signer{}}
	for _, s := range list {
		if len(s.Secret) != ed25519.SeedSize {
			return nil, fmt.Errorf("read the signing keys: that of id %.40q has %d bytes", s.ID, len(s.Secret))
		}
		private := ed25519.NewKeyFromSeed(s.Secret)
		r.keys[s.ID] = signer{s.ID, private, private.Public().(ed25519.PublicKey), s.CreatedAt, s.ExpiresAt}
	}
	k.current.Store(r)
	return r, nil
}
