package gateway

import (
	"log/slog"
	"net/netip"
	"time"
)

// refusalsEvery is how long the log is silent after a line about refused connections.
const refusalsEvery = time.Minute

// refusals tells the log of connections that were closed because their address has as
// many as it may: at most once in [refusalsEvery], with how many there were since, so
// that a flood of connections is no flood of lines. It is not for concurrent use.
type refusals struct {
	log  *slog.Logger
	most int
	now  func() time.Time

	count int       // since the last line
	next  time.Time // when there may be another
}

// note is told of one.
func (r *refusals) note(a netip.Addr) {
	r.count++
	now := r.now()
	if now.Before(r.next) {
		return
	}
	r.log.Warn("connections were closed: an address has as many as one may (limits.connections_per_address); a proxy that says for whom it forwards belongs in proxies",
		"address", a, "most", r.most, "closed", r.count)
	r.count, r.next = 0, now.Add(refusalsEvery)
}
