package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// only is a method that knows one bearer token.
type only string

func (o only) Identify(_ context.Context, c Credentials) (Principal, bool, error) {
	return Principal{Name: string(o)}, c.Bearer == string(o), nil
}

// refusing cannot tell, or refuse.
type refusing struct{ err error }

func (f refusing) Identify(context.Context, Credentials) (Principal, bool, error) {
	return Principal{}, false, f.err
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestGateAsksInTurn(t *testing.T) {
	away := errors.New("cannot tell")
	anonymous := Principal{Name: "anonymous", Grants: []Grant{{Pull, "public"}}}
	for name, tc := range map[string]struct {
		methods []Method
		field   string
		want    Principal
		err     error
	}{
		"the first":               {[]Method{only("a"), only("b")}, "Bearer a", Principal{Name: "a", Authenticated: true}, nil},
		"the second":              {[]Method{only("a"), only("b")}, "bearer b", Principal{Name: "b", Authenticated: true}, nil},
		"nobody":                  {[]Method{only("a")}, "", anonymous, nil},
		"wrong is not nobody":     {[]Method{only("a")}, "Bearer x", Principal{}, ErrCredentials},
		"a password nobody knows": {[]Method{only("a")}, basic("u", "p"), Principal{}, ErrCredentials},
		"refused":                 {[]Method{refusing{ErrCredentials}, only("a")}, "Bearer a", Principal{}, ErrCredentials},
		"unknown for now":         {[]Method{refusing{away}, only("a")}, "Bearer a", Principal{}, away},
		"open":                    {nil, "Bearer x", Anonymous, nil},
	} {
		g := &Gate{Methods: tc.methods, Anonymous: anonymous.Grants}
		r := httptest.NewRequest("GET", "/", nil)
		if tc.field != "" {
			r.Header.Set("Authorization", tc.field)
		}
		p, err := g.Identify(r, netip.Addr{})
		if !errors.Is(err, tc.err) || (err == nil) != (tc.err == nil) {
			t.Errorf("%s: %v; want %v", name, err, tc.err)
		}
		if diff := cmp.Diff(tc.want, p); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if p, err := (*Gate)(nil).Identify(httptest.NewRequest("GET", "/", nil), netip.Addr{}); err != nil || !p.May(Admin, Everything) {
		t.Errorf("no gate: %+v, %v", p, err)
	}
}

func TestCredentials(t *testing.T) {
	for field, want := range map[string]Credentials{
		basic("u", "p"):      {User: "u", Password: "p"},
		basic("", "p"):       {Password: "p"},
		basic("u", ""):       {User: "u"},
		basic("u", "p:q"):    {User: "u", Password: "p:q"},
		"Bearer t":           {Bearer: "t"},
		"bEARER  t ":         {Bearer: "t"},
		"basic dTpw":         {User: "u", Password: "p"},
		"Bearer a.b.c=":      {Bearer: "a.b.c="},
		"Bearer Basic dTpw":  {Bearer: "Basic dTpw"},
		basic("ä", "\x00\t"): {User: "ä", Password: "\x00\t"},
	} {
		r := &http.Request{Header: http.Header{"Authorization": {field}}}
		got, err := credentials(r)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", field, got, err, want)
		}
	}
	for _, fields := range [][]string{
		{""}, {"Bearer"}, {"Bearer "}, {"Basic"}, {"Basic !"}, {basic("", "")}, {"Basic dQ=="}, {"Digest x"}, {"dTpw"}, {" Bearer t"}, {"\tBasic dTpw"},
		{"Bearer t", "Bearer t"}, {"Bearer t", basic("u", "p")},
	} {
		r := &http.Request{Header: http.Header{"Authorization": fields}}
		if got, err := credentials(r); !errors.Is(err, ErrCredentials) {
			t.Errorf("%q: %+v, %v", fields, got, err)
		}
	}
}

// A certificate counts where the header says nothing, and only a verified one.
func TestCertificateBesideHeader(t *testing.T) {
	leaf := &x509.Certificate{}
	for _, tc := range []struct {
		header http.Header
		tls    *tls.ConnectionState
		want   *x509.Certificate
	}{
		{nil, &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}}, leaf},
		{http.Header{"Authorization": {"Bearer t"}}, &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{leaf}}}, nil},
		{nil, &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}, nil},
		{nil, nil, nil},
	} {
		c, err := credentials(&http.Request{Header: tc.header, TLS: tc.tls})
		if err != nil || c.Certificate != tc.want {
			t.Errorf("%v, %+v: %p, %v; want %p", tc.header, tc.tls, c.Certificate, err, tc.want)
		}
	}
}

// FuzzCredentials reads any field: it is refused, or says one thing.
func FuzzCredentials(f *testing.F) {
	for _, seed := range []string{"Bearer t", basic("u", "p"), "Basic", "", "Basic dTpw, Bearer t"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		c, err := credentials(&http.Request{Header: http.Header{"Authorization": {field}}})
		password, bearer := c.User != "" || c.Password != "", c.Bearer != ""
		if err == nil && password == bearer || err != nil && !errors.Is(err, ErrCredentials) {
			t.Errorf("%q: %+v, %v", field, c, err)
		}
		if bearer && !strings.Contains(field, c.Bearer) {
			t.Errorf("%q says %q", field, c.Bearer)
		}
	})
}
