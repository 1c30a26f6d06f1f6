package client

import (
	"cmp"
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// Credentials are what a client says of who it is: a token, or a name and a password.
// The zero Credentials say nothing.
type Credentials struct {
	Token          string
	User, Password string
}

// field is the value of the header field Authorization, "" for none.
func (c Credentials) field() string {
	switch {
	case c.Token != "":
		return "Bearer " + c.Token
	case c.User != "" || c.Password != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.User+":"+c.Password))
	}
	return ""
}

// Check asks the gateway whether the client's credentials are good. Without any it
// succeeds where nobody is asked who they are.
func (c *Client) Check(ctx context.Context) error {
	req, err := c.request(ctx, http.MethodGet, "/v2/", nil, nil)
	if err != nil {
		return err
	}
	resp, err := c.do(req, http.StatusOK)
	if err != nil {
		return err
	}
	drain(resp)
	return nil
}

// Origin is what a URL's credentials are for: its scheme, host and port, each in one
// spelling.
func Origin(u *url.URL) string {
	scheme := strings.ToLower(u.Scheme)
	standard := map[string]string{"http": "80", "https": "443"}[scheme]
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := cmp.Or(u.Port(), standard); port != standard {
		host += ":" + port
	}
	return scheme + "://" + host
}

// sending adds credentials to the requests to one server. They are in no request
// itself, which would carry them along where it is redirected.
type sending struct {
	http.RoundTripper
	origin, field string
}

// RoundTrip implements [http.RoundTripper].
func (s *sending) RoundTrip(r *http.Request) (*http.Response, error) {
	if Origin(r.URL) == s.origin {
		trailer := r.Trailer
		r = r.Clone(r.Context())
		r.Trailer = trailer // the one that the body fills when it ends
		r.Header.Set("Authorization", s.field)
	}
	return s.RoundTripper.RoundTrip(r)
}

// sender is what sends the client's requests.
func (c *Client) sender() *http.Client {
	h := cmp.Or(c.HTTP, http.DefaultClient)
	field := c.Credentials.field()
	server, err := url.Parse(c.Server)
	if field == "" || err != nil {
		return h
	}
	with := *h
	with.Transport = &sending{h.Transport, Origin(server), field}
	if h.Transport == nil {
		with.Transport = &sending{http.DefaultTransport, Origin(server), field}
	}
	return &with
}
