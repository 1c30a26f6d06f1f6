// Package ops is the operators' face: is the gateway alive, ready and healthy,
// what does it count, and what has happened (the events feed).
package ops

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"artifactstore/cas"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/problem"
)

// Ops serves the operators' paths over a store.
type Ops struct {
	Store *cas.Store
	// Draining is closed when the gateway is about to stop; nil never is.
	Draining <-chan struct{}
	Log      *slog.Logger
	Started  time.Time
	// Warnings are what /health says of how the gateway is set up; nil is nothing.
	Warnings func() []string

	looks shared[health]
}

// probeTimeout bounds one look at the registry or a backend.
const probeTimeout = 3 * time.Second

// Live serves /livez: 200 while the process can answer at all.
func (o *Ops) Live(w http.ResponseWriter, r *http.Request) error {
	auth.Public(r.Context())
	return answer(w, r, http.StatusOK, map[string]string{"status": "ok"})
}

// Ready serves /readyz: 200 when requests can be served, else 503.
func (o *Ops) Ready(w http.ResponseWriter, r *http.Request) error {
	auth.Public(r.Context())
	select {
	case <-o.Draining:
		return answer(w, r, http.StatusServiceUnavailable, map[string]string{"status": "draining"})
	default:
	}
	h, err := o.looks.do(r.Context(), o.health)
	if err != nil {
		return err
	}
	if h.Status == failing {
		return answer(w, r, http.StatusServiceUnavailable, h)
	}
	return answer(w, r, http.StatusOK, map[string]string{"status": "ready"})
}

// Health serves /health: the state in detail; 503 only when failing.
func (o *Ops) Health(w http.ResponseWriter, r *http.Request) error {
	if err := auth.Require(r.Context(), auth.Pull, auth.Everything); err != nil {
		return err
	}
	h, err := o.looks.do(r.Context(), o.health)
	if err != nil {
		return err
	}
	if o.Warnings != nil {
		h.Warnings = o.Warnings() // not for /readyz, which anybody may ask
	}
	status := http.StatusOK
	if h.Status == failing {
		status = http.StatusServiceUnavailable
	}
	return answer(w, r, status, h)
}

// answer writes a JSON document to a GET or HEAD request.
func answer(w http.ResponseWriter, r *http.Request, status int, v any) error {
	if err := onlyGet(r); err != nil {
		return err
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(append(text, '\n'))
	}
	return nil
}

func onlyGet(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	p := problem.New(http.StatusMethodNotAllowed, "method_not_allowed", "%.20s is not a method of this path: want GET, HEAD", r.Method)
	p.Allow = "GET, HEAD"
	return p
}

// probe asks one question with a bounded wait.
func probe(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return ask(ctx)
}
