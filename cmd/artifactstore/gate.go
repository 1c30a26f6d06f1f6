package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"artifactstore/cas"
	"artifactstore/cmd/config"
	"artifactstore/gateway/auth"
)

// methodOrder is the order in which credentials are looked at, whatever the one in
// auth.mode. A password may be a token, which is seen by its form, so passwords come
// after tokens.
var methodOrder = []config.AuthMode{config.ModeTokens, config.ModeOIDC, config.ModeHtpasswd, config.ModeCertificates}

// gateOf makes what finds out who asks, nil where nobody is asked.
func gateOf(ctx context.Context, c *config.Config, store *cas.Store, log *slog.Logger) (*auth.Gate, error) {
	if !c.Auth.Mode.On() {
		return nil, nil
	}
	g := &auth.Gate{Throttle: auth.NewThrottle(time.Now)}
	var err error
	if g.Anonymous, err = grants("auth.anonymous", c.Auth.Anonymous); err != nil {
		return nil, err
	}
	for _, mode := range methodOrder {
		if !c.Auth.Mode.Has(mode) {
			continue
		}
		m, err := method(ctx, mode, c, store, g.Throttle, log)
		if err != nil {
			return nil, err
		}
		g.Methods = append(g.Methods, m)
	}
	signs(g, store)
	return g, nil
}

// method makes what knows the credentials of one mode.
func method(_ context.Context, mode config.AuthMode, c *config.Config, store *cas.Store, slow *auth.Throttle, log *slog.Logger) (auth.Method, error) {
	switch mode {
	case config.ModeTokens:
		return tokens(c.Auth.Tokens, store)
	case config.ModeHtpasswd:
		return htpasswd(c.Auth.Htpasswd, slow, log)
	case config.ModeOIDC:
		return issuers(c.Auth.OIDC, log)
	case config.ModeCertificates:
		return certificates(c.Auth.Certificates)
	}
	return nil, fmt.Errorf("auth.mode: %s is not supported by this version", mode)
}

// tokens knows the configured tokens, whose hashes are read now, and those of the
// registry.
func tokens(list []config.Token, store *cas.Store) (*auth.Tokens, error) {
	t := &auth.Tokens{Now: time.Now, Find: finder(store)}
	for i, one := range list {
		at := fmt.Sprintf("auth.tokens[%d]", i)
		hash, err := one.Hash(os.Environ())
		if err != nil {
			return nil, fmt.Errorf("%s.token_sha256_ref: %w", at, err)
		}
		allow, err := grants(at+".allow", one.Allow)
		if err != nil {
			return nil, err
		}
		t.Configured = append(t.Configured, auth.ConfiguredToken{Name: one.Name, SHA256: hash, Grants: allow})
	}
	return t, nil
}

func htpasswd(h config.Htpasswd, slow *auth.Throttle, log *slog.Logger) (*auth.Htpasswd, error) {
	o := auth.HtpasswdOptions{File: h.File, Users: map[string][]auth.Grant{}, Throttle: slow, Now: time.Now, Log: log}
	for i, u := range h.Users {
		allow, err := grants(fmt.Sprintf("auth.htpasswd.users[%d].allow", i), u.Allow)
		if err != nil {
			return nil, err
		}
		o.Users[u.Name] = allow
	}
	m, err := auth.NewHtpasswd(o)
	if err != nil {
		return nil, fmt.Errorf("auth.htpasswd.file: %w", err)
	}
	return m, nil
}

// grants reads what the configuration allows at a path.
func grants(at string, list []config.Grant) (all []auth.Grant, err error) {
	for _, text := range list {
		g, err := auth.ParseGrant(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		all = append(all, g)
	}
	return all, nil
}

// exposed says what others can learn on the way to the gateway, "" for nothing.
func exposed(c *config.Config) string {
	if c.Auth.Mode.On() && !c.TLS.On() && !c.Loopback() {
		return "credentials come to " + c.Listen + " over connections that are not encrypted: write tls, or let a proxy in front end it"
	}
	return ""
}

// unshared says that one client can keep out all others, "" where none can.
func unshared(c *config.Config) string {
	if c.Limits.Connections > 0 && c.Limits.ConnectionsPerAddress == 0 && len(c.Proxies) == 0 && !c.Loopback() {
		return fmt.Sprintf("one address can take all %d of limits.connections and keep others waiting: write limits.connections_per_address, or proxies where all come through some that say for whom they forward", c.Limits.Connections)
	}
	return ""
}

// warnings are what a configuration that is right lets others do.
func warnings(c *config.Config) (all []string) {
	for _, w := range []string{exposed(c), unshared(c)} {
		if w != "" {
			all = append(all, w)
		}
	}
	return all
}

// checkAuth looks whether what the configuration names is there: hashes of tokens,
// and the file of passwords.
func checkAuth(c *config.Config) error {
	_, err := tokens(c.Auth.Tokens, nil)
	if err == nil && c.Auth.Mode.Has(config.ModeHtpasswd) {
		_, err = htpasswd(c.Auth.Htpasswd, nil, slog.New(slog.DiscardHandler))
	}
	if err == nil {
		_, err = issuers(c.Auth.OIDC, slog.New(slog.DiscardHandler))
	}
	return err
}

// access says how the gateway learns who asks, and what it lets everybody do.
type access struct {
	Modes     []config.AuthMode `json:"modes"`
	Anonymous []config.Grant    `json:"anonymous"` // what who gives no credentials may do
}

func accessOf(c *config.Config) access {
	if !c.Auth.Mode.On() {
		return access{[]config.AuthMode{config.None}, []config.Grant{"*:*"}}
	}
	return access{c.Auth.Mode, append([]config.Grant{}, c.Auth.Anonymous...)}
}

// String is the access in a sentence.
func (a access) String() string {
	if a.Modes[0] == config.None {
		return "nobody is asked who they are; everybody may do everything"
	}
	modes, may := fmt.Sprint(a.Modes), "nothing"
	if len(a.Anonymous) > 0 {
		may = strings.Trim(fmt.Sprint(a.Anonymous), "[]")
	}
	return "clients are known by " + strings.Trim(modes, "[]") + "; without credentials they may " + may
}
