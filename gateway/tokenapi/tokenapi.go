// Package tokenapi is the token endpoint of the distribution protocol, at
// /v1/auth/token: who was let in gets a signed token for what of some scopes they may
// do (see [auth.Issuer]).
//
//	GET  ?scope=S&scope=S&offline_token=true   with Basic, a bearer, a client
//	                                           certificate, or nothing
//	POST grant_type=password&username=&password=&scope=S S&access_type=offline
//	POST grant_type=refresh_token&refresh_token=&scope=S S
//
// A scope is repository:NAME:ACTIONS, with pull, push and delete, or
// registry:catalog:*. What of them was not granted the token lacks, and that is no
// error: clients ask for more than they need. The answer is
//
//	{"token":T,"access_token":T,"expires_in":seconds,"issued_at":time,"refresh_token":R}
//
// with refresh_token only where one was asked for and the credentials were an API
// token. The parameters service, account and client_id change nothing, and others are
// not looked at. A signed token gets no other one: it would never end.
package tokenapi

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"artifactstore/gateway/auth"
	"artifactstore/gateway/oci"
	"artifactstore/gateway/origin"
)

// Path is where it is served.
const Path = "/v1/auth/token"

// Endpoint serves the path. The gate has an issuer.
type Endpoint struct{ Gate *auth.Gate }

// Serve answers one request.
func (e *Endpoint) Serve(w http.ResponseWriter, r *http.Request) error {
	auth.Public(r.Context())
	var (
		given auth.Given
		err   error
	)
	switch r.Method {
	case http.MethodGet:
		given, err = e.get(r)
	case http.MethodPost:
		given, err = e.post(r)
	default:
		return &oci.Error{
			Status: http.StatusMethodNotAllowed, Allow: "GET, POST",
			Entries: []oci.Entry{{Code: oci.Unsupported, Message: "the method is not one of this path"}},
		}
	}
	if err != nil {
		return err
	}
	return answer(w, given)
}

func (e *Endpoint) get(r *http.Request) (auth.Given, error) {
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return auth.Given{}, err
	}
	who := auth.From(r.Context())
	if who.Scoped {
		return auth.Given{}, auth.ErrCredentials
	}
	return e.Gate.Issuer.Give(r.Context(), who, auth.Secret(r), q.scopes, q.refreshing)
}

func (e *Endpoint) post(r *http.Request) (auth.Given, error) {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil {
		return auth.Given{}, bad("the body could not be read")
	}
	q, err := parseForm(r.Header.Get("Content-Type"), string(text))
	if err != nil {
		return auth.Given{}, err
	}
	if q.refresh != "" {
		return e.Gate.Issuer.Refresh(r.Context(), q.refresh, q.scopes)
	}
	c := auth.Credentials{User: q.user, Password: q.password, Remote: origin.From(r.Context()).Client}
	who, err := e.Gate.Know(r.Context(), c)
	if err != nil {
		return auth.Given{}, err
	}
	return e.Gate.Issuer.Give(r.Context(), who, q.password, q.scopes, q.refreshing)
}

func answer(w http.ResponseWriter, given auth.Given) error {
	text, err := json.Marshal(struct {
		Token     string    `json:"token"`
		Access    string    `json:"access_token"` // the same, as OAuth 2 calls it
		Type      string    `json:"token_type"`
		ExpiresIn int       `json:"expires_in"` // seconds
		IssuedAt  time.Time `json:"issued_at"`
		Refresh   string    `json:"refresh_token,omitempty"`
	}{given.Access, given.Access, "Bearer", int(auth.AccessLife.Seconds()), given.IssuedAt.UTC(), given.Refresh})
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	w.Write(append(text, '\n'))
	return nil
}

// Problem is what an error is answered with: the document of the distribution
// protocol, whose clients ask here.
func Problem(err error) *oci.Error {
	if errors.Is(err, auth.ErrTooMuch) {
		return problem(http.StatusBadRequest, oci.Unsupported, err.Error())
	}
	e := oci.Problem(err)
	if e != nil && e.Status == http.StatusUnauthorized {
		e.Header = http.Header{"Www-Authenticate": {`Basic realm="` + auth.Service + `", charset="UTF-8"`}}
	}
	return e
}

func problem(status int, code oci.Code, message string) *oci.Error {
	return &oci.Error{Status: status, Entries: []oci.Entry{{Code: code, Message: message}}}
}

func bad(message string) error { return problem(http.StatusBadRequest, oci.Unsupported, message) }
