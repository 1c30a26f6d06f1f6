package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"artifactstore/gateway/auth"
	"artifactstore/gateway/origin"
)

// asker notes what a method of authentication is told, and knows everybody.
type asker struct{ told []string }

func (a *asker) Identify(_ context.Context, c auth.Credentials) (auth.Principal, bool, error) {
	a.told = append(a.told, c.Remote.String())
	return auth.Anonymous, true, nil
}

// Where a request comes from is what the log and who counts attempts learn: from a
// proxy that is configured, and else from the connection.
func TestForwarded(t *testing.T) {
	for name, test := range map[string]struct {
		proxies origin.Proxies
		client  string
	}{
		"a proxy":  {origin.Proxies{netip.MustParsePrefix("127.0.0.0/8")}, "192.0.2.1"},
		"no proxy": {origin.Proxies{netip.MustParsePrefix("10.0.0.0/8")}, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			var methods asker
			h := open(t, changes{proxies: test.proxies, gate: &auth.Gate{Methods: []auth.Method{&methods}}})
			h.request("GET", "/livez", nil, "X-Forwarded-For", "1.1.1.1, 192.0.2.1", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "artifacts.example.org")
			if len(methods.told) != 1 || methods.told[0] != test.client {
				t.Errorf("told %q", methods.told)
			}
			var line struct{ Remote string }
			if err := json.Unmarshal([]byte(strings.TrimSpace(h.log.String())), &line); err != nil || strings.Split(line.Remote, ":")[0] != test.client {
				t.Errorf("the log says %q, %v", line.Remote, err)
			}
		})
	}
}

// panicky is a method of authentication with a fault of the program in it.
type panicky struct{}

func (panicky) Identify(context.Context, auth.Credentials) (auth.Principal, bool, error) {
	panic("on purpose")
}

// A fault in finding out who asks lets nobody in, and is counted as any other.
func TestPanicAtTheGate(t *testing.T) {
	h := open(t, changes{gate: &auth.Gate{Methods: []auth.Method{panicky{}}}})
	resp, text := h.request("GET", "/v1/blobs/"+sha([]byte("x")), nil)
	refusal(t, resp, text, http.StatusInternalServerError, "internal")
	if !strings.Contains(h.log.String(), "on purpose") {
		t.Error("the log lacks the panic")
	}
}
