package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"artifactstore/gateway/limit"
	"artifactstore/gateway/origin"
)

// Limits of a connection before and between requests. A request's own are in
// [Pace].
const (
	headerTimeout = 20 * time.Second  // for the handshake; from the first byte of a request to the end of its header
	keepAlive     = 120 * time.Second // between requests
	headerBytes   = 64 << 10          // of a request's header
	streams       = 100               // requests at once on one connection of HTTP/2
	streamBuffer  = 1 << 20           // bytes received on a connection of HTTP/2 that nobody has read yet
	pingAfter     = 30 * time.Second  // of silence on a connection of HTTP/2 that has requests
)

// Server is how a handler is served.
type Server struct {
	Handler http.Handler
	// TLS encrypts, with HTTP/2 for who speaks it; nil is plain HTTP/1.
	TLS *tls.Config
	// Idle is how long a connection of HTTP/2 may take nothing of what it is sent; 0
	// for ever.
	Idle time.Duration
	// Connections is how many there may be at once, 0 for any number; Waited is called
	// when one has to wait, nil for not.
	Connections int
	Waited      func()
	// PerAddress is how many there may be of one address, of IPv6 one /64, 0 for any
	// number; Refused is called when one was closed for that, nil for not. Exempt are this
	// machine and Proxies, who have the connections of many.
	PerAddress int
	Proxies    origin.Proxies
	Refused    func()
	// Drain is how long requests under way may take once the server was told to stop.
	Drain time.Duration
	Log   *slog.Logger
}

// Serve answers requests on a listener, in the plain, until ctx ends.
func Serve(ctx context.Context, l net.Listener, h http.Handler, drain time.Duration, log *slog.Logger) error {
	return Server{Handler: h, Drain: drain, Log: log}.Serve(ctx, l)
}

// Serve answers requests on a listener until ctx ends, and then drains: no new
// connection is taken, and the requests under way have the given time to finish
// before their connections are closed. It returns nil after a clean stop.
func (s Server) Serve(ctx context.Context, l net.Listener) error {
	srv := s.http()
	if s.Connections > 0 || s.PerAddress > 0 {
		bounded := limit.NewConnections(l, s.bounds())
		l, srv.ConnState = bounded, bounded.Note
	}
	failed := make(chan error, 1)
	go func() { failed <- s.accept(srv, l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.Log.Info("stopping: waiting for requests under way", "at_most", s.Drain)
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Drain)
	defer cancel()
	if err := srv.Shutdown(ending); err != nil {
		s.Log.Warn("stopping: some requests did not finish in time and were cut off", "error", err)
		srv.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s Server) bounds() limit.Bounds {
	r := refusals{log: s.Log, most: s.PerAddress, now: time.Now}
	return limit.Bounds{
		Most:       s.Connections,
		PerAddress: s.PerAddress,
		Exempt:     func(a netip.Addr) bool { return a.IsLoopback() || s.Proxies.Have(a) },
		Waited:     s.Waited,
		Refused: func(a netip.Addr) {
			r.note(a)
			if s.Refused != nil {
				s.Refused()
			}
		},
	}
}

func (s Server) http() *http.Server {
	return &http.Server{
		Handler:           s.Handler,
		TLSConfig:         s.TLS,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       keepAlive,
		MaxHeaderBytes:    headerBytes,
		// "OPTIONS *" is a request like any other.
		DisableGeneralOptionsHandler: true,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: streams, MaxReceiveBufferPerConnection: streamBuffer, MaxReceiveBufferPerStream: streamBuffer, SendPingTimeout: pingAfter, WriteByteTimeout: s.Idle},
		ErrorLog:                     slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
		ConnContext:                  withConn,
	}
}

func (s Server) accept(srv *http.Server, l net.Listener) error {
	if s.TLS == nil {
		return srv.Serve(l)
	}
	return srv.ServeTLS(l, "", "") // the certificate is in the configuration
}

type connKey struct{}

// withConn lets a response know what it is sent on.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// takesFiles reports whether a request's connection can be given a file: one of
// TCP can, and hands it to the kernel; one that encrypts cannot.
func takesFiles(ctx context.Context) bool {
	_, ok := ctx.Value(connKey{}).(io.ReaderFrom)
	return ok
}
