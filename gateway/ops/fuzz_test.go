package ops

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"artifactstore/gateway/problem"
)

// What parseFeed takes is within its limits.
func FuzzFeed(f *testing.F) {
	f.Add("after=5&limit=10&wait=30s", "text/event-stream", "7")
	f.Fuzz(func(t *testing.T, query, accept, last string) {
		got, err := parseFeed(query, http.Header{"Accept": {accept}, "Last-Event-Id": {last}})
		var p *problem.Problem
		switch {
		case errors.As(err, &p):
			if p.Status != 400 || !slices.Contains([]string{"parameter_invalid", "parameter_unknown"}, p.Code) || len(p.Detail) > 1000 {
				t.Errorf("%d %s, a detail of %d bytes", p.Status, p.Code, len(p.Detail))
			}
		case err != nil:
			t.Errorf("no answer to %v", err)
		case got.limit < 1 || got.limit > maxEvents || got.wait < 0 || got.wait > maxWait || got.after > 1<<63-1:
			t.Errorf("%+v", got)
		case !slices.Contains([]string{asJSON, asSSE, asCBOR}, got.form):
			t.Errorf("form %q", got.form)
		}
	})
}

func TestForm(t *testing.T) {
	for accept, want := range map[string]string{
		"": asJSON, "*/*": asJSON, "text/html": asJSON, "application/json": asJSON, "text/event-stream": asSSE,
		"application/cbor-seq": asCBOR, "text/html, application/cbor-seq;q=0.5": asCBOR, "TEXT/EVENT-STREAM": asSSE, ";;,": asJSON,
	} {
		if got := form([]string{accept}); got != want {
			t.Errorf("%q: %q, want %q", accept, got, want)
		}
	}
}

// A gateway that drains is not ready, whatever its store says, and alive.
func TestNotReadyWhileDraining(t *testing.T) {
	draining := make(chan struct{})
	close(draining)
	o := &Ops{Draining: draining}
	w := httptest.NewRecorder()
	if err := o.Ready(w, httptest.NewRequest("GET", "/readyz", nil)); err != nil || w.Code != 503 {
		t.Errorf("ready: %d, %v", w.Code, err)
	}
	w = httptest.NewRecorder()
	if err := o.Live(w, httptest.NewRequest("GET", "/livez", nil)); err != nil || w.Code != 200 {
		t.Errorf("live: %d, %v", w.Code, err)
	}
}
