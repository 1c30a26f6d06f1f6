package ops

import (
	"context"
	"sync"

	"artifactstore/cas"
	"artifactstore/cas/digest"
)

// The states of health.
const (
	ok       = "ok"
	degraded = "degraded" // something is wrong, and requests are served
	failing  = "failing"  // requests cannot be served
)

// health is the document of /health.
type health struct {
	Status   string          `json:"status"`
	Registry registryHealth  `json:"registry"`
	Backends []backendHealth `json:"backends"`
	Warnings []string        `json:"warnings,omitempty"` // of how this gateway is set up; they change no status
}

type registryHealth struct {
	Status   string `json:"status"`
	Position uint64 `json:"position"`
	Error    string `json:"error,omitempty"`
}

type backendHealth struct {
	ID               string          `json:"id"`
	Status           string          `json:"status"`
	Locations        locationState   `json:"locations"`
	FailedBlobs      []digest.Digest `json:"failed_blobs,omitempty"` // the first of them
	LastVerification *verification   `json:"last_verification"`      // the run under way, or the last; null without one
	Error            string          `json:"error,omitempty"`
}

type locationState struct {
	Stored int64 `json:"stored"`
	Failed int64 `json:"failed"`
}

// health looks at the registry and at all backends at once. Without a registry,
// or without the backend that takes what no rule routes, the gateway is failing;
// a failed location, any other backend away, or one without room, makes it degraded:
// from a full one everything is served that is there, and what is not needed can be deleted.
func (o *Ops) health(ctx context.Context) health {
	list := o.Store.Backends()
	h := health{Status: ok, Registry: registryHealth{Status: ok}, Backends: make([]backendHealth, len(list))}
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, b := range list {
		wg.Go(func() { errs[i] = probe(ctx, b.Health) })
	}
	var totals cas.Totals
	err := probe(ctx, func(ctx context.Context) (err error) {
		if err = o.Store.RegistryHealth(ctx); err == nil {
			totals, err = o.Store.Totals(ctx)
		}
		return err
	})
	wg.Wait()

	h.Registry.Position = totals.Position
	if err != nil {
		h.Registry.Status, h.Registry.Error = failing, err.Error()
		h.worsen(failing)
	}
	for i, b := range list {
		var n locationState
		n.Stored, n.Failed = cas.LocationsOn(totals, b.ID)
		h.Backends[i] = healthOf(b.ID, errs[i], n)
		o.tell(ctx, &h.Backends[i], err)
		if h.Backends[i].Status == failing && b.ID == o.Store.DefaultBackend() {
			h.worsen(failing)
		} else if h.Backends[i].Status != ok {
			h.worsen(degraded)
		}
	}
	return h
}

// tell says what the registry knows of a backend's bytes, unless the registry is
// away.
func (o *Ops) tell(ctx context.Context, b *backendHealth, away error) {
	if away == nil {
		_ = probe(ctx, func(ctx context.Context) (err error) {
			b.FailedBlobs, b.LastVerification, err = o.trouble(ctx, b.ID)
			return err
		})
	}
}

func healthOf(id string, err error, n locationState) backendHealth {
	h := backendHealth{ID: id, Status: ok, Locations: n}
	switch {
	case cas.OnlyFull(err):
		h.Status, h.Error = degraded, err.Error()
	case err != nil:
		h.Status, h.Error = failing, err.Error()
	case n.Failed > 0:
		h.Status = degraded
	}
	return h
}

func (h *health) worsen(to string) {
	if h.Status != failing {
		h.Status = to
	}
}
