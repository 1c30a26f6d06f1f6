package tokenapi

import (
	"mime"
	"net/http"
	"net/url"

	"artifactstore/gateway/auth"
	"artifactstore/gateway/oci"
)

// maxForm bounds the body of a request, in bytes.
const maxForm = 64 << 10

// question is what a request asks for.
type question struct {
	scopes         []auth.Scope
	refreshing     bool // a refreshing token too
	user, password string
	refresh        string // a refreshing token, instead of user and password
}

// parseQuery reads the query of a GET.
func parseQuery(raw string) (q question, err error) {
	v, err := url.ParseQuery(raw)
	if err != nil {
		return q, bad("the query is not well formed")
	}
	q.refreshing = v.Get("offline_token") == "true"
	return q, q.parseScopes(v)
}

// parseForm reads the form of a POST (RFC 6749, sections 4.3 and 6).
func parseForm(contentType, text string) (q question, err error) {
	if media, _, err := mime.ParseMediaType(contentType); err != nil || media != "application/x-www-form-urlencoded" {
		return q, problem(http.StatusUnsupportedMediaType, oci.Unsupported, "want a form: application/x-www-form-urlencoded")
	}
	if len(text) > maxForm {
		return q, problem(http.StatusRequestEntityTooLarge, oci.SizeInvalid, "the form is too large")
	}
	v, err := url.ParseQuery(text)
	if err != nil {
		return q, bad("the form is not well formed")
	}
	for _, name := range []string{"grant_type", "username", "password", "refresh_token"} {
		if len(v[name]) > 1 {
			return q, bad(name + " is there twice")
		}
	}
	if err := q.parseScopes(v); err != nil {
		return q, err
	}
	switch v.Get("grant_type") {
	case "password":
		q.user, q.password = v.Get("username"), v.Get("password")
		q.refreshing = v.Get("access_type") == "offline"
		if q.user == "" && q.password == "" {
			return q, bad("username and password are missing; ask with GET for what may be done without")
		}
	case "refresh_token":
		if q.refresh = v.Get("refresh_token"); q.refresh == "" {
			return q, bad("refresh_token is missing")
		}
	default:
		return q, bad("want a grant_type of password or refresh_token")
	}
	return q, nil
}

func (q *question) parseScopes(v url.Values) (err error) {
	if q.scopes, err = auth.ParseScopes(v["scope"]...); err != nil {
		return bad(err.Error())
	}
	return nil
}
