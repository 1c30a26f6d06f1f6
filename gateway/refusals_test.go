package gateway

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// A flood of connections is a line a minute, which says how many were closed.
func TestRefusalsAreLoggedRarely(t *testing.T) {
	var log bytes.Buffer
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	r := refusals{log: slog.New(slog.NewTextHandler(&log, nil)), most: 7, now: func() time.Time { return now }}
	for range 600 {
		r.note(netip.MustParseAddr("192.0.2.1"))
		now = now.Add(200 * time.Millisecond)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[0], "address=192.0.2.1 most=7 closed=1") || !strings.HasSuffix(lines[1], "closed=300") {
		t.Errorf("%s", log.String())
	}
}
