package registrytest

import (
	"bytes"
	"context"
	"io/fs"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// TestRetentionSuite is TestSuite for what keeps what.
func TestRetentionSuite(t *testing.T) {
	RunRetention(t, func(t *testing.T) func(t *testing.T) Keeping {
		db := newMemory()
		return func(t *testing.T) Keeping { return &handle{memory: db} }
	})
}

// TestClaimsSuite is TestSuite for claims.
func TestClaimsSuite(t *testing.T) {
	RunClaims(t, func(t *testing.T) func(t *testing.T) Claiming {
		db := newMemory()
		return func(t *testing.T) Claiming { return &handle{memory: db} }
	})
}

// few cuts a page, and sometimes cuts it shorter than it need be, as a registry
// that has read enough rows does.
func few[T, K any](found []T, limit int, key func(T) K) (page []T, next K) {
	if len(found) <= limit && len(found)%3 != 2 {
		return found, next
	}
	page = found[:min(limit, (len(found)+1)/2)]
	if len(page) == 0 {
		return nil, next
	}
	return page, key(page[len(page)-1])
}

func (m *memory) ListPackages(_ context.Context, f registry.PackageFilter, after registry.PackageKey, limit int) ([]registry.Package, registry.PackageKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	page, next := few(m.model.ListPackages(f, after), limit, func(p registry.Package) registry.PackageKey { return p.PackageKey })
	return page, next, nil
}

func (m *memory) Holds(_ context.Context, k registry.PackageKey) ([]registry.Hold, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.Holds(k), nil
}

func (m *memory) References(_ context.Context, blob digest.Digest, limit int) ([]registry.Reference, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.model.References(blob)
	return all[:min(limit, len(all))], nil
}

func (m *memory) LeasesOf(_ context.Context, blob digest.Digest, limit int) ([]registry.Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.LeasesOf(blob, limit), nil
}

func (m *memory) Shown(_ context.Context, d digest.Digest, actor string, now time.Time, after registry.ShownAfter, _ int) (registry.Shown, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.model.Shown(d, actor, now)
	half := len(s.Resources) / 2
	switch {
	case after == registry.ShownAfter{} && half > 0:
		s.Resources, s.Next.Packages = s.Resources[:half], 1
	case after != registry.ShownAfter{}:
		s.Resources = s.Resources[half:]
	}
	return s, nil
}

func (m *memory) IdleSince(_ context.Context, blob digest.Digest) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.IdleSince(blob)
}

func (m *memory) RemovalsOf(_ context.Context, blob digest.Digest) ([]registry.Removal, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.RemovalsOf(blob), nil
}

func (m *memory) Expirable(_ context.Context, class string, before time.Time, limit int) ([]registry.Package, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.Expirable(class, before, limit), nil
}

func (m *memory) Collectable(_ context.Context, t time.Time, grace time.Duration, after digest.Digest, limit int) ([]registry.Idle, digest.Digest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	page, next := few(m.model.Collectable(t, grace, after), limit, func(i registry.Idle) digest.Digest { return i.SHA256 })
	return page, next, nil
}

func (m *memory) Removal(_ context.Context, blob digest.Digest, backendID string) (registry.Removal, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.Removal(blob, backendID)
}

func (m *memory) Removals(_ context.Context, backendID string, after digest.Digest, limit int) ([]registry.Removal, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.model.Removals(backendID, after, limit), nil
}

// claimed is a claim with the name's state, nil where none was set.
type claimed struct {
	token uint64
	until time.Time // zero when released
	state []byte
}

func (m *memory) Claim(_ context.Context, name, _ string, lasting time.Duration) (uint64, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.claims[name]
	if time.Now().Before(c.until) {
		return 0, false, nil
	}
	c.token, c.until = c.token+1, time.Now().Add(lasting)
	m.claims[name] = c
	return c.token, true, nil
}

// guard changes a claim that is a token's.
func (m *memory) guard(name string, token uint64, change func(*claimed)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.claims[name]
	if c.token != token || c.until.IsZero() {
		return registry.ErrConflict
	}
	change(&c)
	m.claims[name] = c
	return nil
}

func (m *memory) Renew(_ context.Context, name string, token uint64, lasting time.Duration) error {
	return m.guard(name, token, func(c *claimed) { c.until = time.Now().Add(lasting) })
}

func (m *memory) Release(_ context.Context, name string, token uint64) error {
	_ = m.guard(name, token, func(c *claimed) { c.until = time.Time{} }) // not the last one: nothing to do
	return nil
}

func (m *memory) SetState(_ context.Context, name string, token uint64, value []byte) error {
	return m.guard(name, token, func(c *claimed) { c.state = append([]byte{}, value...) })
}

func (m *memory) State(_ context.Context, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.claims[name]
	if c.state == nil {
		return nil, fs.ErrNotExist
	}
	return bytes.Clone(c.state), nil
}
