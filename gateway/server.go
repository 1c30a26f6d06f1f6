package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of a connection before and between requests. A request's own are in
// [Pace].
const (
	headerTimeout = 20 * time.Second  // from the first byte of a request to the end of its header
	keepAlive     = 120 * time.Second // between requests
	headerBytes   = 64 << 10          // of a request's header
)

// Serve answers requests on a listener until ctx ends, and then drains: no new
// connection is taken, and the requests under way have the given time to finish
// before their connections are closed. It returns nil after a clean stop.
func Serve(ctx context.Context, l net.Listener, h http.Handler, drain time.Duration, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       keepAlive,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext:       withConn,
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Info("stopping: waiting for requests under way", "at_most", drain)
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if err := srv.Shutdown(ending); err != nil {
		log.Warn("stopping: some requests did not finish in time and were cut off", "error", err)
		srv.Close()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
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
