package gateway

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"artifactstore/gateway/auth"
	"artifactstore/gateway/limit"
	"artifactstore/gateway/oci"
	"artifactstore/gateway/origin"
	"artifactstore/gateway/problem"
	"artifactstore/gateway/tokenapi"
)

// serve wraps a route's handler in what every request gets.
func (g *gateway) serve(route string, as form, h handler) http.Handler {
	g.routes = append(g.routes, route)
	observe := g.metrics.Route(route)
	access := g.access.Handler().WithAttrs([]slog.Attr{slog.String("route", route)})
	return http.HandlerFunc(func(hw http.ResponseWriter, r *http.Request) {
		x := &exchange{start: time.Now(), as: as, r: r, w: newResponse(hw, r, g.pace), from: g.proxies.Of(r)}
		x.id = requestID(r.Header.Get("X-Request-Id"))
		x.w.Header().Set("X-Request-Id", x.id)
		abort := g.run(x, h)
		x.w.finish()
		took := time.Since(x.start)
		observe(r.Method, x.w.status, took, x.w.body.n, x.w.n)
		logAccess(access, x, took)
		if abort {
			panic(http.ErrAbortHandler) // the connection ends, so that the client can tell
		}
	})
}

// exchange is one request and what becomes of it.
type exchange struct {
	id    string
	start time.Time
	as    form
	from  origin.Origin
	r     *http.Request
	w     *response
	err   error
}

// identify finds out who asks, and gives the handler a request that knows it.
func (g *gateway) identify(x *exchange) error {
	ctx := origin.With(x.r.Context(), x.from)
	who, err := g.gate.Identify(x.r, x.from.Client)
	ctx = auth.With(ctx, who)
	x.w.decided = func() bool { return auth.Decided(ctx) }
	x.r = x.r.WithContext(ctx)
	x.r.Body = x.w.body
	return err
}

// run calls the handler and answers its error. It reports whether the answer is
// broken: an error, or a panic, after it had begun.
func (g *gateway) run(x *exchange, h handler) (abort bool) {
	defer func() {
		if v := recover(); v != nil {
			g.metrics.Panicked()
			g.log.Error("panic", "request_id", x.id, "path", brief(x.r.URL.EscapedPath()), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			x.err = errors.New("panic")
			abort = g.answer(x)
		}
	}()
	if x.err = g.identify(x); x.err == nil {
		var done func()
		done, x.err = g.uploads.Begin(x.r.Context(), x.r)
		defer done()
	}
	if x.err == nil {
		x.err = setPathValues(x.r)
	}
	if x.err == nil {
		if x.err = h(x.w, x.r); x.err == nil {
			x.w.begin()
		}
	}
	return g.answer(x)
}

// answer writes the answer of x.err where there is one and still can be.
func (g *gateway) answer(x *exchange) (abort bool) {
	switch {
	case x.err == nil:
		return false
	case x.w.status != 0:
		return true
	}
	g.countLimit(x.err)
	answer := x.as(x.err)
	if answer == nil {
		if errors.Is(x.err, context.Canceled) && x.r.Context().Err() != nil {
			x.w.status = statusClientClosed
			return true
		}
		g.log.Error("request failed", "request_id", x.id, "method", brief(x.r.Method), "path", brief(x.r.URL.EscapedPath()), "error", x.err)
		answer = x.as(problem.New(http.StatusInternalServerError, "internal", "the gateway failed; its log has the reason under request id %s", x.id))
	}
	if e, ok := answer.(*oci.Error); ok && e.Status == http.StatusUnauthorized {
		x.w.Header().Set("WWW-Authenticate", g.challenge(x))
	}
	answer.Write(x.w)
	return false
}

// countLimit counts a refusal for which a limit is the reason.
func (g *gateway) countLimit(err error) {
	var exceeded *limit.Exceeded
	var slowed *auth.Slowed
	switch {
	case errors.As(err, &exceeded):
		g.metrics.Limited(exceeded.What)
	case errors.As(err, &slowed):
		g.metrics.Limited("attempts")
	}
}

// challenge says to a client of the OCI face how to be let in.
func (g *gateway) challenge(x *exchange) string {
	at := cmp.Or(g.external, x.from.URL())
	if at == "" || !g.gate.Signs() {
		return `Basic realm="` + auth.Service + `", charset="UTF-8"`
	}
	if g.external == "" && g.proxies.Unbelieved(x.r) {
		g.misled.note(g.log, x.from.Client, at)
	}
	return oci.Challenge(x.r, at+tokenapi.Path, x.err)
}

// statusClientClosed stands in logs and metrics for an answer that nobody waited
// for.
const statusClientClosed = 499

// requestID returns a client's own id where it is short and plain, so that one
// id follows a request through several servers, or a new one.
func requestID(given string) string {
	if given != "" && len(given) <= 64 && plainID(given) {
		return given
	}
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func plainID(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// brief cuts what a client chose the length of.
func brief(s string) string {
	const most = 512
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// remote is the client in the log: with its port where it is connected itself.
func (x *exchange) remote() string {
	if x.from.Forwarded {
		return x.from.Client.String()
	}
	return x.r.RemoteAddr
}

// logAccess writes a request's line, which has no place in the source to look
// up. Of the request it names the path without its query, and no header field:
// there may be secrets in both.
func logAccess(to slog.Handler, x *exchange, took time.Duration) {
	ctx := context.Background()
	if !to.Enabled(ctx, slog.LevelInfo) {
		return
	}
	line := slog.NewRecord(x.start.Add(took), slog.LevelInfo, "request", 0)
	line.AddAttrs(
		slog.String("request_id", x.id),
		slog.String("principal", auth.From(x.r.Context()).Name),
		slog.String("remote", x.remote()),
		slog.String("method", brief(x.r.Method)),
		slog.String("path", brief(x.r.URL.EscapedPath())),
		slog.Int("status", x.w.status),
		slog.Int64("received", x.w.body.n),
		slog.Int64("sent", x.w.n),
		slog.Duration("took", took),
	)
	if x.err != nil {
		line.AddAttrs(slog.String("error", brief(x.err.Error())))
	}
	_ = to.Handle(ctx, line) // a log that cannot be written has nowhere to say so
}
