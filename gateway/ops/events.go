package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"artifactstore/cas"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/problem"
)

// Limits of the events feed.
const (
	defaultEvents = 100
	maxEvents     = 1000
	maxWait       = time.Minute
	heartbeat     = 15 * time.Second // of a stream in which nothing happens
)

// The forms of the feed.
const (
	asJSON = "application/json"
	asSSE  = "text/event-stream"
	asCBOR = "application/cbor-seq"
)

// feed is a request for events.
type feed struct {
	form  string
	after uint64
	limit int
	wait  time.Duration
}

// parseFeed reads a request for events. It is pure.
func parseFeed(query string, head http.Header) (feed, error) {
	f := feed{form: form(head.Values("Accept")), limit: defaultEvents}
	values, err := url.ParseQuery(query)
	if err != nil {
		return f, badParameter("the query is not well formed: %v", err)
	}
	for name, v := range values {
		if len(v) != 1 {
			return f, badParameter("%.80q is given %d times", name, len(v))
		}
		ok, want := false, ""
		switch name {
		case "after":
			f.after, ok = parsePosition(v[0])
			want = "a position"
		case "limit":
			f.limit, ok = parseLimit(v[0])
			want = "1 to " + strconv.Itoa(maxEvents)
		case "wait":
			f.wait, err = time.ParseDuration(v[0])
			ok = err == nil && 0 <= f.wait && f.wait <= maxWait
			want = "a duration, 0s to " + maxWait.String()
		default:
			return f, problem.New(http.StatusBadRequest, "parameter_unknown", "no query parameter %.80q is known here: want after, limit, wait", name)
		}
		if !ok {
			return f, badParameter("%s=%.80q: want %s", name, v[0], want)
		}
	}
	if id := head.Get("Last-Event-Id"); id != "" && f.form == asSSE {
		after, ok := parsePosition(id)
		if !ok {
			return f, badParameter("Last-Event-ID %.80q is not a position", id)
		}
		f.after = after
	}
	return f, nil
}

// parsePosition reads a position or 0, which is before all of them.
func parsePosition(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil
}

func parseLimit(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil && 1 <= n && n <= maxEvents
}

func badParameter(format string, args ...any) error {
	return problem.New(http.StatusBadRequest, "parameter_invalid", format, args...)
}

// form returns the first form that an Accept field names, JSON where it names
// none.
func form(accept []string) string {
	for _, field := range accept {
		for _, item := range strings.Split(field, ",") {
			switch media, _, _ := mime.ParseMediaType(item); media {
			case asJSON, asSSE, asCBOR:
				return media
			}
		}
	}
	return asJSON
}

// Events serves /v1/events.
func (o *Ops) Events(w http.ResponseWriter, r *http.Request) error {
	if err := auth.Require(r.Context(), auth.Pull, auth.Everything); err != nil {
		return err
	}
	if err := onlyGet(r); err != nil {
		return err
	}
	f, err := parseFeed(r.URL.RawQuery, r.Header)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Accept")
	if f.form == asSSE {
		return o.stream(w, r, f)
	}
	records, err := o.page(r.Context(), f)
	if err != nil {
		return err
	}
	if f.form == asCBOR {
		return answerSequence(w, records)
	}
	next := f.after
	if n := len(records); n > 0 {
		next = records[n-1].Position
	}
	return answer(w, r, http.StatusOK, struct {
		Events []cas.Record `json:"events"`
		Next   uint64       `json:"next"`
	}{records, next})
}

// page reads up to limit records, waiting for the first where that is asked.
func (o *Ops) page(ctx context.Context, f feed) ([]cas.Record, error) {
	if f.wait > 0 {
		if err := o.await(ctx, f.after, f.wait); err != nil && !isTimeout(err) {
			return nil, err
		}
	}
	return o.records(ctx, f.after, f.limit)
}

// records reads up to limit records after a position. It reads them all before
// one is sent: a client that takes its time must not hold the log open.
func (o *Ops) records(ctx context.Context, after uint64, limit int) ([]cas.Record, error) {
	records := []cas.Record{} // an empty page is [], not null
	for r, err := range o.Store.Events(ctx, after) {
		if err != nil {
			return nil, err
		}
		if records = append(records, r); len(records) == limit {
			break
		}
	}
	return records, nil
}

// await waits for a record after a position, at most for the given time, and no
// longer than the gateway lives.
func (o *Ops) await(ctx context.Context, after uint64, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if o.Draining != nil {
		go func() {
			select {
			case <-o.Draining:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return o.Store.WaitEvents(ctx, after)
}

func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// answerSequence sends the canonical records themselves, one after the other
// (RFC 8742).
func answerSequence(w http.ResponseWriter, records []cas.Record) error {
	var all []byte
	for _, r := range records {
		text, err := cas.EncodeRecord(r)
		if err != nil {
			return err
		}
		all = append(all, text...)
	}
	w.Header().Set("Content-Type", asCBOR)
	w.Write(all)
	return nil
}

// stream sends records as they are appended, until the client or the gateway
// goes: server-sent events, whose id is the position.
func (o *Ops) stream(w http.ResponseWriter, r *http.Request, f feed) error {
	w.Header().Set("Content-Type", asSSE)
	w.Header().Set("X-Accel-Buffering", "no") // a proxy must not hold events back
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	flush := http.NewResponseController(w).Flush
	for !o.draining() {
		records, err := o.records(r.Context(), f.after, defaultEvents)
		if err != nil {
			return err
		}
		for _, rec := range records {
			if err := send(w, rec); err != nil {
				return err
			}
			f.after = rec.Position
		}
		if err := flush(); err != nil {
			return err
		}
		if len(records) == defaultEvents {
			continue // there may be more already
		}
		switch err := o.await(r.Context(), f.after, heartbeat); {
		case r.Context().Err() != nil:
			return nil
		case isTimeout(err):
			fmt.Fprint(w, ": nothing new\n\n")
		case err != nil:
			return err
		}
	}
	return nil
}

// send writes one record as an event of the stream.
func send(w io.Writer, r cas.Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", r.Position, r.Data.Type(), text)
	return err
}

func (o *Ops) draining() bool {
	select {
	case <-o.Draining:
		return true
	default:
		return false
	}
}
