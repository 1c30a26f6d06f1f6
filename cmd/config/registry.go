package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Registry says where the registry is: exactly one of the two is not empty.
type Registry struct {
	URL    string    `yaml:"url"`     // sqlite:PATH or postgres://…
	URLRef Reference `yaml:"url_ref"` // where the URL is kept
}

// Address is the registry's URL: the one written, or the one that url_ref
// names. It is a secret; no error repeats it.
func (r Registry) Address(env []string) (string, error) {
	if r.URLRef == "" {
		return r.URL, nil
	}
	text, err := r.URLRef.Read(env)
	if err != nil {
		return "", fmt.Errorf("registry.url_ref: %w", err)
	}
	if err := checkRegistryURL(text); err != nil {
		return "", fmt.Errorf("registry.url_ref: the url in %s %w", r.URLRef, err)
	}
	return text, nil
}

// String says where the registry is, without a password.
func (r Registry) String() string {
	if r.URLRef != "" {
		return "the url in " + string(r.URLRef)
	}
	return redact(r.URL)
}

// wantURL are the forms of a registry's URL.
const wantURL = "want sqlite:PATH or postgres://USER@HOST/DATABASE"

// checkRegistryURL names the scheme of a URL and no more of it: the rest may
// hold a password.
func checkRegistryURL(text string) error {
	scheme, rest, found := strings.Cut(text, ":")
	switch {
	case text == "":
		return errors.New("is empty; " + wantURL)
	case !found:
		return errors.New("has no scheme; " + wantURL)
	case scheme == "postgres" || scheme == "postgresql":
		return checkPostgresURL(text)
	case scheme != "sqlite":
		return fmt.Errorf("has the scheme %s, which is not supported; %s", quote(scheme), wantURL)
	case rest == "":
		return errors.New("has no path; want sqlite:PATH")
	case strings.HasPrefix(rest, ":memory:"):
		return errors.New("is in memory and would be lost with the process; want sqlite:PATH")
	}
	return nil
}

func checkPostgresURL(text string) error {
	if _, rest, _ := strings.Cut(text, ":"); !strings.HasPrefix(rest, "//") {
		return errors.New(`has no "//" behind its scheme; want postgres://USER@HOST/DATABASE`)
	}
	if _, err := url.Parse(text); err != nil && !severalHosts.MatchString(text) {
		return errors.New("is not a URL; want postgres://USER@HOST/DATABASE, special characters of a password written as %XX")
	}
	return nil
}

// severalHosts matches the URL of a cluster, host:port,host:port, which the
// database's clients accept and net/url does not.
var severalHosts = regexp.MustCompile(`^postgres(ql)?://([^/?#@]*@)?[^/?#@]+,[^/?#@]+(/|\?|$)`)

var (
	userinfo  = regexp.MustCompile(`^([a-z]+://[^:@/]*):.*@`)
	passwords = regexp.MustCompile(`(?i)([?&](?:ssl)?password=)[^&]*`)
)

// redact leaves the password out of a URL.
func redact(text string) string {
	return passwords.ReplaceAllString(userinfo.ReplaceAllString(text, "$1:REDACTED@"), "${1}REDACTED")
}
