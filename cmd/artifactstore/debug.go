package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"time"

	"artifactstore/cmd/config"
	"artifactstore/gateway"
)

// debugDrain is how long a profile that is being taken holds up the end.
const debugDrain = time.Second

// listenDebug listens where profiles are to be served; nil where they are not.
func listenDebug(ctx context.Context, c *config.Config) (net.Listener, error) {
	if c.Debug.Listen == "" {
		return nil, nil
	}
	return listen(ctx, c.Debug.Listen)
}

// serveProfiles serves profiles of the process until ctx ends, on an address that
// only this machine reaches.
func serveProfiles(ctx context.Context, l net.Listener, log *slog.Logger) {
	if l == nil {
		return
	}
	log.Info("profiles are served", "address", "http://"+l.Addr().String()+"/debug/pprof/")
	if err := gateway.Serve(ctx, l, profiles(), debugDrain, log); err != nil {
		log.Error("profiles are no longer served", "error", err)
	}
}

// profiles are Go's, without the command line. They have addresses and names of
// functions, and no content of memory.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return ownName(mux)
}

// ownName answers only who names this machine as such: a browser here can be made to
// ask under a name of somebody else's that leads here.
func ownName(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if a, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !a.Unmap().IsLoopback()) {
			http.Error(w, "ask by the address of this machine", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
