package client_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"artifactstore/gateway/client"
)

func TestCredentialsAreSent(t *testing.T) {
	for want, given := range map[string]client.Credentials{
		"":                       {},
		"Bearer ast_x":           {Token: "ast_x"},
		"Basic YW5uOnNlY3JldA==": {User: "ann", Password: "secret"},
		"Basic OnNlY3JldA==":     {Password: "secret"},
	} {
		c, _ := serve(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); got != want {
				t.Errorf("%s: sent %q; want %q", r.URL, got, want)
			}
			w.Write([]byte("{}"))
		})
		c.Credentials = given
		if err := c.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if _, _, err := c.Events(t.Context(), 0, 1, time.Second); err != nil {
			t.Error(err)
		}
		// What was sent with a trailer still is, beside credentials.
		put, _ := serve(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
			r.Body.Read(make([]byte, 100))
			r.Body.Read(make([]byte, 1))
			if got := r.Trailer.Get("Repr-Digest"); got == "" {
				t.Error("the trailer is empty")
			}
			w.WriteHeader(http.StatusTeapot)
		})
		put.Credentials = given
		put.Put(t.Context(), strings.NewReader("content"), client.PutOptions{})
	}
}

// Credentials are for one server: where it redirects they do not follow, not to
// another port of the same host either.
func TestCredentialsDoNotFollow(t *testing.T) {
	var other []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		other = append(other, r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	c, n := serve(t, func(n int64, w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") != "Bearer secret":
			t.Errorf("request %d has no credentials", n)
		case n == 0:
			http.Redirect(w, r, "/here", http.StatusTemporaryRedirect)
		case n == 1:
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}
	})
	c.Credentials = client.Credentials{Token: "secret"}
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if n.Load() != 2 || len(other) != 1 || other[0] != "" {
		t.Errorf("%d requests here; elsewhere was sent %q", n.Load(), other)
	}
}

func TestOrigin(t *testing.T) {
	for text, want := range map[string]string{
		"https://h":                    "https://h",
		"HTTPS://H:443/a/b?c":          "https://h",
		"http://h:80/":                 "http://h",
		"http://h:443":                 "http://h:443",
		"https://[2001:DB8::1]:8443/x": "https://[2001:db8::1]:8443",
		"http://127.0.0.1:8080":        "http://127.0.0.1:8080",
		"https://u:p@h/":               "https://h",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := client.Origin(u); got != want {
			t.Errorf("%s is %s; want %s", text, got, want)
		}
	}
}
