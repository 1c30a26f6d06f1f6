package gateway

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
)

// misled notices that clients came by https, as one says that is in no configured
// network, and were sent to http for their tokens: behind a proxy that ends TLS, and
// that the gateway was not told of. Who is not believed may lie, so nothing but a
// warning comes of it, the first time.
type misled struct{ warning atomic.Pointer[string] }

// note is told who said so, and where the client was sent.
func (m *misled) note(log *slog.Logger, by netip.Addr, to string) {
	if m.warning.Load() != nil {
		return
	}
	said := fmt.Sprintf("%s says that clients come by https and is not in proxies, so they are sent to http for their tokens: if it is a proxy, write its address there, or auth.external_url", by)
	if m.warning.CompareAndSwap(nil, &said) {
		log.Warn(said, "sent_to", to)
	}
}

// warnings are for who looks at the gateway's health.
func (m *misled) warnings() []string {
	if said := m.warning.Load(); said != nil {
		return []string{*said}
	}
	return nil
}
