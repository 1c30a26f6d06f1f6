package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/gateway/auth"
	"artifactstore/gateway/problem"
)

// mostFailedShown is how many failed blobs a backend names.
const mostFailedShown = 5

// backendState is a backend in the document of /v1/backends.
type backendState struct {
	ID               string          `json:"id"`
	Locations        locationState   `json:"locations"`
	FailedBlobs      []digest.Digest `json:"failed_blobs"` // the first of them
	LastVerification *verification   `json:"last_verification"`
}

// verification is a run in short.
type verification struct {
	Run        string               `json:"run"`
	Status     string               `json:"status"`
	StartedAt  time.Time            `json:"started_at"`
	FinishedAt time.Time            `json:"finished_at,omitzero"`
	Results    map[cas.Result]int64 `json:"results"`
	Failed     int64                `json:"failed"`
	Repaired   int64                `json:"repaired"`
}

func inShort(v *cas.Verification) *verification {
	if v == nil {
		return nil
	}
	return &verification{v.Run, v.Status, v.StartedAt, v.FinishedAt, v.Results, v.Failed(), v.Repaired}
}

// trouble is what the registry knows of a backend's bytes.
func (o *Ops) trouble(ctx context.Context, id string) (failed []digest.Digest, last *verification, err error) {
	known, err := o.Store.Verified(ctx, id)
	if err == nil {
		failed, err = o.Store.FailedOn(ctx, id, mostFailedShown)
	}
	return failed, inShort(known.Last), err
}

// Backends serves /v1/backends.
func (o *Ops) Backends(w http.ResponseWriter, r *http.Request) error {
	if err := auth.Require(r.Context(), auth.Pull, auth.Everything); err != nil {
		return err
	}
	totals, err := o.Store.Totals(r.Context())
	if err != nil {
		return err
	}
	list := []backendState{}
	for _, b := range o.Store.Backends() {
		s := backendState{ID: b.ID}
		s.Locations.Stored, s.Locations.Failed = cas.LocationsOn(totals, b.ID)
		if s.FailedBlobs, s.LastVerification, err = o.trouble(r.Context(), b.ID); err != nil {
			return err
		}
		if s.FailedBlobs == nil {
			s.FailedBlobs = []digest.Digest{}
		}
		list = append(list, s)
	}
	return answer(w, r, http.StatusOK, map[string]any{"backends": list})
}

// requireRuns decides whether a request's principal may see runs, or change what is
// run.
func requireRuns(r *http.Request) error {
	verb := auth.Admin
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		verb = auth.Pull
	}
	return auth.Require(r.Context(), verb, auth.Everything)
}

// Verifications serves /v1/backends/{id}/verifications: GET lists the last runs, POST
// asks for one.
func (o *Ops) Verifications(w http.ResponseWriter, r *http.Request) error {
	if err := requireRuns(r); err != nil {
		return err
	}
	id := r.PathValue("id")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		known, err := o.Store.Verified(r.Context(), id)
		if err != nil {
			return verificationProblem(err)
		}
		runs := known.Runs()
		if runs == nil {
			runs = []cas.Verification{}
		}
		return answer(w, r, http.StatusOK, map[string]any{"verifications": runs})
	case http.MethodPost:
		return o.requestVerification(w, r, id)
	}
	return wrongMethod(r, "GET, HEAD, POST")
}

func (o *Ops) requestVerification(w http.ResponseWriter, r *http.Request, id string) error {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return &cas.SourceError{Err: err}
	}
	options, err := parseVerification(text)
	if err != nil {
		return err
	}
	options.Backend, options.By = id, auth.From(r.Context()).Name
	v, err := o.Store.RequestVerification(r.Context(), options)
	if err != nil {
		return verificationProblem(err)
	}
	w.Header().Set("Location", "/v1/backends/"+url.PathEscape(id)+"/verifications/"+v.Run)
	return send202(w, v)
}

// Verification serves /v1/backends/{id}/verifications/{run}: GET shows how far it is,
// DELETE stops it.
func (o *Ops) Verification(w http.ResponseWriter, r *http.Request) error {
	if err := requireRuns(r); err != nil {
		return err
	}
	id, run := r.PathValue("id"), r.PathValue("run")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		v, err := o.Store.Verification(r.Context(), id, run)
		if err != nil {
			return verificationProblem(err)
		}
		return answer(w, r, http.StatusOK, v)
	case http.MethodDelete:
		v, err := o.Store.StopVerification(r.Context(), id, run)
		if err != nil {
			return verificationProblem(err)
		}
		return send202(w, v)
	}
	return wrongMethod(r, "GET, HEAD, DELETE")
}

// send202 answers what was asked for and happens later.
func send202(w http.ResponseWriter, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusAccepted)
	w.Write(append(text, '\n'))
	return nil
}

// verificationProblem gives what goes wrong with runs its answer.
func verificationProblem(err error) error {
	var taken *cas.TakenError
	switch {
	case errors.Is(err, cas.ErrBackendUnknown):
		return problem.New(http.StatusNotFound, "backend_unknown", "%v", err)
	case errors.Is(err, cas.ErrVerificationUnknown):
		return problem.New(http.StatusNotFound, "verification_unknown", "%v", err)
	case errors.As(err, &taken):
		return problem.New(http.StatusConflict, "verification_running", "%v", taken)
	}
	return err
}

func wrongMethod(r *http.Request, allow string) error {
	p := problem.New(http.StatusMethodNotAllowed, "method_not_allowed", "%.20s is not a method of this path: want %s", r.Method, allow)
	p.Allow = allow
	return p
}

// maxRequest bounds the body of a request for a verification, in bytes.
const maxRequest = 4 << 10

// verificationRequest is what a request may say; all of it may be left out.
type verificationRequest struct {
	Sample         *float64 `json:"sample"`     // a share, such as 0.05
	OlderThan      string   `json:"older_than"` // such as 30d or 36h
	Repair         bool     `json:"repair"`
	BytesPerSecond int64    `json:"bytes_per_second"`
	Concurrency    int      `json:"concurrency"`
}

// plainObject refuses what two readers could understand in two ways: bytes that are
// not UTF-8, a member that is not known as it is spelled or is given twice, and
// anything behind the object.
func plainObject(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') || !utf8.Valid(text) {
		return badRequest("want a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, _ := d.Token()
		name, _ := t.(string)
		switch {
		case !slices.Contains(members, name):
			return badRequest("no member %.80q is known here: want %s", name, strings.Join(members, ", "))
		case seen[name]:
			return badRequest("the member %q is given twice", name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return badRequest("it is not well formed")
		}
	}
	_, err := d.Token()
	if _, behind := d.Token(); err != nil || behind != io.EOF {
		return badRequest("it does not end with the object")
	}
	return nil
}

// members are those of a verificationRequest.
var members = []string{"sample", "older_than", "repair", "bytes_per_second", "concurrency"}

// parseVerification reads the body of a request for a verification. It is pure.
func parseVerification(text []byte) (o cas.VerifyOptions, err error) {
	var q verificationRequest
	if len(text) > 0 {
		if err := plainObject(text); err != nil {
			return o, err
		}
		if err := json.Unmarshal(text, &q); err != nil {
			return o, badRequest("%.200v", err)
		}
	}
	o = cas.VerifyOptions{Sample: 1, Repair: q.Repair, BytesPerSecond: q.BytesPerSecond, Concurrency: q.Concurrency}
	if q.Sample != nil {
		o.Sample = *q.Sample
	}
	if o.OlderThan, err = parseAge(q.OlderThan); err != nil {
		return o, err
	}
	switch {
	case !(o.Sample > 0 && o.Sample <= 1):
		return o, badRequest("sample: want a share, more than 0 and at most 1")
	case q.BytesPerSecond < 0:
		return o, badRequest("bytes_per_second: want 0 or more")
	case q.Concurrency < 0 || q.Concurrency > 64:
		return o, badRequest("concurrency: want 0 (the default) to 64")
	}
	return o, nil
}

// parseAge reads a time in whole days (30d) or as Go writes durations; "" is none.
func parseAge(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	if text == "" {
		return 0, nil
	}
	hours, days := strings.CutSuffix(text, "d")
	if days {
		hours += "h"
	}
	d, err := time.ParseDuration(hours)
	if days && err == nil {
		if d > 1<<62/24 || strings.Trim(text, "0123456789d") != "" {
			err = errors.New("too long")
		}
		d *= 24
	}
	if err != nil || d < 0 || d > 100*365*day {
		return 0, badRequest("older_than %.40q: want a time such as 30d or 36h", text)
	}
	return d, nil
}

func badRequest(format string, args ...any) error {
	return problem.New(http.StatusBadRequest, "request_invalid", format, args...)
}
