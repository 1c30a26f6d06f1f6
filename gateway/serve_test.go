package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"artifactstore/gateway/auth"
	"artifactstore/gateway/ops"
	"artifactstore/gateway/origin"
)

// known is a method of authentication that knows everybody.
type known struct{}

func (known) Identify(context.Context, auth.Credentials) (auth.Principal, bool, error) {
	return auth.Anonymous, true, nil
}

// A handler learns under which address its client reaches the gateway.
func TestHandlerKnowsOrigin(t *testing.T) {
	g := &gateway{
		metrics: ops.NewMetrics(),
		log:     slog.New(slog.DiscardHandler),
		access:  slog.New(slog.DiscardHandler),
		gate:    &auth.Gate{Methods: []auth.Method{known{}}},
		proxies: origin.Proxies{netip.MustParsePrefix("192.0.2.0/24")}, // httptest's
	}
	var got origin.Origin
	h := g.serve("/x", plainForm, func(_ http.ResponseWriter, r *http.Request) error {
		auth.Public(r.Context())
		got = origin.From(r.Context())
		return nil
	})
	r := httptest.NewRequest("GET", "/x", nil)
	r.Header.Set("X-Forwarded-For", "198.51.100.7")
	r.Header.Set("X-Forwarded-Proto", "https")
	r.Header.Set("X-Forwarded-Host", "artifacts.example.org")
	h.ServeHTTP(httptest.NewRecorder(), r)
	want := origin.Origin{Client: netip.MustParseAddr("198.51.100.7"), Scheme: "https", Host: "artifacts.example.org", Forwarded: true}
	if got != want {
		t.Errorf("%+v", got)
	}
}
